"""Files that scorelet wrote: no command takes their machine scores for human ones, and no command overwrites them."""

import json
from pathlib import Path
from typing import Any

import pytest

from app.scoring.errors import BadRows
from app.scoring.files.options import ReadOptions
from app.scoring.files.output import is_ours
from tests.programs import run
from tests.refusals import refused, rows_refused
from tests.tiny import write_tiny_bundle
from tests.training.inside import call
from training.data import read_data
from training.evaluation.evaluate import evaluate

POINTS = {"item_id": "heat-1", "prompt": "Why does heat rise?", "scale": "points", "max_score": 3}
LABELS = {"scale": "nominal", "labels": ["no idea", "heat is a thing", "air moves"]}
ROWS: list[dict[str, Any]] = [
    {"item_id": "heat-1", "response": "warm air", "score": 0},
    {"item_id": "heat-1", "response": "warm air goes", "score": 3},
    {"item_id": "heat-1", "response": "warm", "score": 3},
    {"item_id": "belief-3", "response": "warm air", "label": "no idea"},
]


@pytest.fixture
def models(tmp_path: Path) -> Path:
    write_tiny_bundle(tmp_path / "models", "heat-1")
    write_tiny_bundle(tmp_path / "models", "belief-3", item=LABELS)
    return tmp_path / "models"


@pytest.fixture
def scored(tmp_path: Path, models: Path) -> Path:
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    done = run("scorelet", "score", tmp_path / "in.jsonl", "--out", tmp_path / "scored.csv", "--models", models)
    assert done.returncode == 0, done.stderr
    return tmp_path / "scored.csv"


