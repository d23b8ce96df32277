import datetime
import re
import struct
import zipfile
from pathlib import Path

import pytest

from app.scoring.errors import BadRows
from app.scoring.files.options import ReadOptions
from app.scoring.files.workbook import read_workbook
from app.scoring.row_files import read_rows
from tests.refusals import refused, rows_refused
from tests.workbooks import OFFICE, PARTS, RELATIONS, SHEET, Failed, sheet_of, write_parts, write_workbook

HEAD = ["id", "item_id", "response", "score", "label", "learner_id", "submitted", "group_a"]
DAY = datetime.date(2026, 3, 15)


def test_first_sheet_is_read_with_row_numbers(tmp_path: Path) -> None:
    rows: list[list[object]] = [
        [*HEAD],
        [7, 12, " warm ", 2, "", 12, DAY, True],
        [],
        ["b", "heat-1", 42, 2.5, 0.1 + 0.2, "x", 1.5, ""],
    ]
    file = write_workbook(tmp_path / "a.xlsx", rows, first_row=3)

    first, second = read_rows(file)

    assert (first.line, second.line) == (4, 6)
    assert first.fields == {
        "id": "7", "item_id": "12", "response": " warm ", "score": 2, "label": "", "learner_id": "12",
        "submitted": "2026-03-15", "group_a": "TRUE",
    }  # fmt: skip
    assert repr(first.fields["score"]) == "2"
    assert (second.fields["response"], second.fields["score"], second.fields["label"]) == ("42", 2.5, "0.3")


@pytest.mark.parametrize(
    ("column", "value", "code"),
    [
        ("response", DAY, "date_cell"),  # typed as 3/15
        ("score", DAY, "date_cell"),
        ("label", DAY, "date_cell"),
        ("learner_id", DAY, "date_cell"),
        ("response", True, "boolean_cell"),
        ("score", False, "boolean_cell"),
        ("response", Failed("#NAME?"), "failed_cell"),  # typed as =a+b
        ("score", Failed("#DIV/0!"), "failed_cell"),
    ],
)
def test_cell_that_replaced_typed_text_is_reported(tmp_path: Path, column: str, value: object, code: str) -> None:
    row = {"item_id": "heat-1", "response": "warm", "score": 2, "label": "x"}
    file = write_workbook(tmp_path / "a.xlsx", [HEAD, [({"id": "a"} | row | {column: value}).get(n, "") for n in HEAD]])

    with refused(BadRows) as caught:
        read_rows(file)

    assert rows_refused(caught.value.errors) == [("a.xlsx", 2, code)]
    assert caught.value.errors[0].fields == {"column": column}


def test_workbook_with_an_empty_table_of_shared_texts_is_read(tmp_path: Path) -> None:
    rows = [["item_id", "response"], ["heat-1", "warm"]]
    file = write_workbook(tmp_path / "a.xlsx", rows, parts={"xl/sharedStrings.xml": b"<sst/>"})

    assert [row.fields for row in read_rows(file)] == [{"item_id": "heat-1", "response": "warm"}]


def test_failed_formula_in_another_column_is_a_missing_value(tmp_path: Path) -> None:
    file = write_workbook(tmp_path / "a.xlsx", [["item_id", "learner_id"], ["heat-1", Failed("#N/A")]])

    assert read_rows(file)[0].fields == {"item_id": "heat-1", "learner_id": ""}


