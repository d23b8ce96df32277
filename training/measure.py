"""What a bundle is measured to be: its choices on the validation part, its agreement on dev."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from app.scoring.agreement import Agreement, agreement
from app.scoring.bundle import Head
from app.scoring.item import Item
from app.scoring.student import Score, decode
from training.datasets.responses import MarkedResponse
from training.selection import choose_head, choose_threshold


def choices_on_validation(
    item: Item, validation: Sequence[MarkedResponse], probabilities: NDArray[np.float64], target: float
) -> tuple[Head, float | None]:
    """Decoding and confidence threshold, from a bundle's probabilities (rows, choices) on the validation part."""
    human = [row.choice for row in validation]
    head, _ = choose_head(item, human, probabilities)
    scores = decode(probabilities, item, head)
    correct = [score.choice == choice for score, choice in zip(scores, human, strict=True)]
    return head, choose_threshold([score.confidence for score in scores], correct, target)


def agreement_on(item: Item, rows: Sequence[MarkedResponse], scores: Sequence[Score]) -> Agreement | None:
    """Agreement of scores with the human ones, row by row; None where there are no rows."""
    pairs = [row.raters for row in rows if row.raters is not None]
    return agreement(
        [row.choice for row in rows],
        [score.choice for score in scores],
        ordered=item.is_ordered,
        raters=([a for a, _ in pairs], [b for _, b in pairs]) if pairs else None,
    )
