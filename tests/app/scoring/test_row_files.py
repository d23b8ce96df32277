import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.scoring.errors import MAX_FAULTS_SHOWN, BadRows, BadText, RowError
from app.scoring.files.options import DEFAULT_OPTIONS, ReadOptions
from app.scoring.row_files import FORMATS, Row, read_file, read_rows, require_columns, require_rows
from tests.refusals import check_golden, refused, rows_refused


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


def test_byte_order_mark_is_not_part_of_the_first_column(tmp_path: Path) -> None:
    [row] = read_rows(a_file(tmp_path, "a.csv", b"\xef\xbb\xbfitem_id,response\r\nheat-1,warm\r\n"))

    assert row.fields == {"item_id": "heat-1", "response": "warm"}


@pytest.mark.parametrize(
    ("name", "content", "line", "code"),
    [
        ("a.csv", "item_id,response\nheat-1,warm\nheat-1\n", 3, "fewer_fields"),
        ("a.csv", "item_id,response\nheat-1,warm,air\n", 2, "more_fields"),
        ("a.csv", 'item_id,response\nheat-1,"warm\n', 2, "not_csv"),
        ("a.csv", "item_id,item_id\na,b\n", 1, "column_twice"),
        ("a.csv", "", 1, "no_header"),
        ("a.csv", " item_id,item_id \na,b\n", 1, "column_twice"),
        ("a.csv", b"item_id,response\nheat-1,\xff\n", 2, "not_utf_8"),
        ("a.jsonl", '{"a": 1}\n{"a": \n', 2, "not_json"),
        ("a.jsonl", "[1]\n", 1, "not_an_object"),
        ("a.jsonl", '{"a": ' + "9" * 5000 + "}\n", 1, "not_json"),
        ("a.jsonl", b'{"a": "\xff"}\n', 1, "not_utf_8"),
        ("a.jsonl", "[" * 100_000 + "\n", 1, "not_json"),
        ("a.txt", "item_id,response\n", 1, "unknown_format"),
        ("a.xls", "item_id,response\n", 1, "unknown_format"),
    ],
)
def test_bad_row_is_reported_with_file_line_and_code(
    tmp_path: Path, name: str, content: str | bytes, line: int, code: str
) -> None:
    with refused(BadRows) as caught:
        read_rows(a_file(tmp_path, name, content))

    assert rows_refused(caught.value.errors) == [(name, line, code)]


def test_spaces_around_names_and_empty_rows_are_ignored(tmp_path: Path) -> None:
    rows = read_rows(a_file(tmp_path, "a.csv", "item_id , response\n,\nheat-1,warm\n,\n"))

    assert [(row.line, row.fields) for row in rows] == [(3, {"item_id": "heat-1", "response": "warm"})]


@pytest.mark.parametrize(
    ("head", "columns", "similar"),
    [
        ("Item_ID,response", ["item_id"], ["Item_ID"]),
        ("question,answer", ["item_id", "response"], []),
    ],
)
def test_missing_column_is_reported_once(tmp_path: Path, head: str, columns: list[str], similar: list[str]) -> None:
    rows = read_rows(a_file(tmp_path, "a.csv", f"{head}\nheat-1,warm\nheat-1,cold\n"))

    with refused(BadRows) as caught:
        require_columns(rows, ("item_id", "response"))

    assert rows_refused(caught.value.errors) == [("a.csv", 1, "no_column")]
    assert caught.value.errors[0].fields == {"columns": columns, "found": similar}


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("a.csv", "\n;;\nItem;answer\nheat-1;warm\n", 3),
        ("a.csv", "sep=;\nItem;answer\nheat-1;warm\n", 2),
        ("a.csv", "sep=;\n;\nItem;answer\nheat-1;warm\n", 3),
        ("a.csv", 'Item,"my\nanswer"\nheat-1,warm\n', 2),
    ],
)
def test_missing_column_is_reported_at_the_header(tmp_path: Path, name: str, content: str, line: int) -> None:
    with refused(BadRows) as caught:
        require_columns(read_rows(a_file(tmp_path, name, content)), ("item_id",))

    assert rows_refused(caught.value.errors) == [(name, line, "no_column")]


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.csv", "item_id,response\n"), ("a.tsv", "one\n\n"), ("a.json", "[]"), ("a.jsonl", "\n")],
)
def test_file_without_rows_is_refused(tmp_path: Path, name: str, content: str) -> None:
    read = read_file(a_file(tmp_path, name, content), DEFAULT_OPTIONS)

    with refused(BadRows) as caught:
        require_rows(read)

    assert rows_refused(caught.value.errors) == [(name, 1, "no_rows")]


