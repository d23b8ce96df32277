"""The extent of a sheet and its failed formulas, found in its XML before a library reads it."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

_TAG = re.compile(rb"<(?:\w+:)?(c|row)\b([^>]*?)(/?)>")
_PLACE = re.compile(rb"""\sr\s*=\s*["']([A-Z]{0,3})([0-9]{1,7})["']""")
_FAILED = re.compile(rb"""\st\s*=\s*["']e["']""")
_FIRST = re.compile(rb"""<(?:\w+:)?sheet\b[^>]*?\s(?:\w+:)?id\s*=\s*["']([^"']+)["']""")
_RELATION = re.compile(rb"<(?:\w+:)?Relationship\b[^>]*>")
LONGEST_TAG = 2**16


@dataclass(slots=True)
class Sheet:
    rows: int = 0  # the last row with a value
    columns: int = 0
    size: int = 0  # bytes of XML
    failed: dict[int, list[int]] = field(default_factory=dict)  # row: columns from 0 with a formula's error


def look_through(pieces: Iterable[bytes]) -> Sheet:
    """Find the last row and column with a value.  Raises ValueError for XML that no sheet has."""
    sheet, row, column, rest = Sheet(), 0, 0, b""
    for piece in pieces:
        if sheet.size == 0 and piece.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise ValueError("a sheet in UTF-16")
        sheet.size += len(piece)
        text = rest + piece
        opened = text.rfind(b"<")
        rest = text[opened:] if opened > text.rfind(b">") else b""
        if len(rest) > LONGEST_TAG:
            raise ValueError("a tag without end")
        for tag in _TAG.finditer(text):
            place = _PLACE.search(tag[2])
            if tag[1] == b"row":
                row, column = int(place[2]) if place else row + 1, 0
                continue
            column += 1
            if place:
                row, column = int(place[2]), _number(place[1])
            if tag[3]:  # a cell that has a format and no value
                continue
            sheet.rows, sheet.columns = max(sheet.rows, row), max(sheet.columns, column)
            if _FAILED.search(tag[2]):
                sheet.failed.setdefault(row, []).append(column - 1)
    return sheet


def first_sheet(workbook: bytes, relations: bytes) -> str:
    """Return the path of the first sheet in the archive, or nothing where the workbook does not tell."""
    first = _FIRST.search(workbook)
    for relation in _RELATION.findall(relations) if first else ():
        attributes = dict(re.findall(rb"""(\w+)\s*=\s*["']([^"']*)["']""", relation))
        if first and attributes.get(b"Id") == first[1]:
            target = attributes.get(b"Target", b"").decode(errors="replace")
            return target.removeprefix("/") if target.startswith("/") else f"xl/{target}"
    return ""


def _number(letters: bytes) -> int:
    """The number of a column from its letters: A is 1, AA is 27."""
    number = 0
    for letter in letters:
        number = 26 * number + letter - ord("A") + 1
    return number
