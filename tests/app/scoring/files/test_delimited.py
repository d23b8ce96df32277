import csv
import io
from pathlib import Path

import pytest

from app.scoring.errors import BadRows
from app.scoring.files.options import Delimiter, ReadOptions
from app.scoring.row_files import read_file, read_rows
from tests.refusals import refused, rows_refused

ROW = {"item_id": "heat-1", "response": "warm, so it rises", "score": "2"}
HEAD, CELLS = "item_id{0}response{0}score", 'heat-1{0}"warm, so it rises"{0}2'


def a_file(tmp_path: Path, content: str | bytes, name: str = "a.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("name", ["a.csv", "a.CSV", "a.tsv", "a.Tsv"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiter_is_detected(tmp_path: Path, name: str, delimiter: str) -> None:
    file = a_file(tmp_path, f"{HEAD}\n{CELLS}\n".format(delimiter), name)

    read = read_file(file, ReadOptions())

    assert [row.fields for row in read.rows] == [ROW]
    assert bool(read.notes) is (delimiter != ("," if name.lower() == "a.csv" else "\t"))


@pytest.mark.parametrize(
    ("first", "delimiter", "end"),
    [
        ("sep=;", ";", "\r\n"),
        ('"sep=,"', ",", "\n"),
        ("SEP=\t", "\t", "\r\n"),
        ("sep=#", "#", "\n"),
        ("sep=;;;", ";", "\n"),
    ],
)
def test_line_that_names_the_delimiter_is_not_a_row(tmp_path: Path, first: str, delimiter: str, end: str) -> None:
    [row] = read_rows(a_file(tmp_path, end.join([first, HEAD, CELLS, ""]).format(delimiter)))

    assert (row.line, row.fields) == (3, ROW)


def test_lines_are_counted_from_the_beginning_of_the_file(tmp_path: Path) -> None:
    with refused(BadRows) as caught:
        read_rows(a_file(tmp_path, 'sep=,\nitem_id,response\nheat-1,"a\nb"\nheat-1\n'))

    assert rows_refused(caught.value.errors) == [("a.csv", 5, "fewer_fields")]


def test_ambiguous_header_is_refused(tmp_path: Path) -> None:
    file = a_file(tmp_path, "item_id;response,score\nheat-1;warm,2\n")

    with refused(BadRows) as caught:
        read_rows(file)

    assert rows_refused(caught.value.errors) == [("a.csv", 1, "unclear_delimiter")]
    assert read_rows(file, ReadOptions(delimiter=";"))[0].fields == {"item_id": "heat-1", "response,score": "warm,2"}


@pytest.mark.parametrize(("option", "delimiter"), [(",", ","), (";", ";"), ("tab", "\t"), ("|", "|")])
def test_given_delimiter_is_used(tmp_path: Path, option: Delimiter, delimiter: str) -> None:
    read = read_file(a_file(tmp_path, f"{HEAD}\n{CELLS}\n".format(delimiter)), ReadOptions(delimiter=option))

    assert [row.fields for row in read.rows] == [ROW]
    assert read.notes == ()


@pytest.mark.parametrize(
    ("content", "fields"),
    [
        ("item_id,response,,\na,b,,\nc,d,,\n", {"item_id": "a", "response": "b"}),  # empty columns at the end
        ("item_id,response\na,b,,\nc,d\n", {"item_id": "a", "response": "b"}),  # and only in some rows
        ("item_id,response,,\na,b\n", {"item_id": "a", "response": "b"}),
        ("\n,,\n \nitem_id,response\na,b\n", {"item_id": "a", "response": "b"}),  # empty rows before the names
        (",item_id,response\n0,a,b\n", {"column 1": "0", "item_id": "a", "response": "b"}),  # pandas' index
        (
            "item_id,note,response,note,group,group\na,1,b,2,3,4\n",
            {"item_id": "a", "note": "1", "response": "b", "note (2)": "2", "group": "3", "group (2)": "4"},
        ),
        ("note,item_id,note (2),note\n1,a,2,3\n", {"note": "1", "item_id": "a", "note (2)": "2", "note (3)": "3"}),
        ('item_id, response\na, "b, c"\n', {"item_id": "a", "response": "b, c"}),
        ('"item_id", "response"\n"a", "b"\n', {"item_id": "a", "response": "b"}),
        ("item_id,response\na, b\n", {"item_id": "a", "response": " b"}),  # a learner's space
    ],
)
def test_peculiarities_of_spreadsheets_and_gradebooks_are_read(
    tmp_path: Path, content: str, fields: dict[str, str]
) -> None:
    assert read_rows(a_file(tmp_path, content))[0].fields == fields


@pytest.mark.parametrize("name", ["id", "item_id", "response", "score", "score_2", "label", "learner_id", "group_sex"])
def test_repeated_known_column_is_refused(tmp_path: Path, name: str) -> None:
    with refused(BadRows) as caught:
        read_rows(a_file(tmp_path, f"item_id,{name},{name}\na,b,c\n"))

    assert rows_refused(caught.value.errors) == [("a.csv", 1, "column_twice")]
    assert caught.value.errors[0].fields == {"column": name}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_utf_16_is_detected_by_its_byte_order_mark(tmp_path: Path, encoding: str) -> None:
    content = "item_id\tresponse\r\nheat-1\twärmer ☀\r\n".encode(encoding)

    [row] = read_rows(a_file(tmp_path, content, "a.tsv"))

    assert row.fields == {"item_id": "heat-1", "response": "wärmer ☀"}


def test_hundred_columns_are_read_like_pythons_csv(tmp_path: Path) -> None:
    content = io.StringIO()
    names = [f"c{number}" for number in range(99)] + ["item_id"]
    csv.writer(content).writerows([names, [f'"{name},\n' for name in names]])

    [row] = read_rows(a_file(tmp_path, content.getvalue()))

    assert row.fields == {name: f'"{name},\n' for name in names}
