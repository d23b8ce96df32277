"""What students are measured to be: choices on the validation parts of all items of a teacher, agreement on dev.

Items with a few responses each have too few to choose by alone; together they have enough.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from app.scoring.agreement import Agreement, agreement, equal_scores, grade_agreement
from app.scoring.bundle import Head
from app.scoring.decoding import Outputs, Score, decode
from app.scoring.item import Item
from training.config import TrainingConfig
from training.datasets.responses import MarkedResponse
from training.selection import choose_cuts, choose_interval, choose_threshold, target_for
from training.splits import Parts
from training.targets import targets


@dataclass(frozen=True, slots=True)
class Unfitted:
    """A model's outputs on the rows of one item that it was not fitted to."""

    parts: Parts
    validation: Outputs
    unlabelled: Outputs


def pooled_head(group: Sequence[Unfitted]) -> Head:
    """For grades from the human ones of validation; for ordered scores from the shares that raters gave each of them in
    all marked rows, and the machine's expected scores on validation and unlabelled text.
    """
    item = group[0].parts.item
    if item.is_continuous:
        human = [targets(own.parts.item, [row.value for row in own.parts.validation]) for own in group]
        return choose_interval(np.concatenate(human).tolist(), np.concatenate([own.validation for own in group]))
    marked = [row.value for own in group for row in own.parts.marked]
    return choose_cuts(
        item, marked, np.concatenate([part for own in group for part in (own.validation, own.unlabelled)])
    )


def pooled_threshold(group: Sequence[Unfitted], head: Head, config: TrainingConfig) -> float | None:
    """The confidence from which scores of the validation parts reach the agreement asked for."""
    confidence: list[float] = []
    correct: list[bool] = []
    for own in group:
        item = own.parts.item
        scores = decode(own.validation, item, head)
        confidence += [score.confidence for score in scores]
        if scores:
            human = [row.value for row in own.parts.validation]
            correct += equal_scores(human, [score.value for score in scores], item.tolerance).tolist()
    marked = [row for own in group for row in own.parts.marked]
    target = target_for(group[0].parts.item, marked, config.target_agreement, config.human_margin)
    return choose_threshold(confidence, correct, target)


def agreement_on(item: Item, rows: Sequence[MarkedResponse], scores: Sequence[Score]) -> Agreement | None:
    """Agreement of scores with the human ones, row by row; None where there are no rows."""
    pairs = [row.raters for row in rows if row.raters is not None]
    raters = ([a for a, _ in pairs], [b for _, b in pairs]) if pairs else None
    human, machine = [row.value for row in rows], [score.value for score in scores]
    if item.is_continuous:
        intervals = [score.interval for score in scores if score.interval is not None]
        return grade_agreement(human, machine, intervals, tolerance=item.tolerance, raters=raters)
    return agreement(human, machine, ordered=item.is_ordered, raters=raters)
