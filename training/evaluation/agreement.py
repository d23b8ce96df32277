"""Agreement of an item's scores with the human scores."""

from collections.abc import Sequence

from app.scoring.agreement import MIN_PAIRS, Agreement, agreement, grade_agreement
from app.scoring.decoding import Score
from app.scoring.item import Item
from training.data.responses import MarkedResponse


def agreement_on(item: Item, rows: Sequence[MarkedResponse], scores: Sequence[Score]) -> Agreement | None:
    """Return the agreement of scores with human scores, row by row; None without rows.

    The agreement of the two raters is included if both scored MIN_PAIRS rows or more.
    """
    pairs = [row.raters for row in rows if row.raters is not None]
    raters = ([a for a, _ in pairs], [b for _, b in pairs]) if len(pairs) >= MIN_PAIRS else None
    human, machine = [row.value for row in rows], [score.value for score in scores]
    if item.is_continuous:
        intervals = [score.interval for score in scores if score.interval is not None]
        return grade_agreement(human, machine, intervals, tolerance=item.tolerance, raters=raters)
    return agreement(human, machine, ordered=item.is_ordered, raters=raters)
