"""An item: one question with its scale, rubric and references, and the feedback that its teacher wrote for scores."""

import math
import re
from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from app.scoring.scale import Scale
from app.scoring.text import Format, checked_text

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]
"""Item ids and bundle versions: safe as one folder name, yet never joined to a path unchecked."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", re.ASCII)
Text = Annotated[str, AfterValidator(checked_text)]


RefusalText = Annotated[
    str, StringConstraints(min_length=1, max_length=200, pattern=r"\S"), AfterValidator(checked_text)
]


def is_name(text: str) -> bool:
    """Return whether it could be an item's id or a version."""
    return _NAME.fullmatch(text) is not None


FeedbackText = Annotated[
    str, StringConstraints(min_length=1, max_length=5000, pattern=r"\S"), AfterValidator(checked_text)
]


def _keys_as_text(bank: object) -> object:
    """Return a bank with keys of text: YAML reads `0:` as a number, JSON has no such keys."""
    return {str(key): text for key, text in bank.items()} if isinstance(bank, dict) else bank


Bank = Annotated[dict[str, FeedbackText], BeforeValidator(_keys_as_text), Field(min_length=1)]


class Item(Scale):
    """One question and its scale."""

    item_id: Name
    prompt: Text = Field(min_length=1, pattern=r"\S")
    title: Text | None = None
    rubric: Text | None = None
    references: tuple[Text, ...] = ()
    passage: Text | None = None
    subject: Text | None = None
    grade: int | Text | None = None
    refusals: tuple[RefusalText, ...] = Field(
        default=(),
        description="Responses that refuse to answer, beside the built-in ones. Case and signs do not matter.",
    )
    format: Format = Field(
        default="html",
        description="How responses are read: `html` takes mark-up off, `text` leaves all as it was sent.",
    )
    feedback: Bank | None = Field(
        default=None,
        description="The bank: what a learner is told, by score or label; for continuous by the worst grade that a "
        "text is meant for.",
    )

    @model_validator(mode="after")
    def _feedback_is_for_this_scale(self) -> Self:
        known = self.names()
        for key in self.feedback or ():
            if self.is_continuous:
                if not _is_number(key) or not self.has_score(float(key)):
                    raise PydanticCustomError(
                        "feedback_for_no_grade",
                        "feedback for '{key}': not a grade from {min_score} to {max_score}",
                        {"key": key, "min_score": self.min_score, "max_score": self.max_score},
                    )
            elif key not in known:
                raise PydanticCustomError(
                    "feedback_for_no_score",
                    "feedback for '{key}': the scores are {known}",
                    {"key": key, "known": ", ".join(known)},
                )
        return self

    def asks_the_same_as(self, other: Self) -> bool:
        """Return whether a model that learnt the one knows the other: this very question on this very scale."""
        asked = {"item_id", "prompt", "references", "format", *Scale.model_fields}
        return self.model_dump(include=asked) == other.model_dump(include=asked)

    def banked_feedback(self, value: float) -> str | None:
        """Return the bank's text for a score; for grades that of the best key which the grade reaches."""
        bank = self.feedback or {}
        if not self.is_continuous:
            return bank.get(self.name(value))
        reached = {self.merit(float(key)): key for key in bank if self.merit(float(key)) <= self.merit(value)}
        return bank[reached[max(reached)]] if reached else None


def _is_number(text: str) -> bool:
    """Return whether a text is a finite number."""
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
