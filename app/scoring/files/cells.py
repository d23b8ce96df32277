"""Typed cells of spreadsheets and data frames, as the fields that a CSV file of the same sheet would give."""

from collections.abc import Iterator, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from app.scoring.errors import RowError
from app.scoring.files.content import Columns, Line
from app.scoring.files.options import ReadOptions, as_shown, is_missing

AS_TEXT = "a spreadsheet made it of what was typed: format the column as text and enter it again"
Moment = (date, datetime, time, timedelta)


def typed_fields(
    path: Path, line: int, columns: Columns, values: Sequence[Any], reading: ReadOptions
) -> Iterator[Line | RowError]:
    """Yield the row, or an error for every cell whose text is lost.

    A number is the text that it shows, but in columns of scores it stays a number.
    """
    for row in columns.fields(path, line, values):
        if isinstance(row, RowError):
            yield row
            continue
        fields: dict[str, Any] = {}
        errors: list[RowError] = []
        for name, value in row[1].items():
            if (kind := _lost(name, value, reading)) is not None:
                reason = f"{name!r} is {_A[kind]}: {AS_TEXT}"
                errors.append(RowError(path, line, reason, f"{kind}_cell", {"column": name}))
            else:
                fields[name] = _field(name, value, reading)
        if errors:
            yield from errors
        else:
            yield line, fields


_A = {"date": "a date", "boolean": "TRUE or FALSE"}
_EXACT = {"id", "item_id", "response", "learner_id"}


def _lost(name: str, value: object, reading: ReadOptions) -> str | None:
    """Return the kind of a cell that lost the text that was typed, in a column that needs the text."""
    if isinstance(value, bool):
        return "boolean" if name in _EXACT or name in reading.score_columns else None
    if isinstance(value, Moment):
        return "date" if name in _EXACT or name == "label" or name in reading.score_columns else None
    return None


def _field(name: str, value: Any, reading: ReadOptions) -> Any:
    if isinstance(value, Decimal):
        value = float(value)
    if (
        name == "response" and not isinstance(value, str) and is_missing(value)
    ):  # a learner wrote nothing: in CSV an empty text
        return ""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, int | float):
        if is_missing(value):
            return None
        if name not in reading.score_columns:
            return as_shown(value)
        return int(value) if float(value).is_integer() else value
    if isinstance(value, Moment):
        return str(value)
    return value
