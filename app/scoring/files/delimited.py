"""Columns of text (.csv, .tsv) as Excel, Canvas, pandas and R write them."""

import csv
import io
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from app.scoring.errors import RowError, ScoringError
from app.scoring.files.content import BadHeader, Columns, Content, Line
from app.scoring.files.options import ReadOptions, is_known_column
from app.scoring.files.output import ORIGIN_MARK
from app.scoring.text import MAX_CHARACTERS

HEADER = 2**18  # characters among which the names of the columns stand
DELIMITERS = (",", ";", "\t", "|")
AS_UTF_8 = 'save it as UTF-8 (a spreadsheet calls that "CSV UTF-8")'
QUOTES = 'a text with a quote in it stands in quotes, and the quote within twice ("")'
UTF_16 = (b"\xff\xfe", b"\xfe\xff")  # "Unicode text" of Excel
_SEP = re.compile(r'"?sep=(.)"?[;, \t]*(\r\n|\r|\n)', re.IGNORECASE)


class UnclearDelimiter(ScoringError):
    """Two delimiters give the header a meaning."""


def read_delimited(path: Path, reading: ReadOptions) -> Content:
    csv.field_size_limit(50 * MAX_CHARACTERS)  # a longer text is no response in any encoding
    content = path.read_bytes()
    try:
        text = content.decode("utf-16" if content.startswith(UTF_16) else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        return Content(errors=[RowError(path, line, f"not UTF-8: {AS_UTF_8}", "not_utf_8")])
    first = 1
    named = _SEP.match(text)
    if named:
        text, first = text[named.end() :], 2
    try:
        given = named[1] if named else None
        delimiter = "\t" if reading.delimiter == "tab" else reading.delimiter or given or _delimiter(text)
    except UnclearDelimiter as error:
        return Content(errors=[RowError.of(path, first, error)])
    found = Content(delimiter=delimiter, header=first - 1 + _names_end(text, delimiter))
    for row in _rows(path, text, delimiter, first):
        if isinstance(row, RowError):
            found.errors.append(row)
        else:
            found.lines.append(row)
    return found


def _rows(path: Path, text: str, delimiter: str, first: int) -> Iterator[Line | RowError]:
    reader = csv.reader(
        io.StringIO(text, newline=""), strict=True, delimiter=delimiter, skipinitialspace=_spaced(text, delimiter)
    )
    line = first
    try:
        columns = Columns.of(_first(reader))
        line = first + reader.line_num
        for values in reader:
            yield from columns.fields(path, line, values)
            line = first + reader.line_num
    except csv.Error as error:  # after a broken quote no line can be trusted
        yield RowError(path, line, f"not CSV: {error}: {QUOTES}", "not_csv")
    except BadHeader as error:
        yield RowError.of(path, first, error)


def _delimiter(text: str) -> str:
    """Return the delimiter that gives the header the most names we know, else the most columns.

    Raises UnclearDelimiter.
    """
    headers = {delimiter: _header(text, delimiter, spaced=True) for delimiter in DELIMITERS}
    known = {delimiter: sum(map(is_known_column, names)) for delimiter, names in headers.items()}
    most = max(known.values())
    best = [delimiter for delimiter in DELIMITERS if known[delimiter] == most]
    if most == 0:
        return max(best, key=lambda delimiter: len(headers[delimiter]))
    if any(headers[delimiter] != headers[best[0]] for delimiter in best):
        raise UnclearDelimiter(
            "the first line can be split into columns in more than one way: name the delimiter by --delimiter",
            code="unclear_delimiter",
        )
    return best[0]


def _header(text: str, delimiter: str, *, spaced: bool) -> list[str]:
    lines = io.StringIO(text[:HEADER], newline="")
    reader = csv.reader(lines, strict=True, delimiter=delimiter, skipinitialspace=spaced)
    try:
        names = _first(reader)
    except csv.Error:
        return []
    return [name.strip() for name in names] if spaced else names


def _first(rows: Iterator[list[str]]) -> list[str]:
    """Return the first row that is not empty: a sheet may begin with rows that are."""
    return next((row for row in rows if any(cell.strip() for cell in row)), [])


def _names_end(text: str, delimiter: str) -> int:
    """Return the number of the line on which the names of the columns end."""
    reader = csv.reader(io.StringIO(text[:HEADER], newline=""), delimiter=delimiter)
    with suppress(csv.Error):  # whoever reads the rows says it
        _first(reader)
    return reader.line_num


def _spaced(text: str, delimiter: str) -> bool:
    """Return whether a space follows every delimiter and belongs to no field.  Our files have no such space."""
    names = _header(text, delimiter, spaced=False)
    return ORIGIN_MARK not in names and any(name.startswith(" ") for name in names[1:])
