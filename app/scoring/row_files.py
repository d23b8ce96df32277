"""Read the rows of a file with their lines.  Callers interpret the rows."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.scoring.errors import BadRows, BadText, CodedError, RowError
from app.scoring.files.content import Content
from app.scoring.files.delimited import read_delimited
from app.scoring.files.json_rows import read_json, read_json_lines
from app.scoring.files.options import DEFAULT_OPTIONS, ReadOptions, as_shown
from app.scoring.files.output import GUARDED, ORIGIN_MARK, RAW, unguarded
from app.scoring.files.parquet import read_parquet
from app.scoring.files.workbook import read_workbook
from app.scoring.text import MAX_CHARACTERS, MAX_SENT, Format, checked_text, read_response

READERS: dict[str, Callable[[Path, ReadOptions], Content]] = {
    ".jsonl": read_json_lines,
    ".json": read_json,
    ".csv": read_delimited,
    ".tsv": read_delimited,
    ".xlsx": read_workbook,
    ".parquet": read_parquet,
}
FORMATS = tuple(READERS)
DELIMITED = (".csv", ".tsv")
WITH_HEADER = (*DELIMITED, ".xlsx", ".parquet")
DELIMITER_NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
_DECIMAL_POINT = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+", re.ASCII)
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(,\d{3})+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a file, with its fields by column."""

    file: Path
    line: int
    fields: dict[str, Any]
    decimal: str = "."
    nth: int = 1  # number among the rows that begin on the same line
    header: int = 1  # line with the names of the columns

    @property
    def place(self) -> str:
        """Return a name for a row without an id, unique in the file."""
        nth = "" if self.nth == 1 else f".{self.nth}"
        return f"{self.file.stem}-{self.line}{nth}"

    def error(self, reason: str, *, code: str = "bad_row", **fields: object) -> RowError:
        """Return an error of this row."""
        return RowError(self.file, self.line, reason, code, fields)

    def error_of(self, error: CodedError) -> RowError:
        """Return an error as an error of this row."""
        return RowError.of(self.file, self.line, error)

    def text(self, name: str, most: int = MAX_CHARACTERS) -> str:
        """Return a text field.  Raises BadText for a field that is missing, not text, or fails `checked_text`."""
        value = self.fields.get(name)
        if value is None:
            hint = ': write "" if the learner wrote nothing' if name == "response" else ""
            raise BadText(f"{name!r} is missing{hint}", code="missing", column=name)
        if not isinstance(value, str):
            raise BadText(f"{name!r} must be text, not {safe_description(value)}", code="not_text", column=name)
        try:
            return checked_text(value, most)
        except BadText as error:
            raise BadText(f"{name!r}: {error}", code=error.code, column=name, **error.fields) from None

    def response(self, form: Format) -> str:
        """Return the response as plain text.  Raises BadText as `text` and `read_response` do."""
        sent = self.text("response", MAX_SENT)
        try:
            return read_response(sent, form)
        except BadText as error:
            raise BadText(f"'response': {error}", code=error.code, column="response", **error.fields) from None

    def item_id(self) -> str:
        """Return the id of the item without spaces around it; a number becomes text.  Raises BadText as `text` does."""
        value = self.fields.get("item_id")
        if isinstance(value, int | float) and not isinstance(value, bool):
            return as_shown(value)
        return self.text("item_id").strip()

    def number(self, name: str) -> float | None:
        """Return the number in a field, or None if the field holds no number.

        Raises BadText for a number with a decimal point in a file with decimal commas, and for a number whose comma may
        stand before decimals or between thousands.
        """
        value = self.fields.get(name)
        if isinstance(value, int | float):
            return None if isinstance(value, bool) or abs(value) >= 2**1000 else float(value)
        if not isinstance(value, str):
            return None
        text = value.strip()
        if self.decimal == ",":
            if "." in text and _DECIMAL_POINT.fullmatch(text):
                reason = f"{name!r} is {safe_description(value)}, but this file has decimal commas: write a comma"
                raise BadText(reason, code="mixed_decimals", column=name)
            text = text.replace(",", ".", 1)
        elif _DECIMAL_COMMA.fullmatch(text) or _THOUSANDS.fullmatch(text):
            raise BadText(
                f"{name!r} is {safe_description(value)}: its comma may stand before decimals or between thousands. "
                "Give `--decimal ,` if it stands before decimals; otherwise write the number without it",
                code="ambiguous_comma",
                column=name,
            )
        return float(text) if _DECIMAL_POINT.fullmatch(text) else None


@dataclass(frozen=True, slots=True)
class RowFile:
    """The rows of a file, with remarks about the file."""

    path: Path
    rows: list[Row]
    is_ours: bool  # whether scorelet wrote the file, so that `score` is a machine's score
    notes: tuple[str, ...]  # remarks for the user


def safe_description(value: object) -> str:
    """Return a description of a value for messages: numbers as they are, for texts and lists only their type.

    A misplaced column may hold a learner's words, which must not reach messages.
    """
    if value == "":
        return "nothing"
    if value is None or isinstance(value, bool | int | float):
        return "a huge number" if isinstance(value, int) and abs(value) >= 10**12 else repr(value)
    if isinstance(value, str):
        is_number = re.sub("[.,]", "", value).lstrip("-").isdigit()
        return repr(value) if is_number and len(value) < 12 else "a text"
    return f"a {type(value).__name__}"


