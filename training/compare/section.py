"""A section of the comparison: all items on one kind of scale, with a row a contestant."""

from typing import Literal

from pydantic import Field

from training.compare.results import ResultModel

STUDENT, HUMAN, CONSTANT = "student", "human", "constant"
Kind = Literal["ordered", "labels", "grades"]
METRIC: dict[Kind, str] = {"ordered": "QWK", "labels": "macro-F1", "grades": "RMSE"}


class Cost(ResultModel):
    """The cost in one precision: bytes, and milliseconds a response; means over the timed items."""

    bytes: float
    alone_ms: float
    batched_ms: float
    figure: float | None  # the section's metric on the timed items


class TableRow(ResultModel):
    """One contestant over all items of a section."""

    name: str
    title: str
    figure: float
    interval: tuple[float, float]  # 95 % bootstrap over rows
    seeds: list[float]
    student_less_this: float | None = None
    student_less_this_interval: tuple[float, float] | None = None
    accuracy: float | None
    macro_f1: float | None
    parameters: float | None = None  # mean over items
    minutes: float | None = None  # of training an item
    costs: dict[str, Cost] = Field(default_factory=dict)  # by precision
    items: dict[str, float | None]


class Section(ResultModel):
    """All items on one kind of scale."""

    kind: Kind
    metric: str
    items: int
    rows: int
    settings: int  # the number of different settings behind the results
    contestants: list[TableRow]