def test_formula_without_a_result_is_not_an_empty_text(tmp_path: Path) -> None:
    """A text that begins with = becomes a formula when pandas writes a workbook."""
    names = "".join(f'<c t="inlineStr"><is><t>{name}</t></is></c>' for name in ("response", "note"))
    head = f'<row r="1">{names}</row>'
    cells = [
        '<c r="A2"><f>1+1</f><v></v></c><c r="B2"><f>1</f><v/></c>',  # openpyxl
        '<c r="A3"><f>1+1</f></c>',
        '<c r="A4" t="str"><f>B9</f><v></v></c>',  # a result: the empty text
        '<c r="A5" t="str"><f>B9</f><v>warm</v></c>',
        '<c r="A6"><f t="shared" si="0"/><v>7</v></c>',
    ]
    rows = "".join(f'<row r="{number}">{row}</row>' for number, row in enumerate(cells, start=2))
    read = read_workbook(write_parts(tmp_path / "a.xlsx", {SHEET: sheet_of(head + rows)}), ReadOptions())

    assert rows_refused(read.errors) == [("a.xlsx", 2, "unsolved_cell"), ("a.xlsx", 3, "unsolved_cell")]
    assert [error.fields for error in read.errors] == [{"column": "response"}] * 2
    assert [fields["response"] for line, fields in read.lines if line > 4] == ["warm", "7"]


def test_unread_sheet_is_noted_and_the_header_line_is_kept(tmp_path: Path) -> None:
    second = {"xl/worksheets/sheet2.xml": sheet_of('<row r="1"><c r="A1"><v>1</v></c></row>')}
    rows = [["item_id"], ["heat-1"]]

    read = read_workbook(write_workbook(tmp_path / "a.xlsx", rows, first_row=3, parts=second), ReadOptions())
    alone = read_workbook(
        write_workbook(tmp_path / "b.xlsx", rows, parts={SHEET[:-5] + "2.xml": sheet_of("")}), ReadOptions()
    )

    assert (read.header, len(read.notes)) == (3, 1)
    assert (alone.header, alone.notes) == (1, ())


def test_workbook_is_not_unpacked_beyond_its_limit(tmp_path: Path) -> None:
    file = write_workbook(tmp_path / "a.xlsx", [["item_id"], ["heat-1"]], parts={"xl/media/film.bin": bytes(5_000_000)})

    read = read_workbook(file, ReadOptions(), max_unpacked=4_000_000)

    assert file.stat().st_size < 20_000
    assert rows_refused(read.errors) == [("a.xlsx", 1, "workbook_too_large")]
    assert [fields for _, fields in read_workbook(file, ReadOptions()).lines] == [{"item_id": "heat-1"}]


@pytest.mark.parametrize("max_unpacked", [4_000_000, 100_000_000])
def test_workbook_with_a_wrong_declared_size_is_refused(tmp_path: Path, max_unpacked: int) -> None:
    file = write_workbook(tmp_path / "a.xlsx", [["item_id"]], parts={"xl/media/film.bin": bytes(5_000_000)})
    whole, true, said = file.read_bytes(), struct.pack("<L", 5_000_000), struct.pack("<L", 1000)
    assert whole.count(true) == 2  # in the part's head and in the directory
    file.write_bytes(whole.replace(true, said))
    with zipfile.ZipFile(file) as archive:
        assert archive.getinfo("xl/media/film.bin").file_size == 1000

    read = read_workbook(file, ReadOptions(), max_unpacked=max_unpacked)

    code = "workbook_too_large" if max_unpacked < 5_000_000 else "untrue_size"
    assert rows_refused(read.errors) == [("a.xlsx", 1, code)]


@pytest.mark.parametrize(
    "cells",
    [
        '<row r="90"><c r="Z90"><v>1</v></c></row>',
        "<row r='90'><c r = 'Z90' t='s'><v>0</v></c></row>",
        '<row><c r="Z90"><v>1</v></c></row>',
    ],
)
def test_sheet_with_a_distant_cell_is_refused_without_taking_memory(tmp_path: Path, cells: str) -> None:
    """The library that reads sheets holds all cells up to the last in memory."""
    content = sheet_of(f'<row r="1"><c r="A1" t="inlineStr"><is><t>item_id</t></is></c></row>{cells}')
    file = write_parts(tmp_path / "a.xlsx", {SHEET: content})

    read = read_workbook(file, ReadOptions(), max_cells=90 * 26 - 1)

    assert rows_refused(read.errors) == [("a.xlsx", 1, "sheet_too_large")]
    assert read.errors[0].fields["columns"] == 26


