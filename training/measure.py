"""Choices on the rows of all items of a teacher that were not fitted; agreement of scores with human ones.

Items with a few responses each have too few to choose by alone; together they have enough.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.scoring.agreement import MIN_PAIRS, Agreement, agreement, equal_scores, grade_agreement
from app.scoring.bundle import Calibration, Head
from app.scoring.decoding import Outputs, Score, decode, softmax
from app.scoring.item import Item
from training.calibrate import choose_confidence, choose_interval, choose_set, choose_temperature
from training.config import TrainingConfig
from training.datasets.responses import MarkedResponse
from training.selection import choose_cuts, choose_threshold, target_for
from training.splits import Parts
from training.targets import targets

MANY = 300  # marked responses of an item by which the mean of its raters is known well


@dataclass(frozen=True, slots=True)
class Unfitted:
    """A model's outputs on the rows of one item that it was not fitted to."""

    parts: Parts
    validation: Outputs
    unlabelled: Outputs
    fit: Outputs | None = None  # out of fold: of models that are like it, but for these rows

    @property
    def rows(self) -> Sequence[MarkedResponse]:
        """Marked ones, in the order of `outputs`."""
        return self.parts.validation if self.fit is None else (*self.parts.validation, *self.parts.fit)

    @property
    def outputs(self) -> Outputs:
        return self.validation if self.fit is None else np.concatenate([self.validation, self.fit])

    @property
    def human(self) -> NDArray[np.float64]:
        return targets(self.parts.item, [row.value for row in self.rows])


def unfitted(parts: Parts, outputs: Callable[[Sequence[str]], Outputs], fit: Outputs | None = None) -> Unfitted:
    """What a model gives the rows of an item that it was not fitted to.  `fit`: out of fold."""
    return Unfitted(parts, outputs([row.text for row in parts.validation]), outputs(parts.unlabelled), fit)


def pooled_head(group: Sequence[Unfitted]) -> Head:
    """Calibration, and interval or prediction sets, from the human scores of rows that were not fitted; cuts from the
    machine's probabilities of scores on validation and unlabelled text.
    """
    item = group[0].parts.item
    human, outputs = np.concatenate([own.human for own in group]), np.concatenate([own.outputs for own in group])
    if item.is_continuous:
        raw = Head(cuts=None, interval=choose_interval(human.tolist(), outputs))
        return raw.model_copy(update={"calibration": _confidence(group, raw)})
    temperature = choose_temperature(human, outputs)
    marked = [row.value for own in group for row in own.parts.marked]
    same = np.concatenate([part for own in group for part in (own.validation, own.unlabelled)])
    # Each of several items has a mean of its own, and validation may lack the rare scores of an item with few rows.
    mean = float(np.mean(marked)) if len(group) == 1 and len(marked) >= MANY else None
    raw = Head(
        cuts=choose_cuts(item, marked, same / temperature, mean),
        calibration=Calibration(temperature=temperature),
        prediction_set=choose_set(human, softmax(outputs / temperature)),
    )
    return raw.model_copy(update={"calibration": _confidence(group, raw)})


def _confidence(group: Sequence[Unfitted], raw: Head) -> Calibration:
    """What makes the probability of the score given the share of such scores that raters gave too."""
    probability: list[float] = []
    correct: list[bool] = []
    for own in group:
        scores = decode(own.outputs, own.parts.item, raw)
        probability += [score.confidence for score in scores]
        if scores:
            human, machine = [row.value for row in own.rows], [score.value for score in scores]
            correct += equal_scores(human, machine, own.parts.item.tolerance).tolist()
    return choose_confidence(raw.calibration.temperature, probability, correct)


def pooled_threshold(group: Sequence[Unfitted], head: Head, config: TrainingConfig) -> float | None:
    """The confidence from which scores of rows that were not fitted reach the agreement asked for."""
    scored = [(own, decode(own.outputs, own.parts.item, head)) for own in group]
    first = group[0].parts.item
    pairs = [
        (float(one), float(other))
        for own in group
        for row in own.parts.marked
        if row.raters is not None
        for one, other in [targets(own.parts.item, row.raters)]
    ]
    target = target_for(first, pairs, config.target_agreement, config.human_margin)
    return choose_threshold(
        [score.confidence for _, scores in scored for score in scores],
        np.concatenate([own.human for own in group]),
        np.concatenate([targets(own.parts.item, [score.value for score in scores]) for own, scores in scored]),
        target,
        ordered=first.is_ordered,
    )


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