def test_message_counts_faults_if_there_are_several(tmp_path: Path) -> None:
    one, two = RowError(tmp_path, 1, "is bad"), RowError(tmp_path, 2, "is worse")

    assert str(BadRows([one])) == str(one)
    assert str(BadRows([one, two])).splitlines()[1:] == [str(one), str(two)]


REFUSED: dict[str, str | bytes] = {
    "quote.csv": 'item_id,response\nheat-1,"5" of air\n',
    "delimiter.csv": "item_id,response\nheat-1,warm, and dry\n",
    "line_end.csv": "response,item_id\nwarm\nair,heat-1\n",
    "no_column.csv": "\nitem_id,Response\nheat-1,warm\n",
    "one_column.csv": "item_id:response\nheat-1:warm\n",
    "no_row.csv": "item_id,response\n",
    "latin.csv": b"item_id,response\nheat-1,\xe9\n",
    "frame.json": '{"item_id": {"0": "heat-1"}}',
    "lines.json": '{"item_id": "heat-1"}\n{"item_id": "heat-1"}\n',
    "list.jsonl": '[{"item_id": "heat-1"}]\n',
    "null.jsonl": '{"item_id": "heat-1", "response": null}\n',
    "old.xls": "",
    "two.csv": "item_id,response\nheat-1,warm, and dry\nheat-1\n",
}


def test_refusals_read_as_in_the_golden_file(tmp_path: Path) -> None:
    said: list[str] = []
    for name, content in REFUSED.items():
        with refused(BadRows) as caught:
            read = read_file(a_file(tmp_path, name, content), DEFAULT_OPTIONS)
            require_rows(read)
            require_columns(read.rows, ("item_id", "response"))
            raise BadRows([row.error_of(error) for row in read.rows if (error := no_response(row))])
        said.append(str(caught.value).replace(f"{tmp_path}/", ""))

    check_golden("files/refused.txt", "\n".join(said) + "\n")


def no_response(row: Row) -> BadText | None:
    try:
        row.response("html")
    except BadText as error:
        return error
    return None


def test_row_added_by_hand_keeps_its_first_quote(tmp_path: Path) -> None:
    content = "response,'=note,written_by_scorelet\n''Twas warm,'=1,guarded\n'Twas warm,x,\n"

    ours, added = read_rows(a_file(tmp_path, "a.csv", content))

    assert ours.fields == {"response": "'Twas warm", "=note": "=1"}
    assert added.fields == {"response": "'Twas warm", "=note": "x"}


def test_every_bad_row_is_reported(tmp_path: Path) -> None:
    with refused(BadRows, count=60) as caught:
        read_rows(a_file(tmp_path, "a.jsonl", "x\n{}\ny\n" * 30))

    assert len(caught.value.errors) == 60
    assert str(caught.value).count("a.jsonl") == MAX_FAULTS_SHOWN


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("null", "missing"),
        ("7", "not_text"),
        ("NaN", "not_text"),
        ('["a child wrote this"]', "not_text"),
        (r'"a\u0000b"', "nul"),
        (r'"\ud800"', "lone_surrogate"),
    ],
)
def test_response_that_is_not_text_is_refused(tmp_path: Path, value: str, code: str) -> None:
    [row] = read_rows(a_file(tmp_path, "a.jsonl", f'{{"response": {value}}}\n'))

    with refused(BadText, code, column="response"):
        row.text("response")


@pytest.mark.parametrize("text", ["NA", "null", "None", "#N/A", "nan", " n/a "])
@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_response_with_a_word_for_missing_is_not_missing(tmp_path: Path, text: str, suffix: str) -> None:
    content = f"id,response\na,{text}\n" if suffix == ".csv" else f'{{"response": "{text}"}}\n'
    [row] = read_rows(a_file(tmp_path, f"a{suffix}", content))

    assert row.text("response") == text


