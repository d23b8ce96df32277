"""How near texts come to what raters wrote."""

import importlib.metadata
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from rouge_score.rouge_scorer import RougeScorer
from rouge_score.tokenizers import DefaultTokenizer
from sacrebleu import BLEU, CHRF
from torch import nn
from transformers import PreTrainedTokenizerBase

from app.scoring.words import words
from training.feedback.words import BleuTokenizer, bleu_tokenizer
from training.teacher.encoder import load_base, tokenise

ENCODER, TOKENS, BATCH = "minilm", 128, 32
ROUGES = {"rouge1": 1, "rouge2": 2, "rougeL": 1}  # by name, with the words that a text needs to have such a figure


@dataclass(frozen=True, slots=True)
class Likeness:
    """Corpus BLEU (Papineni et al. 2002; Post 2018) and chrF (Popović 2015), 0 to 100; ROUGE-1, -2, -L as mean F (Lin
    2004) and the mean cosine of sentence embeddings, 0 to 1.  None where a figure is undefined.
    """

    bleu: float | None
    chrf: float | None
    rouge_1: float | None
    rouge_2: float | None
    rouge_l: float | None
    similarity: float
    signature: str  # the settings of BLEU, chrF and ROUGE

    def as_dict(self) -> dict[str, float | None]:
        """Return the figures without the signature."""
        figures = {name: value for name, value in asdict(self).items() if name != "signature"}
        return {name: None if value is None else round(value, 4) for name, value in figures.items()}


class Stems:
    """The words of any script; those of a-z and digits stemmed as rouge-score stems them."""

    def __init__(self) -> None:
        self._ascii = DefaultTokenizer(use_stemmer=True)

    def tokenize(self, text: str) -> list[str]:
        """Return what ROUGE compares.  The name is rouge-score's."""
        return [part for word in words(text) for part in (self._ascii.tokenize(word) if word.isascii() else [word])]


def likeness(texts: Sequence[str], references: Sequence[str], tokenizer: BleuTokenizer | None = None) -> Likeness:
    """Compare texts[i] with references[i].

    `tokenizer`: that of the corpus which the references are a part of; else one that suits the references.
    """
    bleu, bleu_settings = _bleu(texts, references, tokenizer or bleu_tokenizer(references))
    chrf, chrf_settings = _chrf(texts, references)
    rouge = _rouge(texts, references)
    both = embeddings([*texts, *references])
    cosine = (both[: len(texts)] * both[len(texts) :]).sum(axis=1)
    rouge_settings = f"words:unicode|stems:porter-ascii|version:{importlib.metadata.version('rouge_score')}"
    return Likeness(
        bleu=bleu,
        chrf=chrf,
        rouge_1=rouge["rouge1"],
        rouge_2=rouge["rouge2"],
        rouge_l=rouge["rougeL"],
        similarity=float(cosine.mean()),
        signature=f"BLEU {bleu_settings}; chrF {chrf_settings}; ROUGE {rouge_settings}",
    )


def _bleu(texts: Sequence[str], references: Sequence[str], tokenizer: BleuTokenizer) -> tuple[float | None, str]:
    """Return corpus BLEU with its signature; None where no reference has a word.

    With effective order, n-grams that are longer than every text count for nothing.  sacrebleu's default gives such a
    corpus 0; any other corpus has the same figure by both.
    """
    metric = BLEU(tokenize=tokenizer, effective_order=True)
    found = metric.corpus_score(list(texts), [list(references)])
    return float(found.score) if found.ref_len else None, str(metric.get_signature())


def _chrf(texts: Sequence[str], references: Sequence[str]) -> tuple[float | None, str]:
    metric = CHRF()
    found = metric.corpus_score(list(texts), [list(references)])
    return float(found.score) if any(map(str.strip, references)) else None, str(metric.get_signature())


def _rouge(texts: Sequence[str], references: Sequence[str]) -> dict[str, float | None]:
    """Return the mean F over the pairs of which either text has the words that a figure counts; None without any."""
    stems = Stems()
    scorer = RougeScorer(list(ROUGES), tokenizer=stems)
    found: dict[str, list[float]] = {name: [] for name in ROUGES}
    for text, reference in zip(texts, references, strict=True):
        scores = scorer.score(reference, text)
        longest = max(len(stems.tokenize(own)) for own in (text, reference))
        for name, needed in ROUGES.items():
            if longest >= needed:
                found[name].append(scores[name].fmeasure)
    return {name: float(np.mean(values)) if values else None for name, values in found.items()}


@cache
def _encoder() -> tuple[PreTrainedTokenizerBase, nn.Module]:
    return load_base(ENCODER)


def embeddings(texts: Sequence[str]) -> NDArray[np.float32]:
    """(texts, width) of length 1: the mean of MiniLM's last hidden states, which it was made for.

    Raters say many things more than once: a text that is repeated is computed once.
    """
    tokenizer, encoder = _encoder()
    place = {text: number for number, text in enumerate(dict.fromkeys(texts))}
    distinct = list(place)
    parts = []
    for start in range(0, len(distinct), BATCH):
        tokens = tokenise(tokenizer, [], distinct[start : start + BATCH], TOKENS)
        with torch.inference_mode():
            hidden = encoder.eval()(**tokens).last_hidden_state
        mask = tokens["attention_mask"].unsqueeze(-1)
        parts.append(((hidden * mask).sum(1) / mask.sum(1)).numpy())
    whole = np.concatenate(parts)[[place[text] for text in texts]]
    return np.asarray(whole / np.linalg.norm(whole, axis=1, keepdims=True), np.float32)
