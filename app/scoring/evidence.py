"""Measurements of a bundle beside its agreement: figures for the gate, and figures for reports only.

All figures rest on held-out responses with human scores, which no step of the training used.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field

from app.scoring.agreement import Agreement
from app.scoring.bundle_files import FrozenModel

BINS = 10
LEAST_RESPONSES = 20  # The recall of a score that fewer responses have is not reliable.


class Recall(FrozenModel):
    """Recall of one score: the share of responses with this human score to which the machine gave it too."""

    n: int
    recall: float


class GroupFigures(FrozenModel):
    """Figures of one group of learners, taken from a `group_*` column."""

    n: int
    dsm: float | None = Field(description="Difference of standardised means, machine minus human (RSMTool).")
    mean_difference: float = Field(description="Difference of mean scores, machine minus human, in units of the scale.")
    agreement: Agreement | None


class AttackFigures(FrozenModel):
    """Share of junk texts, or of altered responses, whose scores would stand without review."""

    n: int
    accepted: float = Field(description="Share with decision auto and a score above the worst.")
    unguarded: float = Field(description="Share accepted if there were no conditions and no flags.")
    junk: bool = Field(
        description="True for texts without any merit, false for altered responses, whose merit may be lower."
    )


class Accepted(FrozenModel):
    """Scores that may stand: those whose confidence reaches the threshold."""

    share: float = Field(description="Share of the responses that a model scored.")
    agreement: Agreement | None


class LearningPoint(FrozenModel):
    """One point of a learning curve: a student and its teacher trained on fewer responses, measured on all of dev."""

    marked: int
    agreement: Agreement | None


class Evidence(FrozenModel):
    """Figures measured on dev."""

    n: int | None = Field(
        default=None,
        ge=0,
        description="Responses that a model scored: the basis of `ece`, `coverage`, `set_size` and `accepted.share`.",
    )
    ece: float | None = Field(default=None, description="Expected calibration error of the confidence.")
    ece_uncalibrated: float | None = Field(
        default=None, description="Expected calibration error of the network's probabilities before calibration."
    )
    coverage: float | None = Field(
        default=None, description="Share of human scores inside their prediction sets or intervals."
    )
    set_size: float | None = Field(default=None, description="Mean number of scores in a prediction set.")
    accepted: Accepted | None = None
    recalls: dict[str, Recall] = Field(default={}, description="Recall by score or label.")
    groups: dict[str, GroupFigures] = Field(default={}, description="Figures by column and value, such as `gender=f`.")
    attacks: dict[str, AttackFigures] = Field(default={}, description="Figures by kind of junk or alteration.")
    learning_curve: tuple[LearningPoint, ...] = Field(
        default=(), description="Learning curve, if the training was asked for it."
    )

    @property
    def worst_recall(self) -> float | None:
        """Return the lowest recall of a score that LEAST_RESPONSES or more responses have."""
        return None if self.least_recalled is None else self.least_recalled.recall

    @property
    def least_recalled(self) -> Recall | None:
        """Return the lowest recall with its n, of scores that LEAST_RESPONSES or more responses have."""
        frequent = [recall for recall in self.recalls.values() if recall.n >= LEAST_RESPONSES]
        return min(frequent, key=lambda recall: recall.recall, default=None)

    @property
    def junk_accepted(self) -> float | None:
        """Return the share of all junk texts that were accepted; None if none were tried."""
        if not self.junk_tried:
            return None
        accepted = sum(attack.accepted * attack.n for attack in self.attacks.values() if attack.junk)
        return accepted / self.junk_tried

    @property
    def junk_tried(self) -> int:
        """Return the number of junk texts that were tried."""
        return sum(attack.n for attack in self.attacks.values() if attack.junk)

    def worst_group(self, least: int) -> float | None:
        """Return the largest absolute `dsm` of groups with at least `least` responses."""
        worst = self.group_at_worst(least)
        return None if worst is None or worst.dsm is None else abs(worst.dsm)

    def group_at_worst(self, least: int) -> GroupFigures | None:
        """Return the group with the largest absolute `dsm`, of groups with at least `least` responses."""
        large_groups = [group for group in self.groups.values() if group.dsm is not None and group.n >= least]
        return max(large_groups, key=lambda group: abs(group.dsm or 0.0), default=None)


def expected_calibration_error(confidence: ArrayLike, correct: ArrayLike) -> float:
    """Return the expected calibration error over BINS bins of equal width (Guo et al. 2017).

    ECE = Σ_b (n_b / n) |mean confidence in b - share correct in b|.

    Args:
        confidence: probabilities from 0 to 1, shape (responses,).
        correct: whether each score agrees with the human score, shape (responses,).
    """
    gaps = [abs(mean - share) * n for mean, share, n in reliability(confidence, correct)]
    return sum(gaps) / np.size(confidence)


def reliability(confidence: ArrayLike, correct: ArrayLike) -> list[tuple[float, float, int]]:
    """Return the calibration curve: mean confidence, share correct and n of each bin that is not empty.

    Args:
        confidence: probabilities from 0 to 1, shape (responses,).
        correct: whether each score agrees with the human score, shape (responses,).
    """
    probabilities, is_correct = np.asarray(confidence, float), np.asarray(correct, float)
    bins = np.minimum((probabilities * BINS).astype(int), BINS - 1)
    curve = []
    for number in range(BINS):
        inside = bins == number
        if inside.any():
            mean, share = probabilities[inside].mean(), is_correct[inside].mean()
            curve.append((float(mean), float(share), int(inside.sum())))
    return curve


def difference_of_standardised_means(
    human: ArrayLike, machine: ArrayLike, all_human: ArrayLike, all_machine: ArrayLike
) -> float:
    """Return DSM = mean(z(M)) - mean(z(H)) over a group (RSMTool, rsmtool.utils.metrics).

    z standardises by the mean and SD (N - 1) of the scores of all groups.  NaN if all scores are equal.

    Args:
        human: human scores of the group, shape (responses of the group,).
        machine: machine scores of the group, shape (responses of the group,).
        all_human: human scores of all responses, shape (responses,).
        all_machine: machine scores of all responses, shape (responses,).
    """
    return _mean_z(machine, all_machine) - _mean_z(human, all_human)


def _mean_z(scores: ArrayLike, all_scores: ArrayLike) -> float:
    group, everyone = np.asarray(scores, float), np.asarray(all_scores, float)
    deviation = everyone.std(ddof=1) if len(everyone) > 1 else 0.0
    if not deviation > 0:
        return float("nan")
    return float((group.mean() - everyone.mean()) / deviation)


def recalls(human: Sequence[float], machine: Sequence[float], names: Mapping[int, str]) -> dict[str, Recall]:
    """Return the recall of every score or label that raters gave.

    Args:
        human: values of human scores, shape (responses,).
        machine: values of machine scores, shape (responses,).
        names: the name of each value.
    """
    h, m = np.asarray(human), np.asarray(machine)
    recall_by_name = {}
    for value, name in names.items():
        has_score = h == value
        if has_score.any():
            recalled = m[has_score] == value
            recall_by_name[name] = Recall(n=int(has_score.sum()), recall=float(recalled.mean()))
    return recall_by_name


def by_group(groups: Sequence[Mapping[str, str]]) -> dict[str, NDArray[np.bool_]]:
    """Return the rows of each group: `column=value` → whether each row is in the group, shape (rows,)."""
    pairs = {pair for row in groups for pair in row.items()}
    members = {}
    for column, value in sorted(pairs):
        members[f"{column}={value}"] = np.array([row.get(column) == value for row in groups])
    return members


def sd_ratio(human: ArrayLike, machine: ArrayLike) -> float:
    """Return SD(M) / SD(H), both with N in the denominator; NaN if the human scores do not vary."""
    deviation = np.std(np.asarray(human, float))
    if not deviation > 0:
        return float("nan")
    return float(np.std(np.asarray(machine, float)) / deviation)
