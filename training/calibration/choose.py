"""Choices on the rows of all items of a teacher that were not fitted; agreement of scores with human ones.

Items with a few responses each have too few to choose by alone; together they have enough.  A difference between two
items is never counted as agreement.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.scoring.agreement import equal_scores
from app.scoring.bundle import Calibration, Head
from app.scoring.decoding import Outputs, decode, softmax
from training.calibration.confidence import choose_confidence, choose_interval, choose_set, choose_temperature
from training.calibration.cuts_and_target import choose_cuts, target_for
from training.calibration.threshold import choose_threshold
from training.config import TrainingConfig
from training.data.responses import MarkedResponse
from training.data.splits import Parts
from training.data.targets import targets


@dataclass(frozen=True, slots=True)
class Unfitted:
    """A model's outputs on the marked rows of one item that it was not fitted to."""

    parts: Parts
    validation: Outputs
    fit: Outputs | None = None  # out of fold: of models that are like it, but for these rows

    @property
    def rows(self) -> Sequence[MarkedResponse]:
        """Return the rows in the order of `outputs`."""
        return self.parts.validation if self.fit is None else (*self.parts.validation, *self.parts.fit)

    @property
    def outputs(self) -> Outputs:
        return self.validation if self.fit is None else np.concatenate([self.validation, self.fit])

    @property
    def human(self) -> NDArray[np.float64]:
        return targets(self.parts.item, [row.value for row in self.rows])


def unfitted(parts: Parts, outputs: Callable[[Sequence[str]], Outputs], fit: Outputs | None = None) -> Unfitted:
    """Return the outputs for the rows of an item that the model was not fitted to.  `fit`: out of fold."""
    return Unfitted(parts, outputs([row.text for row in parts.validation]), fit)


def choose_heads(group: Sequence[Unfitted]) -> list[Head]:
    """Return a head for each item of a model, chosen on the human scores of rows that were not fitted.

    Calibration, and interval or prediction sets, are of all items together; cuts lie about each item's own mean.
    """
    item, count = group[0].parts.item, sum(len(own.rows) for own in group)
    human, outputs = np.concatenate([own.human for own in group]), np.concatenate([own.outputs for own in group])
    if item.is_continuous:
        raw = [Head(cuts=None, interval=choose_interval(human.tolist(), outputs), chosen_on=count)] * len(group)
    else:
        temperature = choose_temperature(human, outputs)
        cuts = choose_cuts(
            item,
            [[row.value for row in own.parts.marked] for own in group],
            [own.human.tolist() for own in group],
            [own.outputs / temperature for own in group],
        )
        plain = Head(
            cuts=None,
            calibration=Calibration(temperature=temperature),
            prediction_set=choose_set(human, softmax(outputs / temperature)),
            chosen_on=count,
        )
        raw = [plain.model_copy(update={"cuts": own}) for own in cuts]
    calibration = _confidence(group, raw)
    return [head.model_copy(update={"calibration": calibration}) for head in raw]


def _confidence(group: Sequence[Unfitted], raw: Sequence[Head]) -> Calibration:
    """Return the calibration by which confidence is the share of such scores that raters gave too."""
    probability: list[float] = []
    correct: list[bool] = []
    for own, head in zip(group, raw, strict=True):
        scores = decode(own.outputs, own.parts.item, head)
        probability += [score.confidence for score in scores]
        if scores:
            human, machine = [row.value for row in own.rows], [score.value for score in scores]
            correct += equal_scores(human, machine, own.parts.item.tolerance).tolist()
    return choose_confidence(raw[0].calibration.temperature, probability, correct)


def group_threshold(group: Sequence[Unfitted], heads: Sequence[Head], config: TrainingConfig) -> float | None:
    """Return the confidence from which scores of rows that were not fitted reach the agreement asked for.

    One for all items of a model: each has too few rows to choose by alone.  The agreement is that within items.
    """
    scored = [(own, decode(own.outputs, own.parts.item, head)) for own, head in zip(group, heads, strict=True)]
    first = group[0].parts.item
    double = [
        (number, *targets(own.parts.item, row.raters).tolist())
        for number, own in enumerate(group)
        for row in own.parts.marked
        if row.raters is not None
    ]
    target = target_for(
        first,
        [(one, other) for _, one, other in double],
        [number for number, _, _ in double],
        config.target_agreement,
        config.human_margin,
    )
    return choose_threshold(
        [score.confidence for _, scores in scored for score in scores],
        np.concatenate([own.human for own in group]),
        np.concatenate([targets(own.parts.item, [score.value for score in scores]) for own, scores in scored]),
        target,
        ordered=first.is_ordered,
        items=np.repeat(np.arange(len(group)), [len(own.rows) for own in group]).tolist(),
    )
