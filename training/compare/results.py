"""What was found of one item, as one small file: ids, scores and predictions, never a text.

A comparison may take days: what a file holds already is kept, so that calls on one folder add up.
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
    model_config = ConfigDict(extra="forbid")


class Seed(ResultModel):
    """Scores and predictions for the dev rows, in the order of the file's ids."""

    values: list[Number]
    predictions: list[list[float]]  # probabilities, or mean and variance as shares of the scale


class Timing(ResultModel):
    """One competitor in one precision, all of an item timed in one go."""

    bytes: int
    alone_ms: float  # median milliseconds of a response by itself
    batched_ms: float  # a response, in batches of 32
    values: list[Number]  # scores for the dev rows in this precision


class ContestantResult(ResultModel):
    """One contestant on one item."""

    key: str  # a hash of data, contestant and the settings that it reads
    settings: dict[str, str]  # hashes of the settings that it reads, by their part
    parameters: int
    seconds: float | None
    seeds: dict[int, Seed]
    timings: dict[str, Timing] = Field(default_factory=dict)  # by precision, or the library that ran it


class ItemResult(ResultModel):
    item_id: str
    scale: ScaleKind
    span: Number
    group: str  # the items whose teacher this one shares
    data_sha256: str | None = None  # of all rows that decide what becomes of it; None: found before this was kept
    labels: list[str] | None = None  # of labels without order, which `human` and `values` number
    train: int
    ids: list[str]
    human: list[Number]
    raters: list[tuple[Number, Number]] | None
    found: dict[str, ContestantResult] = Field(default_factory=dict)  # by contestant

    @classmethod
    def begun(cls, parts: Parts, group: str, data_sha256: str) -> Self:
        item: Item = parts.item
        raters = [row.raters for row in parts.dev if row.raters is not None]
        return cls(
            item_id=item.item_id,
            scale=item.scale,
            span=item.span,
            group=group,
            data_sha256=data_sha256,
            labels=list(item.labels) if item.labels and not item.is_ordered else None,
            train=len(parts.marked),
            ids=[row.id for row in parts.dev],
            human=[row.value for row in parts.dev],
            raters=raters if len(raters) == len(parts.dev) else None,
        )

    def same_rows(self, other: "ItemResult") -> bool:
        """Whether both are of the same dev rows with the same human scores, and not known to be of other data."""
        if None not in (self.data_sha256, other.data_sha256) and self.data_sha256 != other.data_sha256:
            return False
        return (self.ids, self.human, self.scale) == (other.ids, other.human, other.scale)


def read_results(folder: Path) -> list[ItemResult]:
    """All items' results, in the order of their ids.  Raises BadResults."""
    return [_read(path) for path in sorted(folder.glob(f"*{SUFFIX}"))]


def read_result(folder: Path, begun: ItemResult) -> ItemResult:
    """What was begun, with what was found of the same data before.  Raises BadResults."""
    path = folder / f"{begun.item_id}{SUFFIX}"
    if not path.is_file():
        return begun
    kept = _read(path)
    return begun.model_copy(update={"found": kept.found}) if kept.same_rows(begun) else begun


def _read(path: Path) -> ItemResult:
    try:
        return ItemResult.model_validate_json(path.read_bytes())
    except ValueError as error:
        raise BadResults(
            f"{path} is no result of a comparison: {str(error).splitlines()[0]}. Delete it, or name another --results",
            file=path,
        ) from None


def write_result(folder: Path, result: ItemResult) -> None:
    """A line a contestant, so that a change is seen where it is."""
    head = _compact(result.model_dump(exclude={"found"})).removesuffix("}")
    lines = [f"{_compact(name)}:{_compact(found.model_dump())}" for name, found in result.found.items()]
    content = head + ',"found":{\n' + ",\n".join(lines) + "\n}}\n"
    replace_file(folder / f"{result.item_id}{SUFFIX}", lambda path: path.write_text(content, encoding="utf-8"))


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
