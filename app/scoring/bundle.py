"""The bundle: one student on disk with everything needed to score with it.

    models/<item_id>/<version>/bundle.json, tokenizer.json, student.onnx, card.md

This module reads the files whole or refuses them.  It knows nothing of what the model computes.
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
    """The interval about a grade: its mean ± `deviations` standard deviations, as its variance gives them.

    Without a coverage it is the whole scale: too few responses were there to promise anything by.
    """

    coverage: float | None = Field(gt=0, lt=1, description="Share of human grades that the interval is made to hold.")
    deviations: float | None = Field(gt=0, allow_inf_nan=False)

    @model_validator(mode="after")
    def _both_or_neither(self) -> Self:
        if (self.coverage is None) != (self.deviations is None):
            raise PydanticCustomError("half_an_interval", "an interval has a coverage and deviations, or neither")
        return self


class PredictionSet(FrozenModel):
    """The scores or labels that a human one is among as often as `coverage` says: every one at least this probable,
    the one given, and, where they have an order, all between.

    Without a coverage it is all there are: too few responses were there to promise anything by.
    """

    coverage: float | None = Field(gt=0, lt=1)
    least: float = Field(ge=0, le=1)

    @model_validator(mode="after")
    def _whole_without_coverage(self) -> Self:
        if self.coverage is None and self.least > 0:
            raise PydanticCustomError("partial_set", "a prediction set without a coverage holds every score")
        return self


class Calibration(FrozenModel):
    """What makes a probability one that can be relied on, fitted on responses that the student did not learn.

    Logits are divided by the temperature (Guo et al. 2017).  The confidence is σ(slope · logit(p) + intercept) of the
    probability p of the score given (Platt 1999): a score placed by cuts need not be the most probable one.
    """

    temperature: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    slope: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    intercept: float = Field(default=0.0, allow_inf_nan=False)


class Head(FrozenModel):
    """How outputs become a score.

    With cuts, the score is the number of cuts that the expected score Σ p·choice has reached; without, the most
    probable choice.  Grades have an interval, all else a prediction set.
    """

    cuts: tuple[float, ...] | None = Field(description="One between each two neighbouring scores, ascending.")
    calibration: Calibration = Calibration()
    interval: Interval | None = Field(default=None, description="For grades, and only for them.")
    prediction_set: PredictionSet | None = Field(default=None, description="For all but grades.")
    chosen_on: int | None = Field(
        default=None,
        ge=0,
        description="Marked responses, not fitted, that all this and the threshold were chosen on; None: not recorded.",
    )

    def check(self, item: Item) -> None:
        """Raise ValueError (PydanticCustomError) where this is no head for the item's scale."""
        cuts = self.cuts
        if item.is_continuous != (self.interval is not None):
            raise PydanticCustomError("interval_and_scale", "grades need an interval, and only they have one")
        if item.is_continuous != (self.prediction_set is None):
            raise PydanticCustomError(
                "prediction_set_and_scale", "scores and labels need a prediction set, and only they have one"
            )
        if cuts is None:
            return
        if not item.is_ordered or item.is_continuous or len(cuts) != item.choices - 1:
            raise PydanticCustomError(
                "cuts_and_scale",
                "{cuts} cuts do not fit {choices} scores, ordered or not",
                {"cuts": len(cuts), "choices": item.choices},
            )
        if not all(map(math.isfinite, cuts)) or list(cuts) != sorted(cuts):
            raise PydanticCustomError("cuts_out_of_order", "cuts must be finite and ascend")

    @property
    def coverage(self) -> float | None:
        """Return the share of human scores that sets, or intervals, are made to hold; None: nothing is promised."""
        own = self.interval or self.prediction_set
        return own.coverage if own else None


class Provenance(FrozenModel):
    """Where a bundle comes from: enough to make it again."""

    created_at: datetime
    data_sha256: str = Field(description="Of the item's marked and unlabelled rows as read.")
    teacher: str | None = Field(description="Base model; None for a student trained on human labels alone.")
    teacher_weights: str | None = Field(
        default=None, description="Tells its base from others of the name: a hash, or the name of one that all have."
    )
    teacher_agreement: Agreement | None = Field(description="The teacher's own, on the same dev rows.")
    config: dict[str, Any] = Field(description="The whole training configuration.")
    seed: int
    software: dict[str, str] = Field(description="Package versions.")


class Bundle(FrozenModel):
    """bundle.json"""

    format: Literal[1] = 1
    version: Name
    item: Item
    head: Head
    max_tokens: int = Field(ge=2, le=4096, description="Longer responses are cut, the start kept.")
    limits: Limits = Field(description="Of the conditions and flags.")
    flagged: dict[str, float] = Field(description="Share of dev responses under each condition or flag that held.")
    threshold: float | None = Field(
        ge=0, le=1, description="Confidence from which a score may stand; None: no confidence is enough."
    )
    parameters: int = Field(ge=1, description="Learned weights, embeddings included.")
    agreement: Agreement | None = Field(description="With the human score on dev rows; None where there are none.")
    evidence: Evidence = Field(default=Evidence(), description="Measured on the same rows.")
    policy: Policy = Field(default=Policy(), description="What it must show before its scores may stand.")
    provenance: Provenance
    sha256: dict[str, str]

    @property
    def title(self) -> str:
        return f"{self.item.item_id}/{self.version}"

    @property
    def gate(self) -> Gate:
        """Whether its scores may stand without a person, rule by rule."""
        return gate_of(self.item, self.agreement, self.evidence, self.flagged, self.threshold, self.policy)

    def without_limits(self) -> Self:
        """What is kept of every item: the limits are most of a bundle, and only a student that is loaded needs them."""
        return self.model_copy(update={"limits": Limits()})

    @model_validator(mode="after")
    def _head_fits_the_scale(self) -> Self:
        self.head.check(self.item)
        return self


@dataclass(frozen=True, slots=True)
class BundleFiles:
    """A bundle's checked content: read once, so that what was checked is what is used."""

    bundle: Bundle
    tokenizer: bytes
    student: bytes
    metadata_sha256: str
    metadata_bytes: int


def read_bundle(folder: Path) -> BundleFiles:
    """Every file read and checked against bundle.json.  Raises BadBundle with the reason."""
    bundle, metadata = read_metadata(folder, METADATA, Bundle)
    check_names(bundle, METADATA, FILES)
    contents = read_files(folder, bundle, METADATA)
    return BundleFiles(bundle, contents[TOKENIZER], contents[STUDENT], sha256(metadata), len(metadata))
