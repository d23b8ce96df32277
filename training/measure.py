"""What a bundle is measured to be: its choices on the validation part, its agreement on dev."""

from collections.abc import Sequence

from app.scoring.agreement import Agreement, agreement
from app.scoring.item import Item
from app.scoring.student import Score
from training.datasets.responses import MarkedResponse
from training.selection import choose_threshold


def threshold_on(validation: Sequence[MarkedResponse], scores: Sequence[Score], target: float) -> float | None:
    """The confidence threshold for scores of the validation part."""
    correct = [score.choice == row.choice for score, row in zip(scores, validation, strict=True)]
    return choose_threshold([score.confidence for score in scores], correct, target)


def agreement_on(item: Item, rows: Sequence[MarkedResponse], scores: Sequence[Score]) -> Agreement | None:
    """Agreement of scores with the human ones, row by row; None where there are no rows."""
    pairs = [row.raters for row in rows if row.raters is not None]
    return agreement(
        [row.choice for row in rows],
        [score.choice for score in scores],
        ordered=item.is_ordered,
        raters=([a for a, _ in pairs], [b for _, b in pairs]) if pairs else None,
    )