def read_rows(path: Path, reading: ReadOptions = DEFAULT_OPTIONS) -> list[Row]:
    """Return every row of a file.  Raises BadRows as `read_file` does."""
    return read_file(path, reading).rows


def read_file(path: Path, reading: ReadOptions) -> RowFile:
    """Read a file in the format that its name ends in.  Raises BadRows with every fault of the file."""
    read = READERS.get(path.suffix.lower())
    if read is None:
        ends = ", ".join(FORMATS)
        reason = f"the name must end in one of {ends}: save the file in one of these formats (text with tabs: .tsv)"
        raise BadRows([RowError(path, 1, reason, "unknown_format")])
    content = read(path, reading)
    if content.errors:
        raise BadRows(content.errors)
    decimal = reading.decimal or _decimal(content, reading)
    is_ours = any(ORIGIN_MARK in fields for line, fields in content.lines)
    rows: list[Row] = []
    nth, before = 1, 0
    for line, fields in content.lines:
        nth = nth + 1 if line == before else 1
        rows.append(Row(path, line, _without_guards(fields), decimal, nth, content.header))
        before = line
    return RowFile(path, rows, is_ours, tuple(_notes(path, content, reading, decimal)))


def _without_guards(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a file that scorelet wrote without guards; other fields as they are."""
    if ORIGIN_MARK not in fields:
        return fields
    unmarked = {name: value for name, value in fields.items() if name != ORIGIN_MARK}
    if fields[ORIGIN_MARK] == RAW:
        return unmarked
    if fields[ORIGIN_MARK] != GUARDED:  # A person added the row: its names have guards, its texts have none.
        return {unguarded(name): value for name, value in unmarked.items()}
    return {unguarded(name): _without_guard(value) for name, value in unmarked.items()}


def _without_guard(value: Any) -> Any:
    return unguarded(value) if isinstance(value, str) else value


def _decimal(content: Content, reading: ReadOptions) -> str:
    """Return the decimal sign of scores: the comma, if the file leaves no doubt, otherwise the point.

    Between semicolons, commas stand before decimals.  Between tabs, they may also stand between thousands, so at least
    one number must not have the form of thousands.
    """
    if content.delimiter not in (";", "\t"):
        return "."
    values = [fields.get(name) for line, fields in content.lines for name in reading.score_columns]
    texts = [value.strip() for value in values if isinstance(value, str)]
    if any("." in text for text in texts):
        return "."
    decimals = [text for text in texts if _DECIMAL_COMMA.fullmatch(text)]
    thousands = [text for text in texts if _THOUSANDS.fullmatch(text)]
    if not decimals or not set(thousands) <= set(decimals):
        return "."
    has_unambiguous = not set(decimals) <= set(thousands)
    return "," if content.delimiter == ";" or has_unambiguous else "."


def _notes(path: Path, content: Content, reading: ReadOptions, decimal: str) -> list[str]:
    notes = [f"{path.name}: {note}" for note in content.notes]
    usual = {".csv": ",", ".tsv": "\t"}.get(path.suffix.lower(), content.delimiter)
    if content.delimiter != usual and reading.delimiter is None:
        delimiters = DELIMITER_NAMES.get(content.delimiter, repr(content.delimiter))
        notes.append(f"{path.name}: the columns are separated by {delimiters}")
    if decimal == "," and reading.decimal is None:
        notes.append(f"{path.name}: the scores have decimal commas")
    return notes


def require_columns(rows: Sequence[Row], names: Sequence[str]) -> None:
    """Raise BadRows, once for the whole file, if a file with a header lacks a column."""
    first = next((row for row in rows if row.file.suffix.lower() in WITH_HEADER), None)
    if first is None:
        return
    missing = [name for name in names if name not in first.fields]
    if not missing:
        return
    similar = [name for name in first.fields if name.casefold() in missing]  # Other names may be a learner's words.
    hint = f" (there is {_quoted(similar)})" if similar else ""
    if len(first.fields) == 1 and first.file.suffix.lower() in DELIMITED:
        hint += ", and there is only one column (is the delimiter right?)"
    reason = f"no column {_quoted(missing)}{hint}: {_header_place(first.file)} must name the columns"
    raise BadRows([RowError(first.file, first.header, reason, "no_column", {"columns": missing, "found": similar})])


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names))


def require_rows(read: RowFile) -> None:
    """Raise BadRows for a file without rows."""
    if not read.rows:
        reason = "the file has no responses"
        if read.path.suffix.lower() in WITH_HEADER:
            reason += f": they must follow {_header_place(read.path)}, which names the columns"
        raise BadRows([RowError(read.path, 1, reason, "no_rows")])


def _header_place(path: Path) -> str:
    is_sheet = path.suffix.lower() == ".xlsx"
    return "the first row of the first sheet that is not empty" if is_sheet else "the first line that is not empty"
