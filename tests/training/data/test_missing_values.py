"""Missing values and ids of learners, as pandas, R, spreadsheets and people write them."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from app.scoring.files.options import MISSING, ReadOptions
from tests.programs import run
from training.config import TrainingConfig
from training.data import read_data
from training.data.splits import split
from training.pipeline.check import summarise

ITEM = {"item_id": "heat-1", "prompt": "Why does heat rise?", "scale": "points", "max_score": 2}
ROW = {"item_id": "heat-1", "response": "warm", "score": 1}


def a_folder(tmp_path: Path, train: list[dict[str, Any]], dev: list[dict[str, Any]] | None = None) -> Path:
    (tmp_path / "items.jsonl").write_text(json.dumps(ITEM) + "\n")
    for name, rows in (("train", train), ("dev", dev)):
        if rows is not None:
            (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


@pytest.mark.parametrize("value", [*sorted(MISSING), None, float("nan"), "  ", " NA "])
def test_missing_values_are_none_and_counted(tmp_path: Path, value: Any) -> None:
    gone = {"id": value, "learner_id": value, "score_1": 1, "score_2": value, "group_sex": value}
    known = {"id": "b", "learner_id": "x", "score_1": 1, "score_2": 2, "group_sex": "f"}

    data = read_data(a_folder(tmp_path, [ROW | gone, ROW | known], [ROW | gone]))

    row = data.train[0]
    assert (row.id, row.learner_id, row.raters, row.groups) == ("train-1", None, None, ())
    assert data.train[1].groups == (("sex", "f"),)
    [summary] = summarise(data)
    assert summary.learners == 1
    assert summary.missing == {"id": 2, "learner_id": 2, "score_2": 2, "group_sex": 2}


@pytest.mark.parametrize(
    ("given", "raters", "missing"),
    [("None", (0, 0), {}), ("none", (0, 0), {}), ("NA", None, {"score_2": 1}), ("heat", (0, 1), {})],
)
def test_label_may_be_called_none(
    tmp_path: Path, given: str, raters: tuple[int, int] | None, missing: dict[str, int]
) -> None:
    """A label is called None; any other word for a missing value is still missing."""
    folder = a_folder(tmp_path, [{**ROW, "label": "None", "score_1": "None", "score_2": given}])
    item = {"item_id": ROW["item_id"], "prompt": "Why?", "scale": "nominal", "labels": ["None", "heat"]}
    (tmp_path / "items.jsonl").write_text(json.dumps(item))

    data = read_data(folder)

    assert data.train[0].raters == raters
    assert summarise(data)[0].missing == missing


def test_group_may_be_called_na(tmp_path: Path) -> None:
    """NA is the code of Namibia."""
    rows = [ROW | {"group_country": country} for country in ("NA", "DE", "", None, float("nan"))]
    folder = a_folder(tmp_path, rows)

    kept = read_data(folder, ReadOptions(keep_na=True))

    assert [row.groups for row in kept.train] == [(("country", "NA"),), (("country", "DE"),), (), (), ()]
    assert [row.groups for row in read_data(folder).train].count(()) == 4
    assert summarise(kept)[0].missing == {"group_country": 3}


@pytest.mark.parametrize(
    ("one", "other"),
    [(12, 12.0), ("12", 12), ("12.0", "12"), (" Ana@x", "ana@X "), ("ANA", "ana"), ("a  b", "a b"), ("é", "é")],
)
def test_spellings_of_a_learner_id_are_the_same_learner(tmp_path: Path, one: Any, other: Any) -> None:
    train = [ROW | {"response": f"warm {number}", "learner_id": one} for number in range(4)]
    dev = [ROW | {"response": "cold", "learner_id": other}]

    [summary] = summarise(read_data(a_folder(tmp_path, train, dev)))

    assert (summary.learners, summary.leaks) == (1, 1)


@pytest.mark.parametrize(("one", "other"), [("0012", "12"), ("12.5", "12"), ("a.b", "ab"), ("none", "NONE2")])
def test_different_ids_are_different_learners(tmp_path: Path, one: str, other: str) -> None:
    data = read_data(a_folder(tmp_path, [ROW | {"learner_id": one}], [ROW | {"response": "x", "learner_id": other}]))

    assert summarise(data)[0].leaks == 0


@pytest.mark.parametrize("missing", ["nan", float("nan"), "NA", None])
def test_rows_without_learners_do_not_share_a_learner(tmp_path: Path, missing: Any) -> None:
    """Sixty good rows without learners allow a validation part; a learner `nan` would hold them together."""
    rows = [ROW | {"response": f"warm {n}", "score": n % 3, "learner_id": missing} for n in range(60)]

    parts = split(read_data(a_folder(tmp_path, rows)).of("heat-1"), TrainingConfig(validation_share=0.2))

    assert len(parts.validation) == 12


def test_check_reports_missing_values(tmp_path: Path) -> None:
    rows = [ROW | {"learner_id": "NA", "group_sex": "nan"}, ROW | {"learner_id": 12, "group_sex": "f"}]
    folder = a_folder(tmp_path, rows)

    done = run("scorelet-train", "check", "--data", folder, "--json", tmp_path / "found.json")

    assert done.returncode == 0, done.stderr
    [summary] = json.loads((tmp_path / "found.json").read_text())
    assert (summary["learners"], summary["missing"]) == (1, {"learner_id": 1, "group_sex": 1})
    assert re.search(r"\b1\b[^\d]*learner_id[^\d]*\b1\b[^\d]*group_sex", done.stderr)
