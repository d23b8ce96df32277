"""An item: one question with its scale, rubric and references, and the feedback that a teacher wrote for each score."""

import math
import re
from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from app.scoring.scale import Scale
from app.scoring.text import Format, checked_text

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]
"""Item ids and bundle versions.  Each is safe as the name of a folder, but is still checked before it joins a path."""
_NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", re.ASCII)
Text = Annotated[str, AfterValidator(checked_text)]


RefusalText = Annotated[
    str, StringConstraints(min_length=1, max_length=200, pattern=r"\S"), AfterValidator(checked_text)
]


def is_name(text: str) -> bool:
    """Return whether the text may be an item id or a version."""
    return _NAME_PATTERN.fullmatch(text) is not None


FeedbackText = Annotated[
    str, StringConstraints(min_length=1, max_length=5000, pattern=r"\S"), AfterValidator(checked_text)
]


def _keys_as_text(bank: object) -> object:
    """Return the bank with text keys, as JSON has.  YAML reads the key `0:` as a number."""
    return {str(key): text for key, text in bank.items()} if isinstance(bank, dict) else bank


Bank = Annotated[dict[str, FeedbackText], BeforeValidator(_keys_as_text), Field(min_length=1)]


class Item(Scale):
    """One question with its scale."""

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
        description="Responses that refuse to answer, in addition to the built-in list. Case and signs do not matter.",
    )
    format: Format = Field(
        default="html",
        description="Format of responses: `html` removes mark-up, `text` keeps every character.",
    )
    feedback: Bank | None = Field(
        default=None,
        description="Feedback bank: a text for learners by score or label. On a continuous scale, each key is the "
        "worst grade for its text.",
    )

    @model_validator(mode="after")
    def _feedback_is_for_this_scale(self) -> Self:
        for key in self.feedback or ():
            if self.is_continuous:
                self._check_grade(key)
            elif key not in self.names():
                raise PydanticCustomError(
                    "feedback_for_no_score",
                    "feedback for '{key}': the scores are {known}",
                    {"key": key, "known": ", ".join(self.names())},
                )
        return self

    def _check_grade(self, key: str) -> None:
        if not _is_number(key) or not self.has_score(float(key)):
            raise PydanticCustomError(
                "feedback_for_no_grade",
                "feedback for '{key}': the grades are {min_score} to {max_score}",
                {"key": key, "min_score": self.min_score, "max_score": self.max_score},
            )

    def asks_the_same_as(self, other: Self) -> bool:
        """Return whether a model for this item also fits the other: id, prompt, references, format and scale agree."""
        asked = {"item_id", "prompt", "references", "format", *Scale.model_fields}
        return self.model_dump(include=asked) == other.model_dump(include=asked)

    def banked_feedback(self, value: float) -> str | None:
        """Return the bank's text for a score or label; for a grade, the text of the best key that the grade reaches."""
        bank = self.feedback or {}
        if not self.is_continuous:
            return bank.get(self.name(value))
        keys = {self.merit(float(key)): key for key in bank}
        reached = [merit for merit in keys if merit <= self.merit(value)]
        return bank[keys[max(reached)]] if reached else None


def _is_number(text: str) -> bool:
    """Return whether the text is a finite number."""
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
