"""Choices made on held-out rows: heads of bundles and thresholds.

Items with a few responses each are chosen for together with the other items of their model, for alone they have too
few.  Agreement is measured within items: a difference between two items never counts as agreement.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.scoring.agreement import equal_scores
from app.scoring.bundle import Calibration, Head
from app.scoring.decoding import Outputs, Score, decode, softmax
from training.calibration.confidence import choose_confidence, choose_interval, choose_set, choose_temperature
from training.calibration.cuts_and_target import choose_cuts, target_for
from training.calibration.threshold import choose_threshold
from training.config import TrainingConfig
from training.data.responses import MarkedResponse
from training.data.splits import Parts
from training.data.targets import targets


@dataclass(frozen=True, slots=True)
class Unfitted:
    """A model's outputs on the marked rows of one item that the model was not fitted to."""

    parts: Parts
    validation: Outputs
    fit: Outputs | None = None  # out-of-fold: from models trained alike, but without these rows

    @property
    def rows(self) -> Sequence[MarkedResponse]:
        """Return the rows in the order of `outputs`."""
        return self.parts.validation if self.fit is None else (*self.parts.validation, *self.parts.fit)

    @property
    def outputs(self) -> Outputs:
        """Return (rows, outputs): of the validation rows, then of the out-of-fold rows."""
        return self.validation if self.fit is None else np.concatenate([self.validation, self.fit])

    @property
    def human(self) -> NDArray[np.float64]:
        """Return (rows,): the human scores as targets, grades as shares of their scale."""
        return targets(self.parts.item, [row.value for row in self.rows])


def unfitted(parts: Parts, outputs: Callable[[Sequence[str]], Outputs], fit: Outputs | None = None) -> Unfitted:
    """Return a model's outputs for an item's validation rows, and `fit`, its out-of-fold outputs, if there are any."""
    validation = outputs([row.text for row in parts.validation])
    return Unfitted(parts, validation, fit)


def choose_heads(group: Sequence[Unfitted]) -> list[Head]:
    """Return a head for each item of a model, chosen on the human scores of held-out rows.

    All items share the calibration, and the prediction sets or intervals.  Cuts lie about each item's own mean.
    """
    heads = _interval_heads(group) if group[0].parts.item.is_continuous else _set_heads(group)
    calibration = _confidence(group, heads)
    return [head.model_copy(update={"calibration": calibration}) for head in heads]


def _interval_heads(group: Sequence[Unfitted]) -> list[Head]:
    """Return the heads of grades, without calibration."""
    human, outputs = _together(group)
    interval = choose_interval(human.tolist(), outputs)
    return [Head(cuts=None, interval=interval, chosen_on=len(human))] * len(group)


def _set_heads(group: Sequence[Unfitted]) -> list[Head]:
    """Return the heads of score points or labels, calibrated by temperature alone."""
    human, outputs = _together(group)
    temperature = choose_temperature(human, outputs)
    cuts_by_item = choose_cuts(
        group[0].parts.item,
        [_values(unfit.parts.marked) for unfit in group],
        [unfit.human.tolist() for unfit in group],
        [unfit.outputs / temperature for unfit in group],
    )
    head = Head(
        cuts=None,
        calibration=Calibration(temperature=temperature),
        prediction_set=choose_set(human, softmax(outputs / temperature)),
        chosen_on=len(human),
    )
    return [head.model_copy(update={"cuts": cuts}) for cuts in cuts_by_item]


def _values(rows: Sequence[MarkedResponse]) -> list[int | float]:
    return [row.value for row in rows]


def _together(group: Sequence[Unfitted]) -> tuple[NDArray[np.float64], Outputs]:
    """Return the human scores and the outputs of all items, one item after another."""
    return np.concatenate([unfit.human for unfit in group]), np.concatenate([unfit.outputs for unfit in group])


def _confidence(group: Sequence[Unfitted], heads: Sequence[Head]) -> Calibration:
    """Return the calibration that turns confidence into the share of scores that raters gave too."""
    probability: list[float] = []
    correct: list[bool] = []
    for unfit, scores in zip(group, _scores(group, heads), strict=True):
        probability += [score.confidence for score in scores]
        if scores:
            human, machine = [row.value for row in unfit.rows], [score.value for score in scores]
            correct += equal_scores(human, machine, unfit.parts.item.tolerance).tolist()
    return choose_confidence(heads[0].calibration.temperature, probability, correct)


def group_threshold(group: Sequence[Unfitted], heads: Sequence[Head], config: TrainingConfig) -> float | None:
    """Return the confidence from which scores of held-out rows reach the agreement asked for; None if none does.

    All items of a model share the threshold: each alone has too few rows to choose by.
    """
    scores_by_item = _scores(group, heads)
    machine = []
    for unfit, scores in zip(group, scores_by_item, strict=True):
        machine.append(targets(unfit.parts.item, [score.value for score in scores]))
    counts = [len(unfit.rows) for unfit in group]
    return choose_threshold(
        [score.confidence for scores in scores_by_item for score in scores],
        np.concatenate([unfit.human for unfit in group]),
        np.concatenate(machine),
        _target(group, config),
        ordered=group[0].parts.item.is_ordered,
        items=np.repeat(np.arange(len(group)), counts).tolist(),
    )


def _scores(group: Sequence[Unfitted], heads: Sequence[Head]) -> list[list[Score]]:
    """Return the scores of each item's held-out rows."""
    return [decode(unfit.outputs, unfit.parts.item, head) for unfit, head in zip(group, heads, strict=True)]


def _target(group: Sequence[Unfitted], config: TrainingConfig) -> float:
    """Return the agreement asked for, from all rows that two raters scored."""
    pairs: list[tuple[float, float]] = []
    items: list[int] = []
    for number, unfit in enumerate(group):
        for row in unfit.parts.marked:
            if row.raters is not None:
                first, second = targets(unfit.parts.item, row.raters).tolist()
                pairs.append((first, second))
                items.append(number)
    return target_for(group[0].parts.item, pairs, items, config.target_agreement, config.human_margin)
