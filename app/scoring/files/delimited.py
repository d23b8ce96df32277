"""Read delimited text (.csv, .tsv) as Excel, Canvas, pandas and R write it."""

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

HEADER = 2**18  # characters in which the header must end
DELIMITERS = (",", ";", "\t", "|")
AS_UTF_8 = 'save it as UTF-8 (a spreadsheet calls that "CSV UTF-8")'
QUOTES = 'put texts that contain a quote in quotes, and double the quote inside ("")'
UTF_16 = (b"\xff\xfe", b"\xfe\xff")  # Excel's "Unicode text"
SEPARATOR_LINE = re.compile(r'"?sep=(.)"?[;, \t]*(\r\n|\r|\n)', re.IGNORECASE)


class UnclearDelimiter(ScoringError):
    """A header that two delimiters split into known names."""


def read_delimited(path: Path, reading: ReadOptions) -> Content:
    """Return the content of a .csv or .tsv file."""
    csv.field_size_limit(50 * MAX_CHARACTERS)  # A longer text cannot be a response.
    content = path.read_bytes()
    encoding = "utf-16" if content.startswith(UTF_16) else "utf-8-sig"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        before = content[: error.start]
        line = before.count(b"\n") + 1
        return Content.refused(RowError(path, line, f"not UTF-8: {AS_UTF_8}", "not_utf_8"))
    first, declared = 1, None
    if separator := SEPARATOR_LINE.match(text):
        text, first, declared = text[separator.end() :], 2, separator[1]
    try:
        delimiter = "\t" if reading.delimiter == "tab" else reading.delimiter or declared or _delimiter(text)
    except UnclearDelimiter as error:
        return Content.refused(RowError.of(path, first, error))
    file = Content(delimiter=delimiter, header=first - 1 + _header_end(text, delimiter))
    for row in _rows(path, text, delimiter, first):
        if isinstance(row, RowError):
            file.errors.append(row)
        else:
            file.lines.append(row)
    return file


def _rows(path: Path, text: str, delimiter: str, first: int) -> Iterator[Line | RowError]:
    lines, spaced = io.StringIO(text, newline=""), _spaced(text, delimiter)
    reader = csv.reader(lines, strict=True, delimiter=delimiter, skipinitialspace=spaced)
    line = first
    try:
        columns = Columns.of(_first_row(reader))
        line = first + reader.line_num
        for values in reader:
            yield from columns.fields(path, line, values)
            line = first + reader.line_num
    except csv.Error as error:  # After a broken quote, the following lines cannot be read.
        yield RowError(path, line, f"not CSV: {error}: {QUOTES}", "not_csv")
    except BadHeader as error:
        yield RowError.of(path, first, error)


def _delimiter(text: str) -> str:
    """Return the delimiter that splits the header into the most known names; without any, into the most columns.

    Raises UnclearDelimiter if two delimiters give different headers with equally many known names.
    """
    headers = {delimiter: _header(text, delimiter, spaced=True) for delimiter in DELIMITERS}
    known_names = {delimiter: sum(map(is_known_column, names)) for delimiter, names in headers.items()}
    most = max(known_names.values())
    best = [delimiter for delimiter in DELIMITERS if known_names[delimiter] == most]
    if most == 0:
        return max(best, key=lambda delimiter: len(headers[delimiter]))
    first = headers[best[0]]
    if any(headers[delimiter] != first for delimiter in best):
        raise UnclearDelimiter(
            "the first line can be split into columns in more than one way: give the delimiter by --delimiter",
            code="unclear_delimiter",
        )
    return best[0]


def _header(text: str, delimiter: str, *, spaced: bool) -> list[str]:
    lines = io.StringIO(text[:HEADER], newline="")
    reader = csv.reader(lines, strict=True, delimiter=delimiter, skipinitialspace=spaced)
    try:
        names = _first_row(reader)
    except csv.Error:
        return []
    return [name.strip() for name in names] if spaced else names


def _first_row(rows: Iterator[list[str]]) -> list[str]:
    """Return the first row that is not empty: the header."""
    for row in rows:
        if any(map(str.strip, row)):
            return row
    return []


def _header_end(text: str, delimiter: str) -> int:
    """Return the number of the line on which the header ends."""
    lines = io.StringIO(text[:HEADER], newline="")
    reader = csv.reader(lines, delimiter=delimiter)
    with suppress(csv.Error):  # `_rows` reports the error.
        _first_row(reader)
    return reader.line_num


def _spaced(text: str, delimiter: str) -> bool:
    """Return whether each delimiter is followed by a space that belongs to no field.  scorelet writes no such space."""
    names = _header(text, delimiter, spaced=False)
    after_first = names[1:]
    return ORIGIN_MARK not in names and any(name.startswith(" ") for name in after_first)
