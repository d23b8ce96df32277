"""Marked and unlabelled responses from train.*, dev.* and unlabelled.*: .jsonl or .csv."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.scoring.errors import BadRows, BadText, RowError
from app.scoring.item import Item, is_name
from app.scoring.rows import Row, kind, read_rows, require_columns

GROUP = "group_"


@dataclass(frozen=True, slots=True)
class MarkedResponse:
    """A response with its human score as a value: the index of a score or label, or a grade."""

    id: str
    item_id: str
    text: str
    value: int | float
    raters: tuple[float, float] | None  # two raters' values, where there are two
    learner_id: str | None
    groups: tuple[tuple[str, str], ...]  # (column less its prefix, value)


@dataclass(frozen=True, slots=True)
class UnlabelledResponse:
    id: str
    item_id: str
    text: str
    learner_id: str | None


def read_marked(path: Path, items: Mapping[str, Item], errors: list[RowError]) -> tuple[MarkedResponse, ...]:
    """Marked responses in the file's order; what is wrong is appended to errors."""
    return marked_from(_read(path, errors), items, errors)


def marked_from(rows: Sequence[Row], items: Mapping[str, Item], errors: list[RowError]) -> tuple[MarkedResponse, ...]:
    """The same from rows already read."""
    scored = {name for name, item in items.items() if item.labels is None}
    asked = {own for row in rows if isinstance(own := row.fields.get("item_id"), str) and own in items}
    wanted = [name for name, some in (("score", asked & scored), ("label", asked - scored)) if some]
    if not _have_columns(rows, ["item_id", "response", *wanted], errors):
        return ()
    marked: list[MarkedResponse] = []
    for row, item_id, row_id in _identified(rows, items, errors):
        item = items[item_id]
        try:
            marked.append(
                MarkedResponse(
                    id=row_id,
                    item_id=item_id,
                    text=row.response(item.format),
                    value=_value(row, item),
                    raters=_raters(row, item),
                    learner_id=_optional(row, "learner_id"),
                    groups=tuple(
                        (name.removeprefix(GROUP), str(value))
                        for name, value in row.fields.items()
                        if name.startswith(GROUP) and value not in (None, "")
                    ),
                )
            )
        except BadText as error:
            errors.append(row.error(str(error)))
    return tuple(marked)


def read_unlabelled(path: Path, items: Mapping[str, Item], errors: list[RowError]) -> tuple[UnlabelledResponse, ...]:
    """Unlabelled responses in the file's order; what is wrong is appended to errors."""
    rows = _read(path, errors)
    if not _have_columns(rows, ["item_id", "response"], errors):
        return ()
    unlabelled: list[UnlabelledResponse] = []
    for row, item_id, row_id in _identified(rows, items, errors):
        try:
            text = row.response(items[item_id].format)
            unlabelled.append(UnlabelledResponse(row_id, item_id, text, _optional(row, "learner_id")))
        except BadText as error:
            errors.append(row.error(str(error)))
    return tuple(unlabelled)


def _read(path: Path, errors: list[RowError]) -> Sequence[Row]:
    try:
        return read_rows(path)
    except BadRows as error:
        errors += error.errors
        return ()


def _have_columns(rows: Sequence[Row], names: Sequence[str], errors: list[RowError]) -> bool:
    try:
        require_columns(rows, names)
    except BadRows as error:
        errors += error.errors
        return False
    return True


def _identified(rows: Sequence[Row], items: Mapping[str, Item], errors: list[RowError]) -> list[tuple[Row, str, str]]:
    """Rows whose item is known and whose id, if any, is new; the others go to errors."""
    good: list[tuple[Row, str, str]] = []
    lines: dict[str, int] = {}
    for row in rows:
        item_id = row.fields.get("item_id")
        own_id = row_id(row)
        if not isinstance(item_id, str) or item_id not in items:
            errors.append(row.error(f"item_id {_shown(item_id)} is not in the items file"))
        elif own_id in lines:
            errors.append(row.error(f"id {own_id!r} stands already on line {lines[own_id]}"))
        else:
            good.append((row, item_id, own_id))
        lines.setdefault(own_id, row.line)
    return good


def row_id(row: Row) -> str:
    """Its own id, or else where it stands."""
    return _optional(row, "id") or f"{row.file.stem}-{row.line}"


def _shown(item_id: object) -> str:
    """An id that could be one is named; what could be a learner's words is not."""
    return repr(item_id) if isinstance(item_id, str) and is_name(item_id) else kind(item_id)


def _value(row: Row, item: Item) -> int | float:
    return _given(row, "score" if item.labels is None else "label", item)


def _raters(row: Row, item: Item) -> tuple[float, float] | None:
    if any(row.fields.get(name) in (None, "") for name in ("score_1", "score_2")):
        return None
    return _given(row, "score_1", item), _given(row, "score_2", item)


def _given(row: Row, name: str, item: Item) -> int | float:
    """Return the value of a score or label."""
    if item.labels is None:
        return _number(row, name, item)
    label = row.fields.get(name)
    if label not in item.labels:
        raise BadText(f"{name!r} must be one of {list(item.labels)}, not {kind(label)}")
    return item.labels.index(label)


def _number(row: Row, name: str, item: Item) -> int | float:
    """Return the value of points or a grade of the item's scale."""
    value: Any = row.fields.get(name)
    try:
        number = float(value) if not isinstance(value, bool) else math.nan
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not item.has_score(number):
        bottom, top = item.bottom_score, item.top_score
        raise BadText(f"{name!r} must be {item.number_kind} from {bottom} to {top}, not {kind(value)}")
    return float(number) if item.is_continuous else item.value_of(number)


def _optional(row: Row, name: str) -> str | None:
    value = row.fields.get(name)
    return None if value in (None, "") else str(value)
