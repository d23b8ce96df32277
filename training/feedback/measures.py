"""How near texts come to what raters wrote."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache

import numpy as np
import sacrebleu
import torch
from numpy.typing import NDArray
from rouge_score.rouge_scorer import RougeScorer
from torch import nn
from transformers import PreTrainedTokenizerBase

from training.encoder import load_base, tokenise

ENCODER, TOKENS, BATCH = "minilm", 128, 32


@dataclass(frozen=True, slots=True)
class Likeness:
    """Corpus BLEU (Post 2018, its defaults), 0 to 100; ROUGE-1, -2, -L as mean F (Lin 2004, words stemmed), and the
    mean cosine of sentence embeddings, 0 to 1.
    """

    bleu: float
    rouge_1: float
    rouge_2: float
    rouge_l: float
    similarity: float

    def as_dict(self) -> dict[str, float]:
        return {name: round(value, 4) for name, value in asdict(self).items()}


def likeness(texts: Sequence[str], references: Sequence[str]) -> Likeness:
    """texts[i] is held against references[i]."""
    scorer = RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=True)
    rouge = [scorer.score(reference, text) for text, reference in zip(texts, references, strict=True)]
    mean = {name: float(np.mean([own[name].fmeasure for own in rouge])) for name in ("rouge1", "rouge2", "rougeL")}
    both = embeddings([*texts, *references])
    cosine = (both[: len(texts)] * both[len(texts) :]).sum(axis=1)
    return Likeness(
        bleu=float(sacrebleu.corpus_bleu(list(texts), [list(references)]).score),
        rouge_1=mean["rouge1"],
        rouge_2=mean["rouge2"],
        rouge_l=mean["rougeL"],
        similarity=float(cosine.mean()),
    )


@cache
def _encoder() -> tuple[PreTrainedTokenizerBase, nn.Module]:
    return load_base(ENCODER)


def embeddings(texts: Sequence[str]) -> NDArray[np.float32]:
    """(texts, width) of length 1: the mean of MiniLM's last hidden states, which it was made for."""
    tokenizer, encoder = _encoder()
    parts = []
    for start in range(0, len(texts), BATCH):
        tokens = tokenise(tokenizer, [], list(texts[start : start + BATCH]), TOKENS)
        with torch.inference_mode():
            hidden = encoder.eval()(**tokens).last_hidden_state
        mask = tokens["attention_mask"].unsqueeze(-1)
        parts.append(((hidden * mask).sum(1) / mask.sum(1)).numpy())
    whole = np.concatenate(parts)
    return np.asarray(whole / np.linalg.norm(whole, axis=1, keepdims=True), np.float32)
