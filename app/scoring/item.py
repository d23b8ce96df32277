"""An item: one question with its scale, rubric and references, and what a score on its scale means."""

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from app.scoring.text import checked_text

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]
"""Item ids and bundle versions: safe as one folder name, yet never joined to a path unchecked."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", re.ASCII)
Text = Annotated[str, AfterValidator(checked_text)]
Label = Annotated[
    str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True), AfterValidator(checked_text)
]


def is_name(text: str) -> bool:
    """Whether it could be an item's id or a version."""
    return _NAME.fullmatch(text) is not None


class Item(BaseModel):
    """One question.  `points` has whole scores 0..max_score; `ordinal` labels run from worst to best."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    item_id: Name
    prompt: Text = Field(min_length=1, pattern=r"\S")
    scale: Literal["points", "ordinal", "nominal"]
    max_score: int | None = Field(default=None, ge=1, le=100, description="For points only.")
    labels: tuple[Label, ...] | None = Field(default=None, description="For ordinal (worst to best) and nominal.")
    title: Text | None = None
    rubric: Text | None = None
    references: tuple[Text, ...] = ()
    passage: Text | None = None
    subject: Text | None = None
    grade: int | Text | None = None

    @model_validator(mode="after")
    def _scale_is_whole(self) -> Self:
        if self.scale == "points":
            if self.max_score is None or self.labels is not None:
                raise ValueError("scale 'points' needs max_score and takes no labels")
        else:
            if self.labels is None or self.max_score is not None:
                raise ValueError(f"scale {self.scale!r} needs labels and takes no max_score")
            if not 2 <= len(self.labels) <= 101 or len(set(self.labels)) != len(self.labels):
                raise ValueError("labels must be 2 to 101 different names")
        return self

    @property
    def choices(self) -> int:
        """How many scores are possible; a student has one logit for each."""
        return len(self.labels) if self.labels is not None else (self.max_score or 0) + 1

    @property
    def is_ordered(self) -> bool:
        return self.scale != "nominal"

    @property
    def top_score(self) -> int | None:
        """The best score: max_score in points, the last rank of ordinal labels; None for nominal ones."""
        return self.choices - 1 if self.is_ordered else None

    def label(self, choice: int) -> str | None:
        return self.labels[choice] if self.labels is not None else None

    def score(self, choice: int) -> int | None:
        """Points, or the rank of an ordinal label from 0; None for a nominal one."""
        return choice if self.is_ordered else None
