"""Read the first sheet of an .xlsx workbook.  Its first row that is not empty names the columns."""

import io
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.scoring.errors import Panicked, RowError, ScoringError, no_panic
from app.scoring.files.cells import typed_fields
from app.scoring.files.content import BadHeader, Columns, Content
from app.scoring.files.options import ReadOptions, as_shown
from app.scoring.files.sheet import Sheet, first_sheet, look_through, text_sizes

MAX_UNPACKED = 100 * 2**20  # bytes; a hundred thousand long responses take half
MAX_CELLS = 5_000_000  # The library that reads a sheet holds its whole rectangle in memory.
READ_BYTES = 2**16
MORE_TEXT = 5  # The texts of all cells may take this many times MAX_UNPACKED.  A workbook stores equal texts once.
SHARED_TEXTS = "xl/sharedStrings.xml"
COLUMNS_WITH_VALUES = ("id", "item_id", "response", "score", "label")
FORMULAS = {
    "failed_cell": "a formula that failed: format the column as text and enter it again",
    "unsolved_cell": "a formula without a result: open the workbook in a spreadsheet and save it; if the cell holds a "
    "text that begins with =, format the column as text",
}
WORKBOOK_PARTS = ("xl/workbook.xml", "xl/_rels/workbook.xml.rels")


class BadWorkbook(ScoringError):
    """A file that is not a workbook or is too large to read."""


def read_workbook(
    path: Path, reading: ReadOptions, max_unpacked: int = MAX_UNPACKED, max_cells: int = MAX_CELLS
) -> Content:
    """Return the content of a workbook's first sheet."""
    try:
        content = path.read_bytes()
        sheet, has_other_sheets = _scan(content, max_unpacked, max_cells)
        cells = _cells(content)
    except BadWorkbook as error:
        return Content.refused(RowError.of(path, 1, error))
    notes = ("only the first sheet is read, but another sheet is not empty",) if has_other_sheets else ()
    header = _first_row(cells)
    if header is None:
        return Content(notes=notes)
    try:
        columns = Columns.of([as_shown(value) for value in cells[header]])
    except BadHeader as error:
        return Content.refused(RowError.of(path, header + 1, error))
    file = Content(header=header + 1, notes=notes)
    for line, values in enumerate(cells[header + 1 :], start=header + 2):
        file.errors.extend(_lost_formulas(path, line, columns.names, sheet, reading))
        for row in typed_fields(path, line, columns, values, reading):
            if isinstance(row, RowError):
                file.errors.append(row)
            else:
                file.lines.append(row)
    return file


def _first_row(cells: list[list[Any]]) -> int | None:
    """Return the index of the first row that is not empty."""
    for number, row in enumerate(cells):
        if any(value != "" for value in row):
            return number
    return None


def _lost_formulas(
    path: Path, line: int, names: Sequence[str], sheet: Sheet, reading: ReadOptions
) -> Iterator[RowError]:
    """Yield an error for each formula without a value, if its column needs a value.  In others the value is missing."""
    needed = (*COLUMNS_WITH_VALUES, reading.score_column)
    for code, formulas in (("failed_cell", sheet.failed), ("unsolved_cell", sheet.unsolved)):
        for place in formulas.get(line, ()):
            name = names[place] if place < len(names) else None
            if name in needed:
                reason = f"{name!r} holds {FORMULAS[code]}"
                yield RowError(path, line, reason, code, {"column": name})


def _cells(content: bytes) -> list[list[Any]]:
    """Return all cells of the first sheet, from its first row and column."""
    from python_calamine import CalamineError, load_workbook  # The service never reads workbooks.

    try:
        with no_panic():
            workbook = load_workbook(io.BytesIO(content))
            return workbook.get_sheet_by_index(0).to_python(skip_empty_area=False)
    except (CalamineError, Panicked, ValueError, OSError) as error:
        raise BadWorkbook(f"the workbook cannot be read: {type(error).__name__}", code="bad_workbook") from None


@dataclass
class _Parts:
    """The scanned parts of a workbook."""

    first: str  # path of the first sheet
    sheets: dict[str, Sheet] = field(default_factory=dict)
    text_sizes: list[int] = field(default_factory=list)


def _scan(content: bytes, max_unpacked: int, max_cells: int) -> tuple[Sheet, bool]:
    """Return the first sheet's extent, and whether another sheet has values.

    Every part is unpacked once, in pieces, to learn the real sizes before a library unpacks the workbook as a whole.
    Raises BadWorkbook.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            parts = _scan_parts(archive, max_unpacked)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError, ValueError) as error:
        reason = f"not a workbook ({type(error).__name__}): save it as .xlsx, without a password"
        raise BadWorkbook(reason, code="bad_workbook") from None
    for sheet in parts.sheets.values():
        if sheet.rows * sheet.columns > max_cells:
            where = f"row {sheet.rows} and column {sheet.columns}"
            reason = f"a sheet extends to {where}: delete cells far from the table"
            raise BadWorkbook(reason, code="sheet_too_large", rows=sheet.rows, columns=sheet.columns)
        if sheet.text_bytes(parts.text_sizes) > MORE_TEXT * max_unpacked:
            reason = "too many cells repeat a long text: keep only the sheet with the responses"
            raise BadWorkbook(reason, code="workbook_too_large")
    other_sheets = [sheet for path, sheet in parts.sheets.items() if path != parts.first]
    return parts.sheets.get(parts.first, Sheet()), any(sheet.rows for sheet in other_sheets)


def _scan_parts(archive: zipfile.ZipFile, max_unpacked: int) -> _Parts:
    members = archive.infolist()
    if sum(member.file_size for member in members) > max_unpacked:
        raise _too_large(max_unpacked)
    names = {member.filename for member in members}
    workbook, relations = [archive.read(name) if name in names else b"" for name in WORKBOOK_PARTS]
    parts, bytes_left = _Parts(first_sheet(workbook, relations)), max_unpacked
    for member in members:
        unpacked = _Unpacked(archive, member, bytes_left, max_unpacked)
        if member.filename.startswith("xl/worksheets/"):
            parts.sheets[member.filename] = look_through(unpacked)
        elif member.filename == SHARED_TEXTS:
            parts.text_sizes = text_sizes(unpacked)
        else:
            for _ in unpacked:
                pass
        bytes_left -= unpacked.size
        if unpacked.size != member.file_size:
            raise BadWorkbook("the workbook declares wrong sizes of its parts: save it again", code="untrue_size")
    return parts


class _Unpacked:
    """The pieces of a part of the archive, up to its real end.  Raises BadWorkbook after `left` bytes."""

    def __init__(self, archive: zipfile.ZipFile, part: zipfile.ZipInfo, left: int, most: int) -> None:
        self._archive, self._part, self._left, self._most = archive, copy(part), left, most
        self._part.file_size = left + 2 * READ_BYTES  # zipfile stops at the declared size.
        self.size = 0

    def __iter__(self) -> Iterator[bytes]:
        with self._archive.open(self._part) as opened:
            while piece := opened.read(READ_BYTES):
                self.size += len(piece)
                if self.size > self._left:
                    raise _too_large(self._most)
                yield piece


def _too_large(most: int) -> BadWorkbook:
    reason = f"the workbook takes more than {most // 2**20} MiB unpacked: keep only the sheet with the responses"
    return BadWorkbook(reason, code="workbook_too_large")
