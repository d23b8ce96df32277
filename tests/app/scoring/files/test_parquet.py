import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from app.scoring.errors import BadRows
from app.scoring.files.options import ReadOptions
from app.scoring.files.parquet import read_parquet
from app.scoring.row_files import read_rows
from tests.programs import run
from tests.refusals import refused, rows_refused
from tests.tiny import write_tiny_bundle


def written(path: Path, **columns: list[Any]) -> Path:
    parquet.write_table(pa.table(columns), path)
    return path


def test_data_frame_is_read_like_its_csv(tmp_path: Path) -> None:
    file = written(
        tmp_path / "a.parquet",
        item_id=[12, 13],
        response=["warm", "NA"],
        score=[2.0, 2.5],
        score_2=[float("nan"), 2.0],
        learner_id=[7.0, None],
        submitted=[datetime.date(2026, 3, 15), None],
    )

    first, second = read_rows(file)

    assert first.fields == {
        "item_id": "12", "response": "warm", "score": 2, "score_2": None, "learner_id": "7", "submitted": "2026-03-15",
    }  # fmt: skip
    assert second.fields == {
        "item_id": "13", "response": "NA", "score": 2.5, "score_2": 2, "learner_id": None, "submitted": None,
    }  # fmt: skip
    assert (first.line, second.line) == (1, 2)


@pytest.mark.parametrize("responses", [["warm", None], [1.5, float("nan")], [None, None]])
def test_missing_response_is_blank_as_in_csv(tmp_path: Path, responses: list[Any]) -> None:
    """In a CSV file of the same data frame, the field is an empty text."""
    rows = read_rows(written(tmp_path / "a.parquet", item_id=["a", "b"], response=responses))

    assert rows[1].response("html") == ""


def test_dates_and_booleans_in_text_columns_are_reported(tmp_path: Path) -> None:
    file = written(tmp_path / "a.parquet", item_id=["a", "b"], response=[True, None], score=[None, None])

    with refused(BadRows) as caught:
        read_rows(file)

    assert rows_refused(caught.value.errors) == [("a.parquet", 1, "boolean_cell")]


def test_file_with_too_many_rows_is_refused(tmp_path: Path) -> None:
    file = written(tmp_path / "a.parquet", item_id=["heat-1"] * 1000)

    assert rows_refused(read_parquet(file, ReadOptions(), max_rows=999).errors) == [("a.parquet", 1, "too_many_rows")]
    assert rows_refused(read_parquet(file, ReadOptions(), max_bytes=20).errors) == [("a.parquet", 1, "too_many_rows")]
    assert len(read_parquet(file, ReadOptions()).lines) == 1000


@pytest.mark.parametrize("cut", [0, 4, 100, -1])
def test_broken_parquet_is_reported(tmp_path: Path, cut: int) -> None:
    file = written(tmp_path / "a.parquet", item_id=["heat-1"], response=["warm"])
    file.write_bytes(file.read_bytes()[:cut])

    with refused(BadRows) as caught:
        read_rows(file)

    assert rows_refused(caught.value.errors) == [("a.parquet", 1, "not_parquet")]


def test_missing_extra_is_named(tmp_path: Path) -> None:
    write_tiny_bundle(tmp_path / "models")
    file = written(tmp_path / "a.parquet", item_id=["heat-1"], response=["warm"])
    arguments = ("score", file, "--out", tmp_path / "out.csv", "--models", tmp_path / "models")

    without = run("scorelet", *arguments, without=("pyarrow",))
    done = run("scorelet", *arguments)

    assert (without.returncode, done.returncode) == (1, 0)
    assert "parquet" in without.stderr
    assert "Traceback" not in without.stderr
