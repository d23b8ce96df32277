"""Rows of a CSV or JSONL file, with the line they stand on.  What a row means is the caller's business."""

import csv
import io
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.scoring.errors import BadRows, BadText, CodedError, RowError
from app.scoring.text import MAX_CHARACTERS, MAX_SENT, Format, checked_text, read_response

FORMATS = (".jsonl", ".csv")
AS_UTF_8 = 'save it as UTF-8 (a spreadsheet calls that "CSV UTF-8")'


@dataclass(frozen=True, slots=True)
class Row:
    file: Path
    line: int
    fields: dict[str, Any]

    def error(self, reason: str, *, code: str = "bad_row", **fields: object) -> RowError:
        return RowError(self.file, self.line, reason, code, fields)

    def error_of(self, error: CodedError) -> RowError:
        return RowError.of(self.file, self.line, error)

    def text(self, name: str, most: int = MAX_CHARACTERS) -> str:
        """A text field.  Raises BadText when it is missing, no text, or not to be stored."""
        value = self.fields.get(name)
        if not isinstance(value, str):
            raise BadText(f"{name!r} is missing" if value is None else f"{name!r} must be text, not {kind(value)}")
        try:
            return checked_text(value, most)
        except BadText as error:
            raise BadText(f"{name!r}: {error}", code=error.code, **error.fields) from None

    def response(self, form: Format) -> str:
        """Return the learner's words without their mark-up.  Raises BadText."""
        sent = self.text("response", MAX_SENT)
        try:
            return read_response(sent, form)
        except BadText as error:
            raise BadText(f"'response': {error}", code=error.code, **error.fields) from None


def kind(value: object) -> str:
    """A value as an error may name it: numbers as they are, of texts and lists only what they are.

    A misplaced column may put a learner's words anywhere.
    """
    if value == "":
        return "nothing"
    if isinstance(value, str) and re.fullmatch(r"-?\d{1,9},\d{1,9}", value, re.ASCII):
        return f"{value!r} (write {value.replace(',', '.')})"
    if value is None or isinstance(value, bool | int | float):
        return "a huge number" if isinstance(value, int) and abs(value) >= 10**12 else repr(value)
    if isinstance(value, str):
        return repr(value) if value.replace(".", "", 1).lstrip("-").isdigit() and len(value) < 12 else "a text"
    return f"a {type(value).__name__}"


def read_rows(path: Path) -> list[Row]:
    """Every row of the file.  Raises BadRows naming all that cannot be read."""
    if path.suffix not in FORMATS:
        raise BadRows([RowError(path, 1, f"the file's name must end in {' or '.join(FORMATS)}")])
    errors: list[RowError] = []
    rows: list[Row] = []
    for row in _jsonl(path) if path.suffix == ".jsonl" else _csv(path):
        if isinstance(row, Row):
            rows.append(row)
        else:
            errors.append(row)
    if errors:
        raise BadRows(errors)
    return rows


def require_columns(rows: Sequence[Row], names: Sequence[str]) -> None:
    """Raises BadRows, once for a whole CSV file, where its first line does not name them."""
    first = next((row for row in rows if row.file.suffix == ".csv"), None)
    if first is None or not (missing := [name for name in names if name not in first.fields]):
        return
    found = [name for name in first.fields if name.casefold() in missing]  # others may be a learner's words
    hint = f" (there is {', '.join(map(repr, found))})" if found else ""
    raise BadRows([RowError(first.file, 1, f"no column {', '.join(map(repr, missing))}{hint}")])


def _jsonl(path: Path) -> Iterator[Row | RowError]:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                fields = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
            except UnicodeDecodeError as error:
                yield RowError(path, number, f"not UTF-8 at byte {error.start}")
            except (ValueError, RecursionError) as error:  # also numbers of thousands of digits
                yield RowError(path, number, f"not JSON: {error}")
            else:
                yield Row(path, number, fields) if isinstance(fields, dict) else RowError(path, number, "not an object")


def _csv(path: Path) -> Iterator[Row | RowError]:
    csv.field_size_limit(50 * MAX_CHARACTERS)  # what is longer is no response in any encoding
    content, line = path.read_bytes(), 1
    try:
        reader = csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True)
        reader.fieldnames = names = [name.strip() for name in reader.fieldnames or ()]
        if len(names) == 1 and any(mark in names[0] for mark in ";\t"):
            yield RowError(path, line, "columns must be separated by commas")
            return
        if not names or len(set(names)) != len(names):
            yield RowError(path, line, "the first line must name the columns, each once")
            return
        line = reader.line_num + 1
        for fields in reader:
            if any(value != "" for value in fields.values()):  # else a row that a spreadsheet left
                yield _csv_row(path, line, fields)
            line = reader.line_num + 1
    except csv.Error as error:  # after a broken quote no line can be trusted
        yield RowError(path, line, f"not CSV: {error}")
    except UnicodeDecodeError as error:
        yield RowError(path, content[: error.start].count(b"\n") + 1, f"not UTF-8: {AS_UTF_8}")


def _csv_row(path: Path, line: int, fields: dict[Any, Any]) -> Row | RowError:
    if None in fields:
        return RowError(path, line, "more fields than columns")
    if None in fields.values():
        return RowError(path, line, "fewer fields than columns")
    return Row(path, line, fields)
