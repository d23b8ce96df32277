"""Rows of a file, with the line they stand on.  Their meaning is the caller's business."""

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
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_COMMA = re.compile(r"[+-]?\d*,\d+", re.ASCII)
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(,\d{3})+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Row:
    file: Path
    line: int
    fields: dict[str, Any]
    decimal: str = "."
    nth: int = 1  # among the rows that begin on the line
    header: int = 1  # the line with the names of the columns

    @property
    def place(self) -> str:
        """Return a name for a row without an id; no other row of the file has it."""
        nth = "" if self.nth == 1 else f".{self.nth}"
        return f"{self.file.stem}-{self.line}{nth}"

    def error(self, reason: str, *, code: str = "bad_row", **fields: object) -> RowError:
        return RowError(self.file, self.line, reason, code, fields)

    def error_of(self, error: CodedError) -> RowError:
        return RowError.of(self.file, self.line, error)

    def text(self, name: str, most: int = MAX_CHARACTERS) -> str:
        """Return a text field.  Raises BadText when it is missing, no text, or not to be stored."""
        value = self.fields.get(name)
        if value is None:
            blank = ': write "" where a learner wrote nothing' if name == "response" else ""
            raise BadText(f"{name!r} is missing{blank}", code="missing", column=name)
        if not isinstance(value, str):
            raise BadText(f"{name!r} must be text, not {safe_description(value)}", code="not_text", column=name)
        try:
            return checked_text(value, most)
        except BadText as error:
            raise BadText(f"{name!r}: {error}", code=error.code, column=name, **error.fields) from None

    def response(self, form: Format) -> str:
        """Return the learner's words without their mark-up.  Raises BadText."""
        sent = self.text("response", MAX_SENT)
        try:
            return read_response(sent, form)
        except BadText as error:
            raise BadText(f"'response': {error}", code=error.code, column="response", **error.fields) from None

    def item_id(self) -> str:
        """Return the id of the item: a number is the text that it shows, spaces about it do not count.

        Raises BadText.
        """
        value = self.fields.get("item_id")
        if isinstance(value, int | float) and not isinstance(value, bool):
            return as_shown(value)
        return self.text("item_id").strip()

    def number(self, name: str) -> float | None:
        """Return the number in a field, or None where there is none.

        Raises BadText for a text that is one number with a decimal comma and another with a decimal point.
        """
        value = self.fields.get(name)
        if isinstance(value, int | float):
            return None if isinstance(value, bool) or abs(value) >= 2**1000 else float(value)
        if not isinstance(value, str):
            return None
        text = value.strip()
        if self.decimal == ",":
            if "." in text and _NUMBER.fullmatch(text):
                reason = f"{name!r} is {safe_description(value)}, while a comma stands before the decimals of this file"
                raise BadText(reason, code="mixed_decimals", column=name)
            text = text.replace(",", ".", 1)
        elif _COMMA.fullmatch(text) or _THOUSANDS.fullmatch(text):
            raise BadText(
                f"{name!r} is {safe_description(value)}: its comma may stand before decimals or between thousands. "
                "Give `--decimal ,` if it stands before decimals; otherwise write the number without it",
                code="ambiguous_comma",
                column=name,
            )
        return float(text) if _NUMBER.fullmatch(text) else None


@dataclass(frozen=True, slots=True)
class RowFile:
    """A file as read."""

    path: Path
    rows: list[Row]
    is_ours: bool  # whether scorelet wrote it: its `score` is a machine's
    notes: tuple[str, ...]  # what was found out about it


def safe_description(value: object) -> str:
    """Return a value as an error may name it: numbers as they are, of texts and lists only what they are.

    A misplaced column may put a learner's words anywhere.
    """
    if value == "":
        return "nothing"
    if value is None or isinstance(value, bool | int | float):
        return "a huge number" if isinstance(value, int) and abs(value) >= 10**12 else repr(value)
    if isinstance(value, str):
        digits = value.replace(".", "").replace(",", "").lstrip("-")
        return repr(value) if digits.isdigit() and len(value) < 12 else "a text"
    return f"a {type(value).__name__}"


def read_rows(path: Path, reading: ReadOptions = DEFAULT_OPTIONS) -> list[Row]:
    """Return every row of the file.  Raises BadRows naming all that cannot be read."""
    return read_file(path, reading).rows


