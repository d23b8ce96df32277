"""Turn typed cells of spreadsheets and data frames into the fields that a CSV file of the same sheet gives."""

from collections.abc import Iterator, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from app.scoring.errors import RowError
from app.scoring.files.content import Columns, Line
from app.scoring.files.options import ReadOptions, as_shown, is_missing

AS_TEXT = "a spreadsheet replaced the text that was typed: format the column as text and enter it again"
Moment = (date, datetime, time, timedelta)


def typed_fields(
    path: Path, line: int, columns: Columns, values: Sequence[Any], reading: ReadOptions
) -> Iterator[Line | RowError]:
    """Yield the row, or an error for every cell whose text is lost.

    Numbers become text, except in columns of scores.
    """
    for row in columns.fields(path, line, values):
        if isinstance(row, RowError):
            yield row
            continue
        fields: dict[str, Any] = {}
        errors: list[RowError] = []
        for name, value in row[1].items():
            if (kind := _lost_kind(name, value, reading)) is not None:
                reason = f"{name!r} is {KIND_NAMES[kind]}: {AS_TEXT}"
                errors.append(RowError(path, line, reason, f"{kind}_cell", {"column": name}))
            else:
                fields[name] = _field(name, value, reading)
        if errors:
            yield from errors
        else:
            yield line, fields


KIND_NAMES = {"date": "a date", "boolean": "TRUE or FALSE"}
TEXT_COLUMNS = {"id", "item_id", "response", "learner_id"}


def _lost_kind(name: str, value: object, reading: ReadOptions) -> str | None:
    """Return the kind of a cell that replaced the typed text, if the column needs the text."""
    needs_text = name in TEXT_COLUMNS or name in reading.score_columns
    if isinstance(value, bool):
        return "boolean" if needs_text else None
    if isinstance(value, Moment):
        return "date" if needs_text or name == "label" else None
    return None


def _field(name: str, value: Any, reading: ReadOptions) -> Any:
    if isinstance(value, Decimal):
        value = float(value)
    if name == "response" and not isinstance(value, str) and is_missing(value):
        return ""  # The learner wrote nothing; in CSV the field is an empty text.
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