@pytest.mark.parametrize(
    ("delimiter", "scores", "values"),
    [
        (";", ["2,5", "3", "1,25"], [2.5, 3, 1.25]),
        (";", ["1,028", "3"], [1.028, 3]),  # a semicolon leaves the comma to decimals
        ("\t", ["1,028", "2,5"], [1.028, 2.5]),  # 2,5 is no number of thousands
        (",", ['"2"', '" 3.5 "'], [2, 3.5]),
        (";", ["2.5", "1"], [2.5, 1]),
    ],
)
def test_unambiguous_decimal_comma_is_detected(
    tmp_path: Path, delimiter: str, scores: list[str], values: list[float]
) -> None:
    lines = "".join(f"heat-1{delimiter}warm{delimiter}{score}\n" for score in scores)
    file = a_file(tmp_path, "a.csv", f"item_id{delimiter}response{delimiter}score\n{lines}")

    assert [row.number("score") for row in read_rows(file)] == values


@pytest.mark.parametrize(
    ("delimiter", "scores", "code"),
    [
        (",", ['"1,028"'], "ambiguous_comma"),
        (",", ['"2,5"'], "ambiguous_comma"),
        ("\t", ["1,028", "2"], "ambiguous_comma"),  # one number here, another there
        (";", ["1,5", "2.5"], "ambiguous_comma"),
        (";", ["1,028,000", "2,5"], "ambiguous_comma"),
    ],
)
def test_ambiguous_comma_is_refused(tmp_path: Path, delimiter: str, scores: list[str], code: str) -> None:
    lines = "".join(f"heat-1{delimiter}warm{delimiter}{score}\n" for score in scores)
    file = a_file(tmp_path, "a.csv", f"item_id{delimiter}response{delimiter}score\n{lines}")

    with refused(BadText, code, column="score") as caught:
        read_rows(file)[0].number("score")
    assert "1.028" not in str(caught.value)

    row = read_rows(file, ReadOptions(decimal=","))[0]
    assert row.number("score") == (None if scores[0].count(",") > 1 else float(scores[0].strip('"').replace(",", ".")))


def test_decimal_point_in_a_file_with_decimal_commas_is_refused(tmp_path: Path) -> None:
    file = a_file(tmp_path, "a.csv", "item_id,response,score\nheat-1,warm,1.028\nheat-1,warm,2\n")
    point, whole = read_rows(file, ReadOptions(decimal=","))

    with refused(BadText, "mixed_decimals", column="score"):
        point.number("score")
    assert whole.number("score") == 2


@pytest.mark.parametrize("text", ["1_000", "inf", "nan", "0x1F", "\uff12", "two", "", "1e"])
def test_text_with_other_characters_is_not_a_number(tmp_path: Path, text: str) -> None:
    [row] = read_rows(a_file(tmp_path, "a.jsonl", f'{{"score": "{text}"}}\n'))

    assert row.number("score") is None


@pytest.mark.parametrize(("value", "item_id"), [("12", "12"), ('" heat-1 "', "heat-1"), ("12.0", "12.0")])
def test_item_id_may_be_a_number(tmp_path: Path, value: str, item_id: str) -> None:
    [row] = read_rows(a_file(tmp_path, "a.jsonl", f'{{"item_id": {value}}}\n'))

    assert row.item_id() == item_id


@settings(max_examples=300, deadline=None)
@given(content=st.binary(max_size=200), suffix=st.sampled_from(FORMATS))
def test_no_bytes_crash_the_reader(tmp_path_factory: pytest.TempPathFactory, content: bytes, suffix: str) -> None:
    path = a_file(tmp_path_factory.mktemp("rows"), f"any{suffix}", content)

    with contextlib.suppress(BadRows):
        assert all(row.line > 0 for row in read_rows(path))


def test_response_is_read_in_the_format_of_the_item(tmp_path: Path) -> None:
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
def test_unreadable_response_is_reported_with_its_code(
    tmp_path: Path, sent: str, code: str, fields: dict[str, int]
) -> None:
    [row] = read_rows(a_file(tmp_path, "a.jsonl", json.dumps({"response": sent})))

    with refused(BadText, code, **fields):
        row.response("html")
