"""The first sheet of an .xlsx workbook.  Its row with the names of the columns is the first that is not empty."""

import io
import zipfile
import zlib
from collections.abc import Iterator
from copy import copy
from pathlib import Path
from typing import Any

from app.scoring.errors import Panicked, RowError, ScoringError, no_panic
from app.scoring.files.cells import typed_fields
from app.scoring.files.content import BadHeader, Columns, Content
from app.scoring.files.options import ReadOptions, as_shown
from app.scoring.files.sheet import Sheet, first_sheet, look_through, text_sizes

MAX_UNPACKED = 100 * 2**20  # bytes; a hundred thousand long responses have half of it
MAX_CELLS = 5_000_000  # the library that reads a sheet holds all of its rectangle in memory
READ_BYTES = 2**16
MORE_TEXT = 5  # times MAX_UNPACKED: the texts of all cells, as a workbook keeps equal ones once
TEXTS = "xl/sharedStrings.xml"
COLUMNS_WITH_VALUES = ("id", "item_id", "response", "score", "label")
FORMULAS = {
    "failed_cell": "a formula that failed: format the column as text and enter it again",
    "unsolved_cell": "a formula without a result: if a text was meant that begins with =, write it as text; else open "
    "the workbook in a spreadsheet and save it",
}
PATHS = ("xl/workbook.xml", "xl/_rels/workbook.xml.rels")


class BadWorkbook(ScoringError):
    """A file that is no workbook, or is too large to be read."""


def read_workbook(
    path: Path, reading: ReadOptions, max_unpacked: int = MAX_UNPACKED, max_cells: int = MAX_CELLS
) -> Content:
    try:
        content = path.read_bytes()
        sheet, others = _looked_through(content, max_unpacked, max_cells)
        cells = _cells(content)
    except BadWorkbook as error:
        return Content(errors=[RowError.of(path, 1, error)])
    notes = ("only the first sheet is read, and another holds something too",) if others else ()
    header = next((number for number, row in enumerate(cells) if any(value != "" for value in row)), None)
    if header is None:
        return Content(notes=notes)
    try:
        columns = Columns.of([as_shown(value) for value in cells[header]])
    except BadHeader as error:
        return Content(errors=[RowError.of(path, header + 1, error)])
    found = Content(header=header + 1, notes=notes)
    for line, values in enumerate(cells[header + 1 :], start=header + 2):
        for formulas, code in ((sheet.failed, "failed_cell"), (sheet.unsolved, "unsolved_cell")):
            lost = [columns.names[place] for place in formulas.get(line, ()) if place < len(columns.names)]
            found.errors.extend(_lost(path, line, lost, reading, code))
        for row in typed_fields(path, line, columns, values, reading):
            if isinstance(row, RowError):
                found.errors.append(row)
            else:
                found.lines.append(row)
    return found


def _lost(path: Path, line: int, names: list[str], reading: ReadOptions, code: str) -> list[RowError]:
    """Return an error for each such formula in a column that needs its value.  In others the value is missing."""
    lost = [name for name in names if name in (*COLUMNS_WITH_VALUES, reading.score_column)]
    return [RowError(path, line, f"{name!r} holds {FORMULAS[code]}", code, {"column": name}) for name in lost]


def _cells(content: bytes) -> list[list[Any]]:
    """Return all cells of the first sheet, from its first row and column on."""
    from python_calamine import CalamineError, load_workbook  # the service reads no workbook

    try:
        with no_panic():
            return load_workbook(io.BytesIO(content)).get_sheet_by_index(0).to_python(skip_empty_area=False)
    except (CalamineError, Panicked, ValueError, OSError) as error:
        raise BadWorkbook(f"the workbook cannot be read: {type(error).__name__}", code="bad_workbook") from None


def _looked_through(content: bytes, max_unpacked: int, max_cells: int) -> tuple[Sheet, bool]:
    """Unpack every part once, in pieces, to know the real size of all before a library unpacks it whole.

    Return the first sheet's extent, and whether another sheet holds something.  Raises BadWorkbook.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            parts = archive.infolist()
            if sum(part.file_size for part in parts) > max_unpacked:
                raise _too_large(max_unpacked)
            names = {part.filename for part in parts}
            first = first_sheet(*(archive.read(name) if name in names else b"" for name in PATHS))
            left, sheets, sizes = max_unpacked, dict[str, Sheet](), list[int]()
            for part in parts:
                unpacked = _Unpacked(archive, part, left, max_unpacked)
                if part.filename.startswith("xl/worksheets/"):
                    sheets[part.filename] = look_through(unpacked)
                elif part.filename == TEXTS:
                    sizes = text_sizes(unpacked)
                else:
                    for _ in unpacked:
                        pass
                left -= unpacked.size
                if unpacked.size != part.file_size:
                    raise BadWorkbook("the workbook does not say its true size", code="untrue_size")
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError, ValueError) as error:
        reason = f"not a workbook ({type(error).__name__}): save it as .xlsx, without a password"
        raise BadWorkbook(reason, code="bad_workbook") from None
    for sheet in sheets.values():
        if sheet.rows * sheet.columns > max_cells:
            where = f"row {sheet.rows} and column {sheet.columns}"
            reason = f"a sheet reaches to {where}: delete what stands far from the table"
            raise BadWorkbook(reason, code="sheet_too_large", rows=sheet.rows, columns=sheet.columns)
        if sheet.text_bytes(sizes) > MORE_TEXT * max_unpacked:
            reason = "a long text stands in too many cells: keep only the sheet with the responses"
            raise BadWorkbook(reason, code="workbook_too_large")
    return sheets.get(first, Sheet()), any(sheet.rows for name, sheet in sheets.items() if name != first)


class _Unpacked:
    """The pieces of a part of the archive, to its real end.  Raises BadWorkbook beyond `left` bytes."""

    def __init__(self, archive: zipfile.ZipFile, part: zipfile.ZipInfo, left: int, most: int) -> None:
        self._archive, self._part, self._left, self._most = archive, copy(part), left, most
        self._part.file_size = left + 2 * READ_BYTES  # zipfile stops at the size that a part declares
        self.size = 0

    def __iter__(self) -> Iterator[bytes]:
        with self._archive.open(self._part) as opened:
            while piece := opened.read(READ_BYTES):
                self.size += len(piece)
                if self.size > self._left:
                    raise _too_large(self._most)
                yield piece


def _too_large(most: int) -> BadWorkbook:
    reason = f"the workbook has more than {most // 2**20} MiB when unpacked: keep only the sheet with the responses"
    return BadWorkbook(reason, code="workbook_too_large")
