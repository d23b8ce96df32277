import csv
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.scoring.errors import BadRows
from app.scoring.files.options import ReadOptions
from app.scoring.files.output import ORIGIN_MARK, is_ours
from app.scoring.registry import Registry
from app.scoring.row_files import Row, read_file, read_rows
from app.scoring.score_file import COLUMNS, check_rows, judge_rows, write_table
from tests.refusals import refused, rows_refused
from tests.tiny import write_tiny_bundle
from tests.workbooks import write_workbook


def a_registry(tmp_path: Path) -> Registry:
    write_tiny_bundle(tmp_path / "models", "heat-1")
    write_tiny_bundle(tmp_path / "models", "heat-2", item={"scale": "ordinal", "labels": ["poor", "fair", "good"]})
    return Registry.from_folder(tmp_path / "models")


def test_rows_of_several_items_keep_their_order_and_columns(tmp_path: Path) -> None:
    file = tmp_path / "in.csv"
    file.write_text(
        "id,item_id,response,score,class\n"
        "a,heat-1,warm air,2,8b\n"
        "b,heat-2,warm,1,8b\n"
        "c,heat-1,  ,0,8c\n"
        'd,heat-2,"it is warm, so it rises",2,8c\n'
    )
    registry, rows = a_registry(tmp_path), read_rows(file)

    write_table(tmp_path / "out.csv", registry, rows, judge_rows(registry, rows))

    with (tmp_path / "out.csv").open(newline="") as out:
        scored = list(csv.DictReader(out))
    assert list(scored[0]) == [*COLUMNS, "response", "input_score", "class"]
    assert [row["id"] for row in scored] == ["a", "b", "c", "d"]
    assert [row["score"] for row in scored] == ["2", "1", "", "2"]
    assert [row["label"] for row in scored] == ["", "fair", "", "good"]
    assert [row["decision"] for row in scored] == ["auto", "auto", "not_scorable", "auto"]
    assert [row["condition"] for row in scored] == ["", "", "blank", ""]
    assert [row["input_score"] for row in scored] == ["2", "1", "0", "2"]
    assert scored[3]["response"] == "it is warm, so it rises"


def test_grades_are_written_like_points(tmp_path: Path) -> None:
    write_tiny_bundle(tmp_path / "models", item={"scale": "continuous", "min_score": 1, "max_score": 6})
    (tmp_path / "in.csv").write_text("item_id,response\nheat-1,warm air\nheat-1,warm air goes up\nheat-1,\n")
    registry, rows = Registry.from_folder(tmp_path / "models"), read_rows(tmp_path / "in.csv")

    write_table(tmp_path / "out.csv", registry, rows, judge_rows(registry, rows))

    some, all_, blank = read_rows(tmp_path / "out.csv")
    assert float(some.fields["score"]) == float(some.fields["expected_score"]) == pytest.approx(3.5)
    assert float(some.fields["confidence"]) == pytest.approx(0.6827, abs=1e-4)
    assert (some.fields["label"], some.fields["decision"]) == ("", "review")
    assert (float(all_.fields["score"]), all_.fields["decision"]) == (6, "auto")
    assert (blank.fields["score"], blank.fields["decision"]) == ("", "not_scorable")


def test_every_row_that_cannot_be_scored_is_reported(tmp_path: Path) -> None:
    file = tmp_path / "in.jsonl"
    file.write_text('{"item_id": "heat-9", "response": "x"}\n{"item_id": "heat-1"}\n{"response": "x"}\n')

    with refused(BadRows) as caught:
        check_rows(a_registry(tmp_path), read_rows(file))

    assert rows_refused(caught.value.errors) == [
        ("in.jsonl", 1, "unknown_item"),
        ("in.jsonl", 2, "missing"),
        ("in.jsonl", 3, "missing"),
    ]


def test_scored_file_can_be_scored_again_without_loss(tmp_path: Path) -> None:
    registry = a_registry(tmp_path)
    (tmp_path / "0.csv").write_text("item_id,response,score\nheat-1,warm air,3\n")

    for number in range(2):
        rows = read_rows(tmp_path / f"{number}.csv")
        write_table(tmp_path / f"{number + 1}.csv", registry, rows, judge_rows(registry, rows))

    [row] = read_rows(tmp_path / "2.csv")
    assert row.fields["score"] == row.fields["input_input_score"] == "2"
    assert row.fields["input_score"] == "3"


