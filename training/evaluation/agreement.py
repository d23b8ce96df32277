"""Agreement of an item's scores with the human ones."""

from collections.abc import Sequence

from app.scoring.agreement import MIN_PAIRS, Agreement, agreement, grade_agreement
from app.scoring.decoding import Score
from app.scoring.item import Item
from training.data.responses import MarkedResponse


def agreement_on(item: Item, rows: Sequence[MarkedResponse], scores: Sequence[Score]) -> Agreement | None:
    """Agreement of scores with the human ones, row by row; None where there are no rows.  Raters' own agreement is of
    MIN_PAIRS rows or more that two of them scored.
    """
    pairs = [row.raters for row in rows if row.raters is not None]
    raters = ([a for a, _ in pairs], [b for _, b in pairs]) if len(pairs) >= MIN_PAIRS else None
    human, machine = [row.value for row in rows], [score.value for score in scores]
    if item.is_continuous:
        intervals = [score.interval for score in scores if score.interval is not None]
        return grade_agreement(human, machine, intervals, tolerance=item.tolerance, raters=raters)
    return agreement(human, machine, ordered=item.is_ordered, raters=raters)
