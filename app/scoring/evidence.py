"""What is known of a bundle beside its agreement: the figures that a gate asks for, and those that a report shows.

All are of responses with human scores that nothing was fitted to.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict, Field

from app.scoring.agreement import Agreement

BINS = 10
LEAST_RESPONSES = 20  # fewer with a score say nothing about how it is recalled


class Figures(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Recall(Figures):
    """Of the responses that raters gave a score, the share that the machine gave it too."""

    n: int
    recall: float


class GroupFigures(Figures):
    """A group of learners, as a `group_*` column names it."""

    n: int
    dsm: float | None = Field(description="Difference of standardised means, machine less human (RSMTool).")
    mean_difference: float = Field(description="Mean score, machine less human, in units of the scale.")
    agreement: Agreement | None


class AttackFigures(Figures):
    """How much of one kind of junk, or of changed responses, would stand unseen."""

    n: int
    accepted: float = Field(description="Share with decision auto and better than the worst score.")
    unguarded: float = Field(description="The same, were there no conditions and flags.")
    junk: bool = Field(description="Worth nothing; else a response changed so that its worth may be lower.")


class Accepted(Figures):
    """What may stand from the threshold on."""

    share: float = Field(description="Of the responses that a model scored.")
    agreement: Agreement | None


class LearningPoint(Figures):
    """A student, and its teacher, of fewer marked responses, measured on all dev responses."""

    marked: int
    agreement: Agreement | None


class Evidence(Figures):
    """Measured on dev."""

    n: int | None = Field(
        default=None,
        ge=0,
        description="Responses that a model scored: `ece`, `coverage`, `set_size` and `accepted.share` rest on them.",
    )
    ece: float | None = Field(default=None, description="Expected calibration error of the confidence.")
    ece_uncalibrated: float | None = Field(default=None, description="Of the network's own probabilities.")
    coverage: float | None = Field(default=None, description="Share of human scores in their sets or intervals.")
    set_size: float | None = Field(default=None, description="Mean number of scores in a set.")
    accepted: Accepted | None = None
    recalls: dict[str, Recall] = Field(default={}, description="By score or label.")
    groups: dict[str, GroupFigures] = Field(default={}, description="By column and value: `gender=f`.")
    attacks: dict[str, AttackFigures] = {}
    learning_curve: tuple[LearningPoint, ...] = Field(default=(), description="Where training was asked for one.")

    @property
    def worst_recall(self) -> float | None:
        """Return the least recall of the scores with LEAST_RESPONSES or more."""
        return None if self.least_recalled is None else self.least_recalled.recall

    @property
    def least_recalled(self) -> Recall | None:
        """Return the recall, with its n, of the score that is recalled least, of those with LEAST_RESPONSES or more."""
        frequent = [own for own in self.recalls.values() if own.n >= LEAST_RESPONSES]
        return min(frequent, key=lambda own: own.recall, default=None)

    @property
    def junk_accepted(self) -> float | None:
        """Over all junk."""
        n = self.junk_tried
        return sum(own.accepted * own.n for own in self.attacks.values() if own.junk) / n if n else None

    @property
    def junk_tried(self) -> int:
        """Return how many texts of junk were tried."""
        return sum(own.n for own in self.attacks.values() if own.junk)

    def worst_group(self, least: int) -> float | None:
        """Return the largest difference of standardised means, either way, of groups with so many responses."""
        worst = self.group_at_worst(least)
        return None if worst is None or worst.dsm is None else abs(worst.dsm)

    def group_at_worst(self, least: int) -> GroupFigures | None:
        """Return the figures of that group."""
        found = [own for own in self.groups.values() if own.dsm is not None and own.n >= least]
        return max(found, key=lambda own: abs(own.dsm or 0.0), default=None)


def expected_calibration_error(confidence: ArrayLike, correct: ArrayLike) -> float:
    """ECE = Σ (n_b / n) |mean confidence - share correct| over BINS bins of equal width (Guo et al. 2017)."""
    gaps = [abs(sure - right) * n for sure, right, n in reliability(confidence, correct)]
    return sum(gaps) / np.size(confidence)


def reliability(confidence: ArrayLike, correct: ArrayLike) -> list[tuple[float, float, int]]:
    """(mean confidence, share correct, responses) of each bin that has any: the calibration curve."""
    c, ok = np.asarray(confidence, float), np.asarray(correct, float)
    bins = np.minimum((c * BINS).astype(int), BINS - 1)
    return [
        (float(c[bins == b].mean()), float(ok[bins == b].mean()), int((bins == b).sum()))
        for b in range(BINS)
        if (bins == b).any()
    ]


def difference_of_standardised_means(
    human: ArrayLike, machine: ArrayLike, all_human: ArrayLike, all_machine: ArrayLike
) -> float:
    """DSM = mean(z(M)) - mean(z(H)) over a group, each standardised by mean and SD (N - 1) of all responses
    (RSMTool, rsmtool.utils.metrics).  NaN where all scores are alike.
    """

    def mean_z(own: ArrayLike, every: ArrayLike) -> float:
        e = np.asarray(every, float)
        deviation = e.std(ddof=1) if len(e) > 1 else 0.0
        return float((np.asarray(own, float).mean() - e.mean()) / deviation) if deviation > 0 else float("nan")

    return mean_z(machine, all_machine) - mean_z(human, all_human)


def recalls(human: Sequence[float], machine: Sequence[float], names: Mapping[int, str]) -> dict[str, Recall]:
    """By score or label, of those that raters gave; `names` of values."""
    h, m = np.asarray(human), np.asarray(machine)
    found = {name: h == value for value, name in names.items()}
    return {
        name: Recall(n=int(own.sum()), recall=float((m[own] == h[own]).mean()))
        for name, own in found.items()
        if own.any()
    }


def by_group(groups: Sequence[Mapping[str, str]]) -> dict[str, NDArray[np.bool_]]:
    """`column=value` → which rows have it."""
    found = sorted({pair for own in groups for pair in own.items()})
    return {f"{column}={value}": np.array([own.get(column) == value for own in groups]) for column, value in found}


def sd_ratio(human: ArrayLike, machine: ArrayLike) -> float:
    """SD(M) / SD(H); NaN where human scores do not vary."""
    deviation = np.std(np.asarray(human, float))
    return float(np.std(np.asarray(machine, float)) / deviation) if deviation > 0 else float("nan")