def test_copied_column_that_utf_8_cannot_encode_is_escaped(tmp_path: Path) -> None:
    registry = a_registry(tmp_path)
    (tmp_path / "in.jsonl").write_text('{"item_id": "heat-1", "response": "warm", "note": "\\ud800"}\n')
    rows = read_rows(tmp_path / "in.jsonl")

    write_table(tmp_path / "out.csv", registry, rows, judge_rows(registry, rows))

    assert "\\ud800" in (tmp_path / "out.csv").read_text()


RUN = '=HYPERLINK("http://x";"y")'


@pytest.mark.parametrize("raw", [False, True])
def test_formula_is_guarded_unless_raw(tmp_path: Path, raw: bool) -> None:
    registry = a_registry(tmp_path)
    fields = {"id": "+id", "item_id": "heat-1", "response": RUN, "=name": "'tis", "score": -1, "delta": "-0.5"}
    (tmp_path / "in.jsonl").write_text(json.dumps(fields) + "\n")
    rows = read_rows(tmp_path / "in.jsonl")

    write_table(tmp_path / "out.csv", registry, rows, judge_rows(registry, rows), raw=raw)

    with (tmp_path / "out.csv").open(newline="") as out:
        [row] = csv.DictReader(out)
    guard = "" if raw else "'"
    assert (row["id"], row["response"], row[f"{guard}=name"]) == (f"{guard}+id", guard + RUN, f"{guard}'tis")
    assert (row["input_score"], row["delta"], row["item_id"]) == ("-1", "-0.5", "heat-1")
    read = read_file(tmp_path / "out.csv", ReadOptions())
    assert (read.is_ours, is_ours(tmp_path / "out.csv")) == (True, True)
    assert {name: read.rows[0].fields[name] for name in ("id", "response", "=name", "delta")} == {
        name: fields[name] for name in ("id", "response", "=name", "delta")
    }
    assert ORIGIN_MARK not in read.rows[0].fields


def test_leading_quote_in_other_files_belongs_to_the_learner(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("item_id,response\nheat-1,'=1\nheat-1,''\n")

    assert [row.fields["response"] for row in read_rows(tmp_path / "in.csv")] == ["'=1", "''"]


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    return a_registry(tmp_path_factory.mktemp("models"))


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)
RISKY = st.text(alphabet="'=+-@ \t\r\n\uff1d,;\"1a", max_size=8)


@given(texts=st.lists(st.tuples(TEXTS | RISKY, TEXTS | RISKY), min_size=1, max_size=4), raw=st.booleans())
@settings(max_examples=150, deadline=None)
def test_written_texts_are_read_back_unchanged(
    tmp_path_factory: pytest.TempPathFactory, registry: Registry, texts: list[tuple[str, str]], raw: bool
) -> None:
    folder = tmp_path_factory.mktemp("round")
    rows = [
        Row(folder / "in.jsonl", line, {"id": f"r{line}", "item_id": "heat-1", "response": text, "note": note})
        for line, (text, note) in enumerate(texts, start=1)
    ]

    write_table(folder / "out.csv", registry, rows, judge_rows(registry, rows), raw=raw)

    read = read_rows(folder / "out.csv")
    assert [(row.fields["response"], row.fields["note"]) for row in read] == texts


def test_file_saved_by_excel_is_still_recognised(tmp_path: Path) -> None:
    """Excel may move and drop columns, change the delimiter and the format."""
    registry = a_registry(tmp_path)
    (tmp_path / "in.jsonl").write_text(json.dumps({"item_id": "heat-1", "response": RUN}) + "\n")
    rows = read_rows(tmp_path / "in.jsonl")
    write_table(tmp_path / "out.csv", registry, rows, judge_rows(registry, rows))
    with (tmp_path / "out.csv").open(newline="") as out:
        [row] = csv.DictReader(out)
    kept = {name: row[name] for name in ("response", "item_id", ORIGIN_MARK)}
    with (tmp_path / "saved.csv").open("w", newline="") as saved:
        csv.writer(saved, delimiter=";").writerows([kept, kept.values()])
    write_workbook(tmp_path / "saved.xlsx", [list(kept), list(kept.values())])

    for name in ("saved.csv", "saved.xlsx"):
        read = read_file(tmp_path / name, ReadOptions())
        assert (read.is_ours, read.rows[0].fields["response"]) == (True, RUN)
