"""An item: one question with its scale, rubric and references, and what a score on its scale means."""

import math
import re
from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from app.scoring.errors import BadMark
from app.scoring.text import checked_text

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]
"""Item ids and bundle versions: safe as one folder name, yet never joined to a path unchecked."""
Scale = Literal["points", "ordinal", "nominal", "continuous"]
MAX_CHOICES = 101
GRADE_TOLERANCE = 0.1
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", re.ASCII)
Text = Annotated[str, AfterValidator(checked_text)]
Label = Annotated[
    str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True), AfterValidator(checked_text)
]


def whole_if_whole(number: int | float) -> int | float:
    """5.0 as 5, so that a number is shown alike whether a file or a database gave it."""
    return int(number) if float(number).is_integer() else number


Number = Annotated[int | float, Field(allow_inf_nan=False), AfterValidator(whole_if_whole)]


RefusalText = Annotated[
    str, StringConstraints(min_length=1, max_length=200, pattern=r"\S"), AfterValidator(checked_text)
]


def is_name(text: str) -> bool:
    """Whether it could be an item's id or a version."""
    return _NAME.fullmatch(text) is not None


FeedbackText = Annotated[
    str, StringConstraints(min_length=1, max_length=5000, pattern=r"\S"), AfterValidator(checked_text)
]


def _keys_as_text(bank: object) -> object:
    """YAML reads `0:` as a number, JSON has no such keys."""
    return {str(key): text for key, text in bank.items()} if isinstance(bank, dict) else bank


Bank = Annotated[dict[str, FeedbackText], BeforeValidator(_keys_as_text), Field(min_length=1)]


class Item(BaseModel):
    """One question and its scale.

    `points` has whole scores 0..max_score; `ordinal` labels run from worst to best, `nominal` ones in any order;
    `continuous` has grades min_score..max_score.  A human or machine score as one number is called its *value*: the
    points, the index of the label, or the grade.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    item_id: Name
    prompt: Text = Field(min_length=1, pattern=r"\S")
    scale: Scale
    min_score: Number | None = Field(default=None, description="The worst grade, for continuous only.")
    max_score: Number | None = Field(default=None, description="For points (whole, 1 to 100) and continuous.")
    labels: tuple[Label, ...] | None = Field(default=None, description="For ordinal (worst to best) and nominal.")
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
    feedback: Bank | None = Field(
        default=None,
        description="The bank: what a learner is told, by score or label; by the lowest grade it is meant for, for "
        "continuous.",
    )

    @model_validator(mode="after")
    def _scale_is_whole(self) -> Self:
        if self.scale in ("ordinal", "nominal"):
            if self.labels is None or self.max_score is not None or self.min_score is not None:
                raise ValueError(f"scale {self.scale!r} needs labels and takes no min_score or max_score")
            if not 2 <= len(self.labels) <= MAX_CHOICES or len(set(self.labels)) != len(self.labels):
                raise ValueError(f"labels must be 2 to {MAX_CHOICES} different names")
        elif self.labels is not None:
            raise ValueError(f"scale {self.scale!r} takes no labels")
        elif self.scale == "points":
            if not isinstance(self.max_score, int) or not 1 <= self.max_score < MAX_CHOICES:
                raise ValueError(f"scale 'points' needs a whole max_score from 1 to {MAX_CHOICES - 1}")
            if self.min_score not in (None, 0):
                raise ValueError("scale 'points' begins at 0")
        elif self.min_score is None or self.max_score is None or not self.min_score < self.max_score:
            raise ValueError("scale 'continuous' needs min_score and max_score, the first below the second")
        return self

    @model_validator(mode="after")
    def _feedback_is_for_this_scale(self) -> Self:
        known = [str(score) for score in range(self.choices)] if self.labels is None else list(self.labels)
        for key in self.feedback or ():
            if self.is_continuous:
                if not _is_number(key) or not (self.min_score or 0) <= float(key) <= (self.max_score or 0):
                    raise ValueError(f"feedback for {key!r}: not a grade from {self.min_score} to {self.max_score}")
            elif key not in known:
                raise ValueError(f"feedback for {key!r}: the scores are {', '.join(known)}")
        return self

    @property
    def choices(self) -> int:
        """How many scores or labels are possible; 0 for continuous."""
        if self.labels is not None:
            return len(self.labels)
        return int(self.max_score or 0) + 1 if self.scale == "points" else 0

    @property
    def is_continuous(self) -> bool:
        return self.scale == "continuous"

    @property
    def is_ordered(self) -> bool:
        return self.scale != "nominal"

    @property
    def bottom_score(self) -> int | float | None:
        """The worst score: 0, or min_score of continuous; None for nominal."""
        return (self.min_score or 0) if self.is_ordered else None

    @property
    def top_score(self) -> int | float | None:
        """The best score: max_score, or the last rank of ordinal labels; None for nominal."""
        return (self.max_score if self.labels is None else self.choices - 1) if self.is_ordered else None

    @property
    def worst(self) -> int | float:
        """The value of the worst score; of labels without order the first."""
        return self.bottom_score or 0

    def is_worst(self, value: float, within: float = 0.0) -> bool:
        """Whether the value is the worst that the item has, or so near it.  Never for labels without order."""
        return self.is_ordered and value <= (self.bottom_score or 0) + within

    @property
    def span(self) -> int | float:
        """From the worst score to the best; 0 for nominal."""
        return (self.top_score or 0) - (self.bottom_score or 0)

    @property
    def tolerance(self) -> float:
        """How far apart two scores may be and still count as equal: not at all, or a tenth of the span for grades."""
        return GRADE_TOLERANCE * self.span if self.is_continuous else 0.0

    def value(self, score: float | None, label: str | None) -> int | float:
        """The value of a human score or label, of which one is given.  Raises BadMark."""
        if self.labels is not None:
            if score is not None or label not in self.labels:
                raise BadMark(f"give a label, one of {list(self.labels)}, and no score")
            return self.labels.index(label)
        bottom, top = self.bottom_score or 0, self.top_score or 0
        on_scale = score is not None and bottom <= score <= top and (self.is_continuous or float(score).is_integer())
        if score is None or not on_scale or label is not None:
            kind = "number" if self.is_continuous else "whole number"
            raise BadMark(f"give a score, a {kind} from {bottom} to {top}, and no label")
        return whole_if_whole(score)

    def asks_the_same_as(self, other: Self) -> bool:
        """Whether a model that learnt the one knows the other: this very question on this very scale."""
        asked = {"item_id", "prompt", "scale", "min_score", "max_score", "labels", "references"}
        return self.model_dump(include=asked) == other.model_dump(include=asked)

    def label(self, value: float) -> str | None:
        return self.labels[int(value)] if self.labels is not None else None

    def named(self, values: Sequence[int]) -> list[int] | list[str]:
        """Values as a caller knows them: points, or labels."""
        return list(values) if self.labels is None else [self.labels[value] for value in values]

    def banked_feedback(self, value: float) -> str | None:
        """What the bank has for a score; for grades the text whose lowest grade is nearest below."""
        bank = self.feedback or {}
        if not self.is_continuous:
            return bank.get(self.label(value) or str(int(value)))
        reached = [key for key in bank if float(key) <= value]
        return bank[max(reached, key=float)] if reached else None

    def score(self, value: float) -> int | float | None:
        """Points, the rank of an ordinal label from 0, or the grade; None for a nominal label."""
        return value if self.is_ordered else None


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
