"""Write workbooks part by part, as a spreadsheet saves them, or as no spreadsheet would."""

import datetime
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

HEAD = '<?xml version="1.0" encoding="UTF-8"?>'
MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"
DAY_0 = datetime.date(1899, 12, 30)  # the first day of Excel's calendar
SHEET = "xl/worksheets/sheet1.xml"
RELATIONS = "xl/_rels/workbook.xml.rels"
Cell = object


@dataclass(frozen=True, slots=True)
class Failed:
    """A formula that failed."""

    error: str = "#N/A"


def write_workbook(
    path: Path, rows: Sequence[Sequence[Cell]], *, first_row: int = 1, parts: Mapping[str, bytes] | None = None
) -> Path:
    """Write a workbook with one sheet.  `parts` has other contents for parts of the archive, by path."""
    sheet = "".join(_row(number, row) for number, row in enumerate(rows, start=first_row))
    return write_parts(path, {SHEET: sheet_of(sheet)} | dict(parts or {}))


def write_parts(path: Path, more: Mapping[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in (PARTS | dict(more)).items():
            archive.writestr(name, content)
    return path


def sheet_of(rows: str) -> bytes:
    return f'{HEAD}<worksheet xmlns="{MAIN}"><sheetData>{rows}</sheetData></worksheet>'.encode()


def _row(number: int, cells: Sequence[Cell]) -> str:
    return f'<row r="{number}">{"".join(_cell(f"{_letters(n)}{number}", c) for n, c in enumerate(cells))}</row>'


def _letters(column: int) -> str:
    return (chr(64 + column // 26) if column >= 26 else "") + chr(65 + column % 26)


def _cell(place: str, value: Cell) -> str:
    if isinstance(value, str):
        text = f'<is><t xml:space="preserve">{escape(value)}</t></is>'
        return f'<c r="{place}" t="inlineStr">{text}</c>' if value else f'<c r="{place}" s="1"/>'
    if isinstance(value, Failed):
        return f'<c r="{place}" t="e"><f>1/0</f><v>{value.error}</v></c>'
    if isinstance(value, bool):
        return f'<c r="{place}" t="b"><v>{int(value)}</v></c>'
    if isinstance(value, datetime.date):
        return f'<c r="{place}" s="1"><v>{(value - DAY_0).days}</v></c>'
    return f'<c r="{place}"><v>{value}</v></c>' if value is not None else ""


PARTS = {
    "[Content_Types].xml": (
        f'{HEAD}<Types xmlns="{PACKAGE}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        '<Default Extension="xml" ContentType="application/xml"/></Types>'
    ).encode(),
    "_rels/.rels": (
        f'{HEAD}<Relationships xmlns="{PACKAGE}/relationships">'
        f'<Relationship Id="r1" Type="{OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>'
    ).encode(),
    "xl/workbook.xml": (
        f'{HEAD}<workbook xmlns="{MAIN}" xmlns:r="{OFFICE}"><sheets>'
        '<sheet name="Responses" sheetId="1" r:id="r1"/></sheets></workbook>'
    ).encode(),
    RELATIONS: (
        f'{HEAD}<Relationships xmlns="{PACKAGE}/relationships">'
        f'<Relationship Id="r1" Type="{OFFICE}/worksheet" Target="worksheets/sheet1.xml"/>'
        f'<Relationship Id="r2" Type="{OFFICE}/styles" Target="styles.xml"/></Relationships>'
    ).encode(),
    "xl/styles.xml": (
        f'{HEAD}<styleSheet xmlns="{MAIN}"><cellXfs count="2"><xf numFmtId="0"/>'
        '<xf numFmtId="14" applyNumberFormat="1"/></cellXfs></styleSheet>'
    ).encode(),
}
