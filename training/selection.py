"""Choices made on the validation part: which figure decides, how scores are decoded, where the threshold lies."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from app.scoring.agreement import exact_agreement, macro_f1, quadratic_weighted_kappa
from app.scoring.bundle import Head
from app.scoring.item import Item
from app.scoring.student import decode
from training.datasets.responses import MarkedResponse

MIN_ACCEPTED = 20  # fewer accepted responses say nothing about agreement


def figure_of_merit(item: Item, human: ArrayLike, machine: ArrayLike) -> float:
    """QWK for ordered scales, macro-F1 for nominal ones; 0 where QWK is undefined."""
    if not item.is_ordered:
        return macro_f1(human, machine)
    return float(np.nan_to_num(quadratic_weighted_kappa(human, machine)))


def choose_head(item: Item, human: Sequence[int], probabilities: NDArray[np.float64]) -> tuple[Head, float]:
    """The decoding with the better figure of merit, and the figure; `expected_score` where they are equal."""
    heads = [Head(decoding="argmax")]
    if item.is_ordered:
        heads.insert(0, Head(decoding="expected_score"))
    figures = [figure_of_merit(item, human, [s.choice for s in decode(probabilities, item, head)]) for head in heads]
    best = int(np.argmax(figures))
    return heads[best], figures[best]


def target_for(rows: Sequence[MarkedResponse], default: float, human_margin: float) -> float:
    """Exact agreement wanted of accepted scores: the human raters' own less a margin; the default with one rater."""
    pairs = [row.raters for row in rows if row.raters is not None]
    if not pairs:
        return default
    return exact_agreement([a for a, _ in pairs], [b for _, b in pairs]) - human_margin


def choose_threshold(confidence: ArrayLike, correct: ArrayLike, target: float) -> float | None:
    """The lowest confidence from which all more confident scores reach the target's exact agreement.

    None where no MIN_ACCEPTED or more responses do.
    """
    c, ok = np.asarray(confidence, float), np.asarray(correct, float)
    order = np.argsort(-c, kind="stable")
    accuracy = np.cumsum(ok[order]) / np.arange(1, len(c) + 1)
    last_of_equals = np.append(np.diff(c[order]) != 0, True)
    reached = (accuracy >= target) & last_of_equals & (np.arange(1, len(c) + 1) >= MIN_ACCEPTED)
    return float(c[order][np.flatnonzero(reached)[-1]]) if reached.any() else None
