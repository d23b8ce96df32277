import csv
from pathlib import Path

import pytest

from app.scoring.errors import BadRows
from app.scoring.registry import Registry
from app.scoring.rows import read_rows
from app.scoring.table import COLUMNS, check_rows, judge_rows, write_table
from tests.tiny import write_tiny_bundle


def a_registry(tmp_path: Path) -> Registry:
    write_tiny_bundle(tmp_path / "models", "heat-1")
    write_tiny_bundle(tmp_path / "models", "heat-2", item={"scale": "ordinal", "labels": ["poor", "fair", "good"]})
    return Registry.from_folder(tmp_path / "models")


def test_rows_of_mixed_items_come_back_in_order_with_their_own_columns(tmp_path: Path) -> None:
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


def test_grades_are_written_as_points_are(tmp_path: Path) -> None:
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


def test_rows_that_cannot_be_scored_are_all_named(tmp_path: Path) -> None:
    file = tmp_path / "in.jsonl"
    file.write_text('{"item_id": "heat-9", "response": "x"}\n{"item_id": "heat-1"}\n{"response": "x"}\n')

    with pytest.raises(BadRows) as refused:
        check_rows(a_registry(tmp_path), read_rows(file))

    assert [error.line for error in refused.value.errors] == [1, 2, 3]
    assert "no student for item 'heat-9'" in str(refused.value)


def test_a_scored_file_can_be_scored_again_and_loses_nothing(tmp_path: Path) -> None:
    registry = a_registry(tmp_path)
    (tmp_path / "0.csv").write_text("item_id,response,score\nheat-1,warm air,3\n")

    for number in range(2):
        rows = read_rows(tmp_path / f"{number}.csv")
        write_table(tmp_path / f"{number + 1}.csv", registry, rows, judge_rows(registry, rows))

    [row] = read_rows(tmp_path / "2.csv")
    assert row.fields["score"] == row.fields["input_input_score"] == "2"
    assert row.fields["input_score"] == "3"


def test_a_carried_column_that_utf_8_cannot_hold_is_escaped(tmp_path: Path) -> None:
    registry = a_registry(tmp_path)
    (tmp_path / "in.jsonl").write_text('{"item_id": "heat-1", "response": "warm", "note": "\\ud800"}\n')
    rows = read_rows(tmp_path / "in.jsonl")

    write_table(tmp_path / "out.csv", registry, rows, judge_rows(registry, rows))

    assert "\\ud800" in (tmp_path / "out.csv").read_text()