def read_file(path: Path, reading: ReadOptions) -> RowFile:
    """Read a file by the end of its name.  Raises BadRows naming all rows that cannot be read."""
    read = READERS.get(path.suffix.lower())
    if read is None:
        ends = ", ".join(FORMATS)
        reason = f"the file's name must end in one of {ends}: save the file as one (text with tabs: rename it to .tsv)"
        raise BadRows([RowError(path, 1, reason, "unknown_format")])
    content = read(path, reading)
    if content.errors:
        raise BadRows(content.errors)
    decimal = reading.decimal or _decimal(content, reading)
    is_ours = any(ORIGIN_MARK in fields for _, fields in content.lines)
    rows: list[Row] = []
    for line, fields in content.lines:
        nth = rows[-1].nth + 1 if rows and rows[-1].line == line else 1
        rows.append(Row(path, line, _without_guards(fields), decimal, nth, content.header))
    return RowFile(path, rows, is_ours, tuple(_notes(path, content, reading, decimal)))


def _without_guards(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields as they were before we wrote them; the fields of another's file as they are."""
    if ORIGIN_MARK not in fields:
        return fields
    given = {name: value for name, value in fields.items() if name != ORIGIN_MARK}
    if fields[ORIGIN_MARK] == RAW:
        return given
    if fields[ORIGIN_MARK] != GUARDED:  # a row that somebody added: its texts never had a guard, the names do
        return {unguarded(name): value for name, value in given.items()}
    return {unguarded(name): _without_guard(value) for name, value in given.items()}


def _without_guard(value: Any) -> Any:
    return unguarded(value) if isinstance(value, str) else value


def _decimal(content: Content, reading: ReadOptions) -> str:
    """Return the sign before the decimals of scores, where the file leaves no doubt.

    Where a semicolon separates the columns, the comma is free for decimals.  A tab does not tell: one number at
    least may have no form of thousands.
    """
    if content.delimiter not in (";", "\t"):
        return "."
    values = [fields.get(name) for _, fields in content.lines for name in reading.score_columns]
    texts = [value.strip() for value in values if isinstance(value, str)]
    commas = [text for text in texts if _COMMA.fullmatch(text) or _THOUSANDS.fullmatch(text)]
    if not commas or any("." in text for text in texts) or not all(_COMMA.fullmatch(text) for text in commas):
        return "."
    return "," if content.delimiter == ";" or not all(_THOUSANDS.fullmatch(text) for text in commas) else "."


def _notes(path: Path, content: Content, reading: ReadOptions, decimal: str) -> list[str]:
    notes = [f"{path.name}: {note}" for note in content.notes]
    usual = {".csv": ",", ".tsv": "\t"}.get(path.suffix.lower(), content.delimiter)
    if content.delimiter != usual and reading.delimiter is None:
        notes.append(
            f"{path.name}: columns are separated by {DELIMITER_NAMES.get(content.delimiter, repr(content.delimiter))}"
        )
    if decimal == "," and reading.decimal is None:
        notes.append(f"{path.name}: a comma stands before the decimals of scores")
    return notes


def require_columns(rows: Sequence[Row], names: Sequence[str]) -> None:
    """Raise BadRows, once for a whole file with a line of names, where that line does not have these."""
    first = next((row for row in rows if row.file.suffix.lower() in WITH_HEADER), None)
    if first is None or not (missing := [name for name in names if name not in first.fields]):
        return
    found = [name for name in first.fields if name.casefold() in missing]  # others may be a learner's words
    hint = f" (there is {', '.join(map(repr, found))})" if found else ""
    if len(first.fields) == 1 and first.file.suffix.lower() in DELIMITED:
        hint += ", and one column in all (is the delimiter right?)"
    reason = f"no column {', '.join(map(repr, missing))}{hint}: {_where_names_stand(first.file)} must name the columns"
    raise BadRows([RowError(first.file, first.header, reason, "no_column", {"columns": missing, "found": found})])


def require_rows(read: RowFile) -> None:
    """Raise BadRows for a file without a response.  Its names may be in order, or it may be the wrong sheet."""
    if not read.rows:
        below = f": {_where_names_stand(read.path)} is taken for the names of the columns"
        reason = f"no response stands in it{below if read.path.suffix.lower() in WITH_HEADER else ''}"
        raise BadRows([RowError(read.path, 1, reason, "no_rows")])


def _where_names_stand(path: Path) -> str:
    is_sheet = path.suffix.lower() == ".xlsx"
    return "the first row of the first sheet that is not empty" if is_sheet else "the first line that is not empty"
