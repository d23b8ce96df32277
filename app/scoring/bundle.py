"""The bundle: one student on disk with everything that is needed for scoring.

    models/<item_id>/<version>/bundle.json, tokenizer.json, student.onnx, card.md

This module reads all files or refuses the bundle.  It does not know how a model computes scores.
"""

import math
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from app.scoring.agreement import Agreement
from app.scoring.bundle_files import FrozenModel, check_names, read_files, read_metadata, sha256
from app.scoring.conditions import Limits
from app.scoring.evidence import Evidence
from app.scoring.gate import Gate, Policy, gate_of
from app.scoring.item import Item, Name

METADATA, TOKENIZER, STUDENT, CARD = "bundle.json", "tokenizer.json", "student.onnx", "card.md"
FILES = (TOKENIZER, STUDENT, CARD)


class Interval(FrozenModel):
    """The interval about a grade: its mean ± `deviations` standard deviations.

    Without a coverage, the interval is the whole scale: training had too few responses to calibrate it.
    """

    coverage: float | None = Field(
        gt=0, lt=1, description="Share of human grades that the interval is calibrated to contain."
    )
    deviations: float | None = Field(
        gt=0, allow_inf_nan=False, description="Half of the interval, in standard deviations of the student's output."
    )

    @model_validator(mode="after")
    def _both_or_neither(self) -> Self:
        if (self.coverage is None) != (self.deviations is None):
            raise PydanticCustomError("half_an_interval", "an interval needs both coverage and deviations, or neither")
        return self


class PredictionSet(FrozenModel):
    """The scores or labels that contain the human score as often as `coverage` says.

    The set holds the given score and every score with a probability of at least `least`; on ordered scales also all
    scores between.  Without a coverage, the set is the whole scale: training had too few responses to calibrate it.
    """

    coverage: float | None = Field(
        gt=0, lt=1, description="Share of human scores that the set is calibrated to contain."
    )
    least: float = Field(ge=0, le=1, description="Least probability of a score in the set.")

    @model_validator(mode="after")
    def _whole_without_coverage(self) -> Self:
        if self.coverage is None and self.least > 0:
            raise PydanticCustomError("partial_set", "a prediction set without coverage must hold every score")
        return self


class Calibration(FrozenModel):
    """Calibration of probabilities and confidence, fitted on held-out responses.

    Logits are divided by the temperature (Guo et al. 2017).  The confidence is σ(slope · logit(p) + intercept), where p
    is the probability of the given score (Platt 1999).  A score placed by cuts need not be the most probable score.
    """

    temperature: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    slope: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    intercept: float = Field(default=0.0, allow_inf_nan=False)


class Head(FrozenModel):
    """The parameters that turn a model's outputs into a score.

    With cuts, the score is the number of cuts that the expected score Σ p·choice reaches; without cuts, the most
    probable score.  Grades have an interval, points and labels a prediction set.
    """

    cuts: tuple[float, ...] | None = Field(description="One cut between each two neighbouring scores, ascending.")
    calibration: Calibration = Calibration()
    interval: Interval | None = Field(default=None, description="Grades only.")
    prediction_set: PredictionSet | None = Field(default=None, description="Points and labels only.")
    chosen_on: int | None = Field(
        default=None,
        ge=0,
        description="Number of held-out responses on which the head and the threshold were chosen; None: not recorded.",
    )

    def check(self, item: Item) -> None:
        """Raise ValueError (PydanticCustomError) if the head does not fit the item's scale."""
        if item.is_continuous != (self.interval is not None):
            raise PydanticCustomError("interval_and_scale", "grades need an interval; other scales take none")
        if item.is_continuous != (self.prediction_set is None):
            raise PydanticCustomError(
                "prediction_set_and_scale", "points and labels need a prediction set; grades take none"
            )
        if self.cuts is not None:
            self._check_cuts(self.cuts, item)

    def _check_cuts(self, cuts: tuple[float, ...], item: Item) -> None:
        if not item.is_ordered or item.is_continuous or len(cuts) != item.choices - 1:
            raise PydanticCustomError(
                "cuts_and_scale",
                "{cuts} cuts do not fit a scale with {choices} scores",
                {"cuts": len(cuts), "choices": item.choices},
            )
        if not all(map(math.isfinite, cuts)) or list(cuts) != sorted(cuts):
            raise PydanticCustomError("cuts_out_of_order", "cuts must be finite and ascending")

    @property
    def coverage(self) -> float | None:
        """Return the share of human scores that sets or intervals are calibrated to contain; None if not calibrated."""
        calibrated = self.interval or self.prediction_set
        return calibrated.coverage if calibrated else None


class Provenance(FrozenModel):
    """The origin of a bundle, in enough detail to train it again."""

    created_at: datetime
    data_sha256: str = Field(description="SHA-256 of the item's marked and unlabelled rows.")
    teacher: str | None = Field(description="Base model; None for a student trained on human scores only.")
    teacher_weights: str | None = Field(
        default=None, description="Weights of the base model: a hash, or the public name under which they are known."
    )
    teacher_agreement: Agreement | None = Field(description="Agreement of the teacher on the same dev rows.")
    config: dict[str, Any] = Field(description="The whole training configuration.")
    seed: int
    software: dict[str, str] = Field(description="Package versions.")


class Bundle(FrozenModel):
    """The content of bundle.json."""

    format: Literal[1] = 1
    version: Name
    item: Item
    head: Head
    max_tokens: int = Field(ge=2, le=4096, description="Tokens of a response that the student reads; the rest is cut.")
    limits: Limits = Field(description="Limits of conditions and flags.")
    flagged: dict[str, float] = Field(description="Share of dev responses under each condition or flag.")
    threshold: float | None = Field(
        ge=0, le=1, description="Least confidence of a score that may stand without review; None: no score may."
    )
    parameters: int = Field(ge=1, description="Number of learnt weights, embeddings included.")
    agreement: Agreement | None = Field(description="Agreement with human scores on dev; None without dev.")
    evidence: Evidence = Field(default=Evidence(), description="Further figures, measured on the same rows.")
    policy: Policy = Field(default=Policy(), description="Limits of the gate.")
    provenance: Provenance
    sha256: dict[str, str]

    @property
    def title(self) -> str:
        return f"{self.item.item_id}/{self.version}"

    @property
    def gate(self) -> Gate:
        """Return the release checks: whether scores may stand without review, rule by rule."""
        return gate_of(self.item, self.agreement, self.evidence, self.flagged, self.threshold, self.policy)

    def without_limits(self) -> Self:
        """Return the bundle without its limits, which take most of its memory and which only a loaded student needs."""
        return self.model_copy(update={"limits": Limits()})

    @model_validator(mode="after")
    def _head_fits_the_scale(self) -> Self:
        self.head.check(self.item)
        return self


@dataclass(frozen=True, slots=True)
class BundleFiles:
    """The checked content of a bundle.  Each file is read once, so the bytes that were checked are used."""

    bundle: Bundle
    tokenizer: bytes
    student: bytes
    metadata_sha256: str
    metadata_bytes: int


def read_bundle(folder: Path) -> BundleFiles:
    """Read every file of a bundle and check it against bundle.json.  Raises BadBundle with the reason."""
    bundle, metadata = read_metadata(folder, METADATA, Bundle)
    check_names(bundle, METADATA, FILES)
    contents = read_files(folder, bundle, METADATA)
    return BundleFiles(bundle, contents[TOKENIZER], contents[STUDENT], sha256(metadata), len(metadata))