def a_folder(tmp_path: Path, scored: Path, part: str) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    items = [POINTS, POINTS | {"item_id": "belief-3", "max_score": None} | LABELS]
    (folder / "items.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    (folder / f"{part}.csv").write_bytes(scored.read_bytes())
    if part == "train":
        (folder / "train.jsonl").unlink()
    return folder


def test_machine_scores_are_not_compared_with_themselves(models: Path, scored: Path) -> None:
    with refused(BadRows) as caught:
        evaluate(models, scored, None)

    assert rows_refused(caught.value.errors) == [("scored.csv", 1, "machine_scores")]
    assert "input_score" in str(caught.value)


def test_human_scores_are_read_from_a_named_column(tmp_path: Path, models: Path, scored: Path) -> None:
    of_heat, of_belief = evaluate(models, scored, None, reading=ReadOptions(score_column="input_score"))
    by_hand = evaluate(models, tmp_path / "in.jsonl", None)

    assert [of_heat.agreement, of_belief.agreement] == [figures.agreement for figures in by_hand]
    assert of_heat.agreement is not None
    assert of_heat.agreement.exact == pytest.approx(1 / 3)


@pytest.mark.parametrize("column", ["score", "label"])
def test_machine_column_cannot_be_named(models: Path, scored: Path, column: str) -> None:
    with refused(BadRows):
        evaluate(models, scored, None, reading=ReadOptions(score_column=column))


@pytest.mark.parametrize("part", ["train", "dev"])
@pytest.mark.parametrize("command", ["check", "run", "compare", "feedback"])
def test_no_command_uses_machine_scores(tmp_path: Path, scored: Path, command: str, part: str) -> None:
    folder, written = a_folder(tmp_path, scored, part), tmp_path / "made"
    options = {
        "check": (),
        "run": ("--models", written),
        "compare": ("--results", written),
        "feedback": ("--models", written, "--name", "x"),
    }[command]

    done = call(command, "--data", folder, *options)

    assert done.code == 1
    assert f"{part}.csv:1: " in done.stderr
    assert "--score-column" in done.stderr
    assert not written.exists()


def test_data_set_may_name_the_column_of_human_scores(tmp_path: Path, scored: Path) -> None:
    folder = a_folder(tmp_path, scored, "train")

    read = read_data(folder, ReadOptions(score_column="input_score"))

    assert [row.value for row in read.train] == [0, 3, 3, 0]
    assert call("check", "--data", folder, "--score-column", "input_score").code == 0


def test_score_column_may_be_named_for_any_file(tmp_path: Path, models: Path) -> None:
    file = tmp_path / "gradebook.csv"
    file.write_text("item_id;response;score;Grade/3,00\nheat-1;warm air;x;2,0\nheat-1;warm;y;1\n")

    [report] = evaluate(models, file, None, reading=ReadOptions(score_column="Grade/3,00"))

    assert report.agreement is not None
    assert report.agreement.exact == 1


@pytest.mark.usefixtures("scored")
def test_written_figures_are_no_responses(tmp_path: Path, models: Path) -> None:
    figures = tmp_path / "figures.json"
    call("evaluate", "--models", models, "--responses", tmp_path / "in.jsonl", "--json", figures)

    with refused(BadRows) as caught:
        evaluate(models, figures, None)
    assert {code for _, _, code in rows_refused(caught.value.errors)} == {"machine_scores"}


def commands(tmp_path: Path, models: Path, out: Path) -> dict[str, tuple[object, ...]]:
    responses = tmp_path / "in.jsonl"
    data = tmp_path / "data"
    evaluated = ("evaluate", "--models", models, "--responses", responses)
    return {
        "score": ("score", responses, "--models", models, "--out", out),
        "report": (*evaluated, "--report", out),
        "json": (*evaluated, "--json", out),
        "predictions": (*evaluated, "--predictions", out),
        "check": ("check", "--data", data, "--json", out),
        "compare": ("compare", "--data", data, "--results", tmp_path / "results", "--report", out),
        "feedback": ("feedback", "--data", data, "--models", models, "--name", "x", "--json", out),
    }


ENDS = {"score": "csv", "report": "html", "predictions": "csv", "compare": "md"}


def done(command: tuple[object, ...]) -> tuple[int, str]:
    if command[0] == "score":
        result = run("scorelet", *command)
        return result.returncode, result.stderr
    called = call(*command)
    return called.code, called.stderr


@pytest.mark.parametrize("name", ["score", "report", "json", "predictions", "check", "compare", "feedback"])
def test_foreign_file_is_not_overwritten(tmp_path: Path, models: Path, scored: Path, name: str) -> None:
    a_folder(tmp_path, scored, "unlabelled")
    theirs = tmp_path / f"theirs.{ENDS.get(name, 'json')}"
    theirs.write_text("a year's work\n")

    code, error = done(commands(tmp_path, models, theirs)[name])

    assert (code, theirs.read_text()) == (2, "a year's work\n")
    assert "--force" in error


@pytest.mark.parametrize("name", ["score", "report", "json", "predictions", "check"])
def test_own_files_and_forced_files_are_overwritten(tmp_path: Path, models: Path, scored: Path, name: str) -> None:
    a_folder(tmp_path, scored, "unlabelled")
    out = tmp_path / f"out.{ENDS.get(name, 'json')}"
    command = commands(tmp_path, models, out)[name]
    out.write_text("of no worth\n")

    forced, again = done((*command, "--force")), done(command)

    assert (forced[0], again[0]) == (0, 0), forced[1] + again[1]
    assert is_ours(out)
    assert "of no worth" not in out.read_text()


@pytest.mark.parametrize("name", ["score", "json", "predictions", "check", "compare", "feedback"])
def test_no_command_overwrites_its_input(tmp_path: Path, models: Path, scored: Path, name: str) -> None:
    folder = a_folder(tmp_path, scored, "unlabelled")
    source = folder / "train.jsonl" if name in ("check", "compare", "feedback") else tmp_path / "in.jsonl"
    link = tmp_path / f"link.{ENDS.get(name, 'json')}"
    link.symlink_to(source)
    before = source.read_bytes()

    for out in (link, source) if name != "compare" else (link,):
        code, error = done((*commands(tmp_path, models, out)[name], "--force"))
        assert (code, source.read_bytes()) == (2, before)
        assert "input" in error


@pytest.mark.usefixtures("scored")
def test_outputs_of_an_evaluation_never_share_a_file(tmp_path: Path, models: Path) -> None:
    out = tmp_path / "out.json"

    code, _ = done((*commands(tmp_path, models, out)["json"], "--predictions", out))

    assert (code, out.exists()) == (2, False)


@pytest.mark.usefixtures("scored")
def test_scored_rows_need_a_csv_name(tmp_path: Path, models: Path) -> None:
    out = tmp_path / "out.parquet"

    code, error = done(commands(tmp_path, models, out)["predictions"])

    assert (code, out.exists()) == (2, False)
    assert ".csv" in error


def test_demo_data_do_not_overwrite_other_files(tmp_path: Path) -> None:
    def demo(*options: object) -> int:
        return run("python", "-m", "training.demo", "--out", tmp_path / "demo", *options).returncode

    assert (demo(), demo()) == (0, 0)  # unchanged files
    theirs = tmp_path / "demo" / "dev.jsonl"
    written = theirs.read_text()
    theirs.write_text("a year's work\n")

    assert (demo(), theirs.read_text()) == (2, "a year's work\n")
    assert (demo("--force"), theirs.read_text()) == (0, written)
    assert (demo("--seed", 1), theirs.read_text()) == (2, written)
