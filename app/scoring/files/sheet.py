"""The size of a sheet, its texts and its failed formulas, found in XML before a library reads it."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

_TAG = re.compile(rb"<(?:\w+:)?(c|row|f|v)\b([^>]*?)(/?)>([^<]*)")
_PLACE = re.compile(rb"""\sr\s*=\s*["']([A-Z]{0,3})([0-9]{1,7})["']""")
_KIND = re.compile(rb"""\st\s*=\s*["'](\w+)["']""")
_TEXT = re.compile(rb"<(?:\w+:)?si\b")
_FIRST = re.compile(rb"""<(?:\w+:)?sheet\b[^>]*?\s(?:\w+:)?id\s*=\s*["']([^"']+)["']""")
_RELATION = re.compile(rb"<(?:\w+:)?Relationship\b[^>]*>")
LONGEST_TAG = 2**17  # with the text behind it; a cell of a spreadsheet holds 32,767 characters


@dataclass(slots=True)
class Sheet:
    rows: int = 0  # the last row with a value
    columns: int = 0
    failed: dict[int, list[int]] = field(default_factory=dict)  # row: columns from 0 with a formula's error
    unsolved: dict[int, list[int]] = field(default_factory=dict)  # the same with a formula that has no result
    texts: Counter[int] = field(default_factory=Counter)  # how often a cell shows each of the workbook's texts

    def text_bytes(self, sizes: Sequence[int]) -> int:
        """Return the bytes of all cells' texts: a workbook keeps a text once, however many cells show it."""
        return sum(count * sizes[number] for number, count in self.texts.items() if number < len(sizes))


def look_through(pieces: Iterable[bytes]) -> Sheet:
    """Find the last row and column with a value.  Raises ValueError for XML that no sheet has."""
    sheet, row, column, kind = Sheet(), 0, 0, b""
    for text in _whole_tags(pieces):
        for tag in _TAG.finditer(text):
            if tag[1] == b"f":  # a program wrote it, and no spreadsheet computed it, unless a value follows
                if kind != b"str":  # where the result is a text, it may be empty
                    sheet.unsolved.setdefault(row, []).append(column - 1)
                continue
            if tag[1] == b"v":
                if tag[4] and sheet.unsolved.get(row, [])[-1:] == [column - 1]:
                    sheet.unsolved[row].pop()
                if kind == b"s" and tag[4].strip().isdigit():
                    sheet.texts[int(tag[4])] += 1
                continue
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
            found = _KIND.search(tag[2])
            kind = found[1] if found else b""
            if kind == b"e":
                sheet.failed.setdefault(row, []).append(column - 1)
    return sheet


def text_sizes(pieces: Iterable[bytes]) -> list[int]:
    """Return the bytes of each text that the cells of a workbook share."""
    starts, place = [], 0
    for text in _whole_tags(pieces):
        starts += [place + tag.start() for tag in _TEXT.finditer(text)]
        place += len(text)
    return [end - start for start, end in zip(starts, [*starts[1:], place], strict=True)]


def _whole_tags(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the same bytes in pieces that end before a tag."""
    rest = b""
    for number, piece in enumerate(pieces):
        if number == 0 and piece.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise ValueError("a part in UTF-16")
        text = rest + piece
        cut = text.rfind(b"<")
        if len(text) - cut > LONGEST_TAG:
            raise ValueError("a tag without end")
        yield text[:cut] if cut > 0 else b""
        rest = text[max(cut, 0) :]
    yield rest


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
    """Return the number of a column from its letters: A is 1, AA is 27."""
    number = 0
    for letter in letters:
        number = 26 * number + letter - ord("A") + 1
    return number
