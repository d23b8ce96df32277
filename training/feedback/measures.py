"""Similarity of texts to raters' feedback."""

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
ROUGES = {"rouge1": 1, "rouge2": 2, "rougeL": 1}  # by name, with the words that a text needs for the figure


@dataclass(frozen=True, slots=True)
class Likeness:
    """Figures of similarity; an undefined figure is None.

    Corpus BLEU (Papineni et al. 2002; Post 2018) and chrF (Popović 2015) are from 0 to 100.  ROUGE-1, -2 and -L as mean
    F (Lin 2004), and the mean cosine of sentence embeddings, are from 0 to 1.
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
    """Words of any script; words of ASCII letters and digits are stemmed as rouge-score stems them."""

    def __init__(self) -> None:
        self._ascii = DefaultTokenizer(use_stemmer=True)

    def tokenize(self, text: str) -> list[str]:
        """Return the stems that ROUGE compares.  The name of the method is rouge-score's."""
        stems: list[str] = []
        for word in words(text):
            stems += self._ascii.tokenize(word) if word.isascii() else [word]
        return stems


def likeness(texts: Sequence[str], references: Sequence[str], tokenizer: BleuTokenizer | None = None) -> Likeness:
    """Return the figures of texts, each compared with its reference.

    `tokenizer`: the tokenizer of a corpus that holds the references; by default one that suits the references.
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
    """Return corpus BLEU with its signature; None if no reference has a word.

    With effective order, n-grams longer than every text do not count.  The default of sacrebleu gives 0 to such a
    corpus, and the same figure to any other.
    """
    metric = BLEU(tokenize=tokenizer, effective_order=True)
    result = metric.corpus_score(list(texts), [list(references)])
    return float(result.score) if result.ref_len else None, str(metric.get_signature())


def _chrf(texts: Sequence[str], references: Sequence[str]) -> tuple[float | None, str]:
    metric = CHRF()
    result = metric.corpus_score(list(texts), [list(references)])
    return float(result.score) if any(map(str.strip, references)) else None, str(metric.get_signature())


def _rouge(texts: Sequence[str], references: Sequence[str]) -> dict[str, float | None]:
    """Return the mean F of each figure over the pairs with enough words in either text; None without such pairs."""
    stems = Stems()
    scorer = RougeScorer(list(ROUGES), tokenizer=stems)
    measures: dict[str, list[float]] = {name: [] for name in ROUGES}
    for text, reference in zip(texts, references, strict=True):
        scores = scorer.score(reference, text)
        longest = max(len(stems.tokenize(text)), len(stems.tokenize(reference)))
        for name, needed in ROUGES.items():
            if longest >= needed:
                measures[name].append(scores[name].fmeasure)
    return {name: float(np.mean(values)) if values else None for name, values in measures.items()}


@cache
def _encoder() -> tuple[PreTrainedTokenizerBase, nn.Module]:
    return load_base(ENCODER)


def embeddings(texts: Sequence[str]) -> NDArray[np.float32]:
    """Return (texts, width): sentence embeddings of length 1, the mean of MiniLM's last hidden states.

    Equal texts are computed once, because raters repeat themselves.
    """
    tokenizer, encoder = _encoder()
    distinct = list(dict.fromkeys(texts))
    places = {text: number for number, text in enumerate(distinct)}
    parts = []
    for start in range(0, len(distinct), BATCH):
        tokens = tokenise(tokenizer, [], distinct[start : start + BATCH], TOKENS)
        with torch.inference_mode():
            hidden = encoder.eval()(**tokens).last_hidden_state
        mask = tokens["attention_mask"].unsqueeze(-1)
        means = (hidden * mask).sum(1) / mask.sum(1)
        parts.append(means.numpy())
    rows = [places[text] for text in texts]
    vectors = np.concatenate(parts)[rows]
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / lengths, np.float32)
