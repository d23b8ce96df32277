"""Bodies of the replies about items."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from app.scoring.agreement import Agreement
from app.scoring.decision import LiveItem
from app.scoring.gate import Gate
from app.scoring.item import Name
from app.scoring.live_version import BlankIsWorst, Fallback
from app.scoring.scale import Number, ScaleKind
from app.scoring.text import Format


class ItemReply(BaseModel):
    """An item that can be scored, and the bundle that scores it."""

    item_id: Name = Field(description="The item's id.")
    title: str | None = Field(description="The item's title.")
    prompt: str = Field(description="The question.")
    scale: ScaleKind = Field(
        description="`points`: whole scores. `ordinal`, `nominal`: labels, ranked or not. `continuous`: grades."
    )
    min_score: Number | None = Field(description="Smallest score of points (null: 0) and grades.")
    max_score: Number | None = Field(description="Largest score of points and grades.")
    labels: tuple[str, ...] | None = Field(
        description="Labels, from worst to best if ordinal, in any order if nominal."
    )
    better: Literal["higher", "lower"] = Field(description="`lower` if the smallest score is the best.")
    format: Format = Field(description="How responses are read if a request does not say: `html` or `text`.")
    bundle_version: str = Field(description="Version of the bundle that scores this item.")
    mode: Literal["auto", "suggest"] = Field(
        description="`auto`: confident scores stand by themselves. `suggest`: a person reviews every score."
    )
    released_by: str = Field(description="The person who made this version live.")
    released_at: datetime = Field(description="Time at which this version was made live.")
    release_reason: str = Field(description="Why this version was made live.")
    gate: Gate = Field(description="The release checks: each rule, its limit and the measured value.")
    fallback: Fallback | None = Field(
        description="The teacher that scores when the student is unsure, or in shadow; null if there is none."
    )
    blank_is_worst: BlankIsWorst | None = Field(
        description="Who decided that blank responses and refusals get the worst score, and why. Null: they get none."
    )
    overridden: bool = Field(
        description="Mode is `auto` although a release check failed. `released_by` and `release_reason` say by whom "
        "and why."
    )
    threshold: float | None = Field(description="Confidence at or above which a score stands in mode `auto`.")
    agreement: Agreement | None = Field(description="Agreement with human scores, measured on this very bundle.")
    feedback: Literal["bank", "model"] | None = Field(
        description="Source of feedback: texts written beforehand (`bank`) or a language model (`model`). Null: none."
    )
    coverage: float | None = Field(
        description="Share of human scores that prediction sets and intervals are made to contain. Null if fewer than "
        "nine marked responses were available: sets then hold every score, and intervals span the scale."
    )
    chosen_on: int | None = Field(
        description="Marked responses, not trained on, that calibration, cuts and threshold rest on. Null: unknown."
    )
    parameters: int = Field(description="Number of the student's parameters.")

    @classmethod
    def of(cls, live: LiveItem, has_model: bool) -> "ItemReply":
        """Return a live item as a reply.  `has_model` tells whether a language model writes the item's feedback."""
        bundle, item, active = live.bundle, live.bundle.item, live.active
        feedback: Literal["bank", "model"] | None = "bank" if item.feedback else None
        if has_model:
            feedback = "model"
        fallback = active.fallback if live.second else None
        return cls(
            item_id=item.item_id,
            title=item.title,
            prompt=item.prompt,
            scale=item.scale,
            min_score=item.min_score,
            max_score=item.max_score,
            labels=item.labels,
            better=item.better,
            format=item.format,
            bundle_version=bundle.version,
            mode=active.mode,
            released_by=active.by,
            released_at=active.at,
            release_reason=active.reason,
            gate=active.gate,
            fallback=fallback,
            blank_is_worst=active.blank_is_worst,
            overridden=active.override,
            threshold=bundle.threshold,
            agreement=bundle.agreement,
            feedback=feedback,
            coverage=bundle.head.coverage,
            chosen_on=bundle.head.chosen_on,
            parameters=bundle.parameters,
        )


class ItemsReply(BaseModel):
    """All items that can be scored."""

    items: list[ItemReply] = Field(description="Items in the order of their ids.")
