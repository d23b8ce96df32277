"""A scale: the possible scores, the best of them, and their place in a gradebook."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from app.scoring.bundle_files import FrozenModel
from app.scoring.errors import BadMark
from app.scoring.text import checked_text

ScaleKind = Literal["points", "ordinal", "nominal", "continuous"]
MAX_CHOICES = 101
MAX_NUMBER = 10**15  # Whole numbers up to this limit are exact in JSON, in SQL and in the languages that read them.
GRADE_TOLERANCE = 0.1
Label = Annotated[
    str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True), AfterValidator(checked_text)
]


def whole_if_whole(number: int | float) -> int | float:
    """Return 5.0 as 5, so that numbers from a file and from a database look alike."""
    return number if isinstance(number, int) or not number.is_integer() else int(number)


Number = Annotated[int | float, Field(allow_inf_nan=False), AfterValidator(whole_if_whole)]


def _bounded(number: int | float) -> int | float:
    """Return the number as `whole_if_whole` does, or raise PydanticCustomError for NaN and numbers out of bounds."""
    if not -MAX_NUMBER <= number <= MAX_NUMBER:
        raise PydanticCustomError("score_out_of_bounds", "scores must lie between -10^15 and 10^15")
    return whole_if_whole(number)


Bound = Annotated[int | float, AfterValidator(_bounded)]


class Scale(FrozenModel):
    """The possible scores of an item.

    `points` has whole scores min_score..max_score.  `ordinal` has labels from worst to best, `nominal` has labels
    without order.  `continuous` has grades min_score..max_score.  Models compute with *values*: the index of a score or
    label, counted from 0, or the grade itself.  On a scale of points, score = value + min_score.
    """

    scale: ScaleKind = Field(description="Kind of scale.")
    min_score: Bound | None = Field(
        default=None, description="Smallest score. Points: a whole number, 0 if not given. Continuous: any number."
    )
    max_score: Bound | None = Field(default=None, description="Largest score. Points: a whole number.")
    labels: tuple[Label, ...] | None = Field(default=None, description="Labels. Ordinal: from worst to best.")
    better: Literal["higher", "lower"] = Field(
        default="higher", description="`lower` if the smallest score is the best. Points and continuous only."
    )

    @model_validator(mode="after")
    def _check_scale(self) -> Self:
        if self.scale in ("ordinal", "nominal"):
            self._check_labels()
        elif self.labels is not None:
            raise _error("no_labels_wanted", "scale '{scale}' takes no labels", self)
        elif self.scale == "points":
            self._check_points()
        elif self.min_score is None or self.max_score is None or not self.min_score < self.max_score:
            message = "scale 'continuous' needs a min_score and a larger max_score"
            raise _error("grades_need_bounds", message, self)
        return self

    def _check_labels(self) -> None:
        if self.labels is None or self.max_score is not None or self.min_score is not None:
            message = "scale '{scale}' needs labels and takes no min_score or max_score"
            raise _error("labels_wanted", message, self)
        if not 2 <= len(self.labels) <= MAX_CHOICES or len(set(self.labels)) != len(self.labels):
            raise _error("bad_labels", "labels must be 2 to {most} different names", self, most=MAX_CHOICES)
        if self.better == "lower":
            order = "labels run from worst to best" if self.scale == "ordinal" else "labels have no order"
            message = "scale '{scale}' takes no `better: lower`: its {order}"
            raise _error("better_needs_numbers", message, self, order=order)

    def _check_points(self) -> None:
        bottom, top = self.min_score or 0, self.max_score
        if not isinstance(bottom, int) or not isinstance(top, int) or not 1 <= top - bottom < MAX_CHOICES:
            message = "scale 'points' needs whole scores with max_score 1 to {most} above min_score (0 if not given)"
            raise _error("bad_points", message, self, most=MAX_CHOICES - 1)

    def scale_as_json(self) -> dict[str, Any]:
        """Return the fields of the scale, without other fields of an item, as JSON that `Scale` can read."""
        return self.model_dump(mode="json", include=set(Scale.model_fields), exclude_defaults=True)

    @property
    def choices(self) -> int:
        """Return the number of possible scores or labels; 0 for continuous."""
        if self.labels is not None:
            return len(self.labels)
        if self.scale != "points":
            return 0
        return int((self.max_score or 0) - (self.min_score or 0)) + 1

    @property
    def is_continuous(self) -> bool:
        return self.scale == "continuous"

    @property
    def is_ordered(self) -> bool:
        return self.scale != "nominal"

    @property
    def lowest(self) -> int | float:
        """Return the smallest value: 0, or the smallest grade."""
        return (self.min_score or 0) if self.is_continuous else 0

    @property
    def highest(self) -> int | float:
        """Return the largest value: the last index, or the largest grade."""
        return (self.max_score or 0) if self.is_continuous else self.choices - 1

    @property
    def span(self) -> int | float:
        """Return the distance between the smallest and the largest value; 0 for nominal."""
        return self.highest - self.lowest if self.is_ordered else 0

    @property
    def bottom_score(self) -> int | float | None:
        """Return the smallest score; None for nominal."""
        return self.score(self.lowest)

    @property
    def top_score(self) -> int | float | None:
        """Return the largest score; None for nominal."""
        return self.score(self.highest)

    @property
    def tolerance(self) -> float:
        """Return the largest difference at which two values count as equal: a tenth of the span for grades, else 0."""
        return GRADE_TOLERANCE * self.span if self.is_continuous else 0.0

    @property
    def worst(self) -> int | float:
        """Return the value of the worst score; for nominal the first label."""
        return self.highest if self.better == "lower" else self.lowest

    @property
    def best(self) -> int | float:
        """Return the value of the best score; for nominal the last label."""
        return self.lowest if self.better == "lower" else self.highest

    def merit(self, value: float) -> float:
        """Return the distance of a value from the worst value."""
        return abs(value - self.worst)

    def is_worst(self, value: float, within: float = 0.0) -> bool:
        """Return whether the value lies at most `within` from the worst; always False for nominal."""
        return self.is_ordered and abs(value - self.worst) <= within

    def is_best(self, value: float, within: float = 0.0) -> bool:
        """Return whether the value lies at most `within` from the best; always False for nominal."""
        return self.is_ordered and abs(value - self.best) <= within

    def share(self, value: float) -> float:
        """Return the place of a value between the smallest value (0) and the largest (1)."""
        return (value - self.lowest) / self.span

    def value(self, score: float | None, label: str | None) -> int | float:
        """Return the value of a human score or label.

        Raises BadMark if the score or label is not on the scale, is missing, or if the scale takes the other of them.
        """
        if self.labels is not None:
            if score is not None or label not in self.labels:
                raise BadMark(
                    f"give a label from {list(self.labels)} and no score", code="not_a_label", labels=self.labels
                )
            return self.labels.index(label)
        if score is None or label is not None or not self.has_score(score):
            bottom, top, kind = self.bottom_score, self.top_score, self.number_kind
            raise BadMark(
                f"give {kind} from {bottom} to {top} as the score, and no label",
                code="not_a_score", min_score=bottom, max_score=top,
            )  # fmt: skip
        return self.value_of(score)

    def value_of(self, score: float) -> int | float:
        """Return the value of a score that is on the scale."""
        return whole_if_whole(score) - (0 if self.is_continuous else self.min_score or 0)

    def has_score(self, score: float) -> bool:
        """Return whether a number is one of the scores."""
        bottom, top = self.bottom_score, self.top_score
        inside = bottom is not None and top is not None and bottom <= score <= top
        return inside and (self.is_continuous or float(score).is_integer())

    @property
    def number_kind(self) -> str:
        """Return the kind of number that a score must be, in words."""
        return "a number" if self.is_continuous else "a whole number"

    def score(self, value: float) -> int | float | None:
        """Return the points, the rank of an ordinal label from 0, or the grade; None for a nominal label.

        The expected value of several scores becomes their expected score.
        """
        if self.scale == "points":
            return value + (self.min_score or 0)
        return value if self.is_ordered else None

    def label(self, value: float) -> str | None:
        """Return the label of a value; None for scales without labels."""
        return self.labels[int(value)] if self.labels is not None else None

    def named(self, values: Sequence[int]) -> list[int | float] | list[str]:
        """Return values as scores or labels."""
        if self.labels is not None:
            return [self.labels[value] for value in values]
        return [value + (self.min_score or 0) for value in values]

    def name(self, value: float) -> str:
        """Return a value in text: the label, or the score with at most four decimals."""
        if self.labels is not None:
            return self.labels[int(value)]
        score = round(self.score(value) or 0, 4)
        return str(whole_if_whole(score))

    def names(self) -> list[str]:
        """Return every score or label in text, in the order of values; [] for continuous."""
        return [self.name(value) for value in range(self.choices)]

    @property
    def extent(self) -> str:
        """Return the range of scores in words, such as `0 to 3` or `1 to 6 (1 is the best)`, or all labels."""
        if self.labels is not None:
            return ", ".join(self.labels)
        best = f" ({self.score(self.best)} is the best)" if self.better == "lower" else ""
        return f"{self.bottom_score} to {self.top_score}{best}"

    def in_words(self, value: float) -> str:
        """Return a value together with its scale, such as `2 of 3` or `2 (1 is the best, 6 the worst)`."""
        if self.labels is not None:
            return self.labels[int(value)]
        rounded = round(self.score(value) or 0, 2)
        score = whole_if_whole(rounded)
        if self.bottom_score == 0 and self.better == "higher":
            return f"{score} of {self.top_score}"
        return f"{score} ({self.score(self.best)} is the best, {self.score(self.worst)} the worst)"

    def gradebook_score(self, value: float, gradebook_max: float | None) -> float | None:
        """Return a value as points of a gradebook, from 0 (worst) to gradebook_max (best); None for nominal.

        The best value gets exactly gradebook_max; in floating point, a * b / b may differ from a.
        """
        if gradebook_max is None or not self.is_ordered:
            return None
        if value == self.best:
            return float(gradebook_max)
        return min(float(gradebook_max), gradebook_max * self.merit(value) / self.span)

    def place(self, score: float | None, label: str | None, gradebook_max: float | None) -> float | None:
        """Return a human mark as points of a gradebook, as `gradebook_score` does.

        Raises BadMark for a mark that is not on the scale.
        """
        if self.labels is not None:
            score = None  # The label decides; the score is only its rank.
        return self.gradebook_score(self.value(score, label), gradebook_max)


def _error(code: str, message: str, scale: Scale, **fields: Any) -> PydanticCustomError:
    return PydanticCustomError(code, message, {"scale": scale.scale} | fields)
