"""Scan the XML of a sheet for its size, its texts and its failed formulas, before a library reads the sheet."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

_TAG = re.compile(rb"<(?:\w+:)?(c|row|f|v)\b([^>]*?)(/?)>([^<]*)")
_CELL_PLACE = re.compile(rb"""\sr\s*=\s*["']([A-Z]{0,3})([0-9]{1,7})["']""")
_CELL_TYPE = re.compile(rb"""\st\s*=\s*["'](\w+)["']""")
_SHARED_TEXT = re.compile(rb"<(?:\w+:)?si\b")
_FIRST_SHEET = re.compile(rb"""<(?:\w+:)?sheet\b[^>]*?\s(?:\w+:)?id\s*=\s*["']([^"']+)["']""")
_RELATION = re.compile(rb"<(?:\w+:)?Relationship\b[^>]*>")
_ATTRIBUTE = re.compile(rb"""(\w+)\s*=\s*["']([^"']*)["']""")
LONGEST_TAG = 2**17  # bytes, with the text after the tag; a cell of a spreadsheet holds 32,767 characters


@dataclass(slots=True)
class Sheet:
    """The extent of a sheet, its failed formulas and the use of shared texts."""

    rows: int = 0  # the last row with a value
    columns: int = 0  # the last column with a value
    failed: dict[int, list[int]] = field(default_factory=dict)  # row → columns, from 0, whose formula failed
    unsolved: dict[int, list[int]] = field(default_factory=dict)  # row → columns, from 0, whose formula has no result
    texts: Counter[int] = field(default_factory=Counter)  # number of cells with each shared text of the workbook

    def text_bytes(self, sizes: Sequence[int]) -> int:
        """Return the bytes of all cells' texts, given the size of each shared text.

        A workbook stores a text once, even if many cells show it.
        """
        counts = [(number, count) for number, count in self.texts.items() if number < len(sizes)]
        return sum(count * sizes[number] for number, count in counts)


def look_through(pieces: Iterable[bytes]) -> Sheet:
    """Return the extent of a sheet.  Raises ValueError for XML that no sheet has."""
    scan = _SheetScan()
    for text in _whole_tags(pieces):
        for tag in _TAG.finditer(text):
            scan.read(tag)
    return scan.sheet


class _SheetScan:
    """Reads the tags of a sheet in order."""

    def __init__(self) -> None:
        self.sheet = Sheet()
        self._row = self._column = 0
        self._cell_type = b""

    def read(self, tag: re.Match[bytes]) -> None:
        name, attributes, is_empty, text = tag.groups()
        if name == b"f":
            self._read_formula()
        elif name == b"v":
            self._read_value(text)
        elif name == b"row":
            place = _CELL_PLACE.search(attributes)
            self._row, self._column = int(place[2]) if place else self._row + 1, 0
        else:
            self._read_cell(attributes, is_empty)

    def _read_cell(self, attributes: bytes, is_empty: bytes) -> None:
        self._column += 1
        if place := _CELL_PLACE.search(attributes):
            self._row, self._column = int(place[2]), _column_number(place[1])
        if is_empty:  # The cell has a format and no value.
            return
        sheet = self.sheet
        sheet.rows, sheet.columns = max(sheet.rows, self._row), max(sheet.columns, self._column)
        cell_type = _CELL_TYPE.search(attributes)
        self._cell_type = cell_type[1] if cell_type else b""
        if self._cell_type == b"e":
            sheet.failed.setdefault(self._row, []).append(self._column - 1)

    def _read_formula(self) -> None:
        # Without a value after it, no spreadsheet has computed the formula.  A result of type text may be empty.
        if self._cell_type != b"str":
            self.sheet.unsolved.setdefault(self._row, []).append(self._column - 1)

    def _read_value(self, text: bytes) -> None:
        unsolved = self.sheet.unsolved.get(self._row)
        if text and unsolved and unsolved[-1] == self._column - 1:
            unsolved.pop()
        if self._cell_type == b"s" and text.strip().isdigit():
            self.sheet.texts[int(text)] += 1


def text_sizes(pieces: Iterable[bytes]) -> list[int]:
    """Return the size in bytes of each shared text of a workbook."""
    starts, place = [], 0
    for text in _whole_tags(pieces):
        starts += [place + tag.start() for tag in _SHARED_TEXT.finditer(text)]
        place += len(text)
    return [end - start for start, end in pairwise([*starts, place])]


def _whole_tags(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the bytes in pieces that end before a tag."""
    rest = b""
    for number, piece in enumerate(pieces):
        if number == 0 and piece.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise ValueError("the part is in UTF-16")
        text = rest + piece
        cut = text.rfind(b"<")
        if len(text) - cut > LONGEST_TAG:
            raise ValueError("a tag has no end")
        yield text[:cut] if cut > 0 else b""
        rest = text[max(cut, 0) :]
    yield rest


def first_sheet(workbook: bytes, relations: bytes) -> str:
    """Return the path of the first sheet in the archive; "" if the workbook does not name it.

    Args:
        workbook: content of xl/workbook.xml.
        relations: content of xl/_rels/workbook.xml.rels.
    """
    first = _FIRST_SHEET.search(workbook)
    if first is None:
        return ""
    for relation in _RELATION.findall(relations):
        attributes = dict(_ATTRIBUTE.findall(relation))
        if attributes.get(b"Id") == first[1]:
            target = attributes.get(b"Target", b"").decode(errors="replace")
            return target.removeprefix("/") if target.startswith("/") else f"xl/{target}"
    return ""


def _column_number(letters: bytes) -> int:
    """Return the number of a column from its letters: A is 1, AA is 27."""
    number = 0
    for letter in letters:
        number = 26 * number + letter - ord("A") + 1
    return number
