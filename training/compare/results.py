"""The results of one item as a small file: ids, scores and predictions, never a text.

A comparison may take days, so calls on a folder keep the results that its files hold already.
"""

import json
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field

from app.scoring.item import Item
from app.scoring.scale import Number, ScaleKind
from training.common.cache import replace_file
from training.data.splits import Parts
from training.errors import BadResults

SUFFIX = ".result.json"


class ResultModel(BaseModel):
    """A part of the results; an unknown field is an error."""

    model_config = ConfigDict(extra="forbid")


class Seed(ResultModel):
    """Scores and predictions for the dev rows, in the order of the file's ids."""

    values: list[Number]
    predictions: list[list[float]]  # probabilities, or mean and variance as shares of the scale


class Timing(ResultModel):
    """The times of one competitor in one precision; all competitors of an item are timed together."""

    bytes: int
    alone_ms: float  # median milliseconds of a response by itself
    batched_ms: float  # milliseconds a response in batches of 32
    values: list[Number]  # scores for the dev rows in this precision


class ContestantResult(ResultModel):
    """One contestant on one item."""

    key: str  # a hash of data, contestant, and the settings that it depends on
    settings: dict[str, str]  # hashes of the settings that it depends on, by part
    parameters: int
    seconds: float | None
    seeds: dict[int, Seed]
    timings: dict[str, Timing] = Field(default_factory=dict)  # by precision, or by library


class ItemResult(ResultModel):
    """All results on one item."""

    item_id: str
    scale: ScaleKind
    span: Number
    group: str  # the items whose teacher this one shares
    data_sha256: str | None = None  # of all rows that the results depend on; None in files of earlier versions
    labels: list[str] | None = None  # of labels without order, whose indices `human` and `values` hold
    train: int
    ids: list[str]
    human: list[Number]
    raters: list[tuple[Number, Number]] | None
    found: dict[str, ContestantResult] = Field(default_factory=dict)  # by contestant

    @classmethod
    def begun(cls, parts: Parts, group: str, data_sha256: str) -> Self:
        """Return an item's results without any contestant."""
        item: Item = parts.item
        raters = [row.raters for row in parts.dev if row.raters is not None]
        nominal = list(item.labels) if item.labels and not item.is_ordered else None
        of_every_row = raters if len(raters) == len(parts.dev) else None
        return cls(
            item_id=item.item_id,
            scale=item.scale,
            span=item.span,
            group=group,
            data_sha256=data_sha256,
            labels=nominal,
            train=len(parts.marked),
            ids=[row.id for row in parts.dev],
            human=[row.value for row in parts.dev],
            raters=of_every_row,
        )

    def same_rows(self, other: "ItemResult") -> bool:
        """Return whether both have the same dev rows and human scores, and no different hash of the data."""
        hashes = {self.data_sha256, other.data_sha256} - {None}
        if len(hashes) > 1:
            return False
        return (self.ids, self.human, self.scale) == (other.ids, other.human, other.scale)


def read_results(folder: Path) -> list[ItemResult]:
    """Return the results of all items, in the order of their ids.  Raises BadResults."""
    paths = sorted(folder.glob(f"*{SUFFIX}"))
    return [_read(path) for path in paths]


def read_result(folder: Path, begun: ItemResult) -> ItemResult:
    """Return `begun` with the results that the folder has of the same data.  Raises BadResults."""
    path = folder / f"{begun.item_id}{SUFFIX}"
    if not path.is_file():
        return begun
    kept = _read(path)
    return begun.model_copy(update={"found": kept.found}) if kept.same_rows(begun) else begun


def _read(path: Path) -> ItemResult:
    try:
        return ItemResult.model_validate_json(path.read_bytes())
    except ValueError as error:
        reason = str(error).splitlines()[0]
        raise BadResults(
            f"{path} is not a result of a comparison: {reason}. Delete the file, or name another folder with --results",
            file=path,
        ) from None


def write_result(folder: Path, result: ItemResult) -> None:
    """Write an item's results, one line a contestant, so that a diff shows which contestant changed."""
    fields = result.model_dump(exclude={"found"})
    head = _compact(fields).removesuffix("}")
    lines = [f"{_compact(name)}:{_compact(entry.model_dump())}" for name, entry in result.found.items()]
    content = head + ',"found":{\n' + ",\n".join(lines) + "\n}}\n"
    replace_file(folder / f"{result.item_id}{SUFFIX}", lambda path: path.write_text(content, encoding="utf-8"))


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
