import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.scoring.errors import BadRows, BadText
from app.scoring.rows import read_rows, require_columns
from tests.refusals import refused


def a_file(tmp_path: Path, name: str, content: str | bytes) -> Path:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_csv_and_jsonl_give_the_same_rows(tmp_path: Path) -> None:
    csv = a_file(tmp_path, "a.csv", 'item_id,response\nheat-1,"warm air,\nit rises"\nheat-1,cold\n')
    jsonl = a_file(
        tmp_path,
        "a.jsonl",
        '{"item_id": "heat-1", "response": "warm air,\\nit rises"}\n\n{"item_id": "heat-1", "response": "cold"}\n',
    )

    assert [row.fields for row in read_rows(csv)] == [row.fields for row in read_rows(jsonl)]
    assert [row.line for row in read_rows(csv)] == [2, 4]  # a response may hold a line end
    assert [row.line for row in read_rows(jsonl)] == [1, 3]


def test_a_spreadsheets_byte_order_mark_is_no_part_of_the_first_column(tmp_path: Path) -> None:
    [row] = read_rows(a_file(tmp_path, "a.csv", b"\xef\xbb\xbfitem_id,response\r\nheat-1,warm\r\n"))

    assert row.fields == {"item_id": "heat-1", "response": "warm"}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "item_id,response\nheat-1,warm\nheat-1\n", "a.csv:3: fewer fields"),
        ("a.csv", "item_id,response\nheat-1,warm,air\n", "a.csv:2: more fields"),
        ("a.csv", 'item_id,response\nheat-1,"warm\n', "a.csv:2: not CSV"),
        ("a.csv", "item_id,item_id\na,b\n", "a.csv:1: .*each once"),
        ("a.csv", "", "a.csv:1: "),
        ("a.csv", " item_id,item_id \na,b\n", "a.csv:1: .*each once"),
        ("a.csv", "item_id,response,,\na,b,,\n", "a.csv:1: .*each once"),
        ("a.csv", "item_id;response\nheat-1;warm, so\n", "a.csv:1: columns must be separated by commas"),
        ("a.csv", "item_id\tresponse\nheat-1\twarm\n", "a.csv:1: columns must be separated by commas"),
        ("a.csv", b"item_id,response\nheat-1,\xff\n", 'a.csv:2: not UTF-8: .*"CSV UTF-8"'),
        ("a.jsonl", '{"a": 1}\n{"a": \n', "a.jsonl:2: not JSON"),
        ("a.jsonl", "[1]\n", "a.jsonl:1: not an object"),
        ("a.jsonl", '{"a": ' + "9" * 5000 + "}\n", "a.jsonl:1: not JSON"),
        ("a.txt", "item_id,response\n", "a.txt:1: the file's name must end in .jsonl or .csv"),
        ("a.jsonl", b'{"a": "\xff"}\n', "a.jsonl:1: not UTF-8"),
        ("a.jsonl", "[" * 100_000 + "\n", "a.jsonl:1: not JSON"),
    ],
)
def test_a_bad_row_is_named_by_file_line_and_reason(
    tmp_path: Path, name: str, content: str | bytes, message: str
) -> None:
    with pytest.raises(BadRows, match=message):
        read_rows(a_file(tmp_path, name, content))


def test_spaces_about_names_and_empty_rows_of_a_spreadsheet_do_no_harm(tmp_path: Path) -> None:
    rows = read_rows(a_file(tmp_path, "a.csv", "item_id , response\n,\nheat-1,warm\n,\n"))

    assert [(row.line, row.fields) for row in rows] == [(3, {"item_id": "heat-1", "response": "warm"})]


@pytest.mark.parametrize(
    ("head", "said"),
    [
        ("Item_ID,response", r"a.csv:1: no column 'item_id' \(there is 'Item_ID'\)$"),
        ("question,answer", "a.csv:1: no column 'item_id', 'response'$"),
    ],
)
def test_a_column_that_is_missing_is_said_once(tmp_path: Path, head: str, said: str) -> None:
    rows = read_rows(a_file(tmp_path, "a.csv", f"{head}\nheat-1,warm\nheat-1,cold\n"))

    with pytest.raises(BadRows, match=said) as refused:
        require_columns(rows, ("item_id", "response"))

    assert len(refused.value.errors) == 1


def test_every_bad_row_is_found_not_only_the_first(tmp_path: Path) -> None:
    with pytest.raises(BadRows) as refused:
        read_rows(a_file(tmp_path, "a.jsonl", "x\n{}\ny\n" * 30))

    assert len(refused.value.errors) == 60
    assert "60 bad row(s)" in str(refused.value)
    assert "and 40 more" in str(refused.value)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("null", "missing"),
        ("7", "must be text, not 7"),
        ('["a child wrote this"]', "must be text, not a list"),
        (r'"a\u0000b"', "NUL"),
        (r'"\ud800"', "lone surrogate"),
    ],
)
def test_a_response_that_is_no_text_is_refused(tmp_path: Path, value: str, reason: str) -> None:
    [row] = read_rows(a_file(tmp_path, "a.jsonl", f'{{"response": {value}}}\n'))

    with pytest.raises(BadText, match=reason):
        row.text("response")


@settings(max_examples=200, deadline=None)
@given(content=st.binary(max_size=200), suffix=st.sampled_from([".csv", ".jsonl"]))
def test_no_bytes_crash_the_reader(tmp_path_factory: pytest.TempPathFactory, content: bytes, suffix: str) -> None:
    path = a_file(tmp_path_factory.mktemp("rows"), f"any{suffix}", content)

    with contextlib.suppress(BadRows):
        assert all(row.line > 0 for row in read_rows(path))


def test_a_row_gives_its_response_without_mark_up_or_as_it_stands(tmp_path: Path) -> None:
    [row] = read_rows(a_file(tmp_path, "a.csv", 'item_id,response\nheat-1,"<p>a &lt; b</p>"\n'))

    assert (row.response("html"), row.response("text")) == ("a < b", "<p>a &lt; b</p>")
    assert row.fields["response"] == "<p>a &lt; b</p>"


@pytest.mark.parametrize(
    ("sent", "code", "fields"),
    [
        (f"<p>{'x' * 20_001}</p>", "too_long", {"characters": 20_001, "most": 20_000}),
        ("<br>" * 50_001, "too_long", {"characters": 200_004, "most": 200_000}),
        ("warm\0", "nul", {"position": 4}),
    ],
    ids=["plain", "sent", "nul"],
)
def test_a_response_that_cannot_be_read_is_named_by_code(
    tmp_path: Path, sent: str, code: str, fields: dict[str, int]
) -> None:
    [row] = read_rows(a_file(tmp_path, "a.jsonl", json.dumps({"response": sent})))

    with refused(BadText, code, **fields):
        row.response("html")