def test_distant_cell_with_a_format_only_does_not_count(tmp_path: Path) -> None:
    rows = '<row r="1"><c r="A1" t="inlineStr"><is><t>item_id</t></is></c></row><row r="2"><c r="A2"><v>12</v></c>'
    content = sheet_of(f'{rows}<c r="Z2" s="1"/></row><row r="90"><c r="Z90" s="1" /></row>')

    read = read_workbook(write_parts(tmp_path / "a.xlsx", {SHEET: content}), ReadOptions(), max_cells=2)

    assert [fields for _, fields in read.lines] == [{"item_id": "12"}]


@pytest.mark.parametrize("count", [10, 30_000])
def test_long_text_in_many_cells_is_refused(tmp_path: Path, count: int) -> None:
    """A workbook stores equal texts once, but 30,000 cells with 30,000 characters take a gigabyte in memory."""
    head = '<c r="A1" t="s"><v>0</v></c>'
    cells = "".join(f'<row r="{n}"><c r="A{n}" t="s"><v>1</v></c></row>' for n in range(2, count + 2))
    texts = f"<sst><si><t>response</t></si><si><t>{'x' * 30_000}</t></si></sst>".encode()
    relation = f'<Relationship Id="r3" Type="{OFFICE}/sharedStrings" Target="sharedStrings.xml"/></Relationships>'
    relations = PARTS[RELATIONS].replace(b"</Relationships>", relation.encode())
    parts = {SHEET: sheet_of(f'<row r="1">{head}</row>{cells}'), "xl/sharedStrings.xml": texts, RELATIONS: relations}

    read = read_workbook(write_parts(tmp_path / "a.xlsx", parts), ReadOptions())

    assert rows_refused(read.errors) == ([] if count == 10 else [("a.xlsx", 1, "workbook_too_large")])
    assert [len(fields["response"]) for _, fields in read.lines] == [30_000] * (10 if count == 10 else 0)


@pytest.mark.parametrize("cut", [0, 10, 500, -30, -1])
def test_broken_workbook_is_reported(tmp_path: Path, cut: int) -> None:
    file = write_workbook(tmp_path / "a.xlsx", [["item_id", "response"], ["heat-1", "warm"]])
    file.write_bytes(file.read_bytes()[:cut])

    with refused(BadRows) as caught:
        read_rows(file)

    assert rows_refused(caught.value.errors) == [("a.xlsx", 1, "bad_workbook")]


@pytest.mark.parametrize("part", ["xl/workbook.xml", "xl/_rels/workbook.xml.rels", "xl/styles.xml", SHEET])
@pytest.mark.parametrize(
    "content", [b"", b"<", b"\xff\xfe<\0a\0>\0", b"<a>&b;</a>", b"<worksheet><sheetData><row r='x'>"]
)
def test_damaged_parts_of_a_workbook_do_not_crash_the_reader(tmp_path: Path, part: str, content: bytes) -> None:
    file = write_workbook(tmp_path / "a.xlsx", [["item_id", "response"], ["heat-1", "warm"]], parts={part: content})

    read = read_workbook(file, ReadOptions())

    assert {code for _, _, code in rows_refused(read.errors)} <= {"bad_workbook"}
    assert len(read.lines) <= 1


def test_an_empty_sheet_has_no_rows(tmp_path: Path) -> None:
    assert read_rows(write_workbook(tmp_path / "a.xlsx", [])) == []
    assert read_rows(write_workbook(tmp_path / "b.xlsx", [["item_id", "response"]])) == []


def test_header_faults_are_the_same_as_in_csv(tmp_path: Path) -> None:
    with refused(BadRows) as caught:
        read_rows(write_workbook(tmp_path / "a.xlsx", [["score", "score"], [1, 2]], first_row=4))

    assert rows_refused(caught.value.errors) == [("a.xlsx", 4, "column_twice")]
    assert re.search(r"a\.xlsx:4: ", str(caught.value))
