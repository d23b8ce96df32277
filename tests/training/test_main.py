import json
from pathlib import Path

import pytest

from app.scoring.errors import BadRows
from app.scoring.files.options import ReadOptions
from tests.programs import run
from tests.refusals import check_golden, rows_refused
from tests.tiny import write_tiny_bundle
from tests.training.inside import call
from training.cli.options import chosen_items

ITEM = '{"item_id": "heat-1", "prompt": "Why does heat rise?", "scale": "points", "max_score": 3}\n'


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "items.jsonl").write_text(ITEM)
    rows = [{"item_id": "heat-1", "response": "air " * (n % 4), "score": n % 4} for n in range(20)]
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_misspelt_environment_variable_is_refused(data: Path) -> None:
    done = run("scorelet-train", "check", "--data", data, SCORELET_CASHE="work")

    assert (done.returncode, done.stdout) == (2, "")
    check_golden("train/misspelt_setting.txt", done.stderr)


WITHOUT_TORCH = ("torch", "transformers", "onnx", "scipy", "sklearn", "matplotlib")


def test_check_works_without_torch(data: Path, tmp_path: Path) -> None:
    arguments = ["check", "--data", data, "--json", tmp_path / "s.json"]

    done = run("scorelet-train", *arguments, without=WITHOUT_TORCH)

    assert done.returncode == 0, done.stderr
    assert "heat-1" in done.stdout
    [summary] = json.loads((tmp_path / "s.json").read_text())
    assert (summary["train"], summary["blank"], summary["duplicates"]) == (20, 5, 16)


def test_check_writes_names_of_items_and_columns_whole_to_a_pipe(data: Path) -> None:
    for file in data.iterdir():
        file.write_text(file.read_text().replace("heat-1", "warm-air-rises"))

    done = run("scorelet-train", "check", "--data", data)

    assert "warm-air-rises" in done.stdout
    assert "double-scored" in done.stdout


def test_check_warns_of_scores_that_are_sums_of_two_raters(data: Path, tmp_path: Path) -> None:
    pairs = [(n % 2, (n + n // 2) % 2) for n in range(40)]
    rows = [
        {"item_id": "heat-1", "response": f"air {n}", "score_1": a, "score_2": b, "score": a + b}
        for n, (a, b) in enumerate(pairs)
    ]
    (data / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    done = run("scorelet-train", "check", "--data", data, "--json", tmp_path / "s.json")

    [summary] = json.loads((tmp_path / "s.json").read_text())
    assert (done.returncode, summary["double_scored"]) == (0, 40)
    assert summary["outside_raters"] == sum(pair == (1, 1) for pair in pairs)
    check_golden("check_warnings.txt", done.stderr)


def test_evaluate_works_without_torch(tmp_path: Path) -> None:
    write_tiny_bundle(tmp_path / "models")
    responses = tmp_path / "dev.jsonl"
    marked = [("warm air", 2), ("warm", 1), ("warm air goes up", 3), ("cold", 2), ("", 0)]
    responses.write_text(
        "".join(json.dumps({"item_id": "heat-1", "response": text, "score": score}) + "\n" for text, score in marked)
    )
    arguments = ["evaluate", "--models", tmp_path / "models", "--responses", responses]

    with responses.open("a") as file:
        file.write('{"item_id": "heat-9", "response": "of an item that is not asked for", "score": 1}\n')

    done = run(
        "scorelet-train", *arguments, "--item", "heat-1", "--json", tmp_path / "metrics.json", without=WITHOUT_TORCH
    )

    assert done.returncode == 0, done.stderr
    [item] = json.loads((tmp_path / "metrics.json").read_text())
    assert (item["responses"], item["not_scorable"], item["agreement"]["n"]) == (5, 1, 4)
    assert item["agreement"]["exact"] == 0.75
    assert item["evidence"]["accepted"]["share"] == 1
    assert item["evidence"]["accepted"]["agreement"]["n"] == 4
    assert "0.75" in done.stdout


def test_evaluate_measures_grades(tmp_path: Path) -> None:
    write_tiny_bundle(tmp_path / "models", "shade-6", item={"scale": "continuous", "min_score": 1, "max_score": 6})
    marked = [("warm air", 3.5), ("warm", 2.5), ("warm air goes up", 4.5), ("", 1)]
    responses = tmp_path / "dev.jsonl"
    responses.write_text(
        "".join(json.dumps({"item_id": "shade-6", "response": text, "score": score}) + "\n" for text, score in marked)
    )
    arguments = ["evaluate", "--models", tmp_path / "models", "--responses", responses]

    done = run("scorelet-train", *arguments, "--json", tmp_path / "metrics.json", without=WITHOUT_TORCH)

    assert done.returncode == 0, done.stderr
    [item] = json.loads((tmp_path / "metrics.json").read_text())
    assert (item["responses"], item["not_scorable"], item["agreement"]["n"]) == (4, 1, 3)
    assert item["agreement"]["rmse"] == pytest.approx((1 / 3 * (0.25**2 + 1.5**2)) ** 0.5)
    assert item["agreement"]["exact"] == item["agreement"]["coverage"] == pytest.approx(2 / 3)
    accepted = item["evidence"]["accepted"]["agreement"]
    assert (accepted["n"], accepted["mae"]) == (1, 1.5)
    assert f"{item['agreement']['rmse']:.3f}" in done.stdout


def test_check_summarises_grades(tmp_path: Path) -> None:
    item = {"item_id": "shade-6", "prompt": "How warm?", "scale": "continuous", "min_score": 1, "max_score": 6}
    (tmp_path / "items.jsonl").write_text(json.dumps(item) + "\n")
    (tmp_path / "train.csv").write_text("item_id,response,score\nshade-6,warm,2.75\nshade-6,warm air,6\n")

    done = run("scorelet-train", "check", "--data", tmp_path, "--json", tmp_path / "s.json", without=WITHOUT_TORCH)

    assert done.returncode == 0, done.stderr
    [summary] = json.loads((tmp_path / "s.json").read_text())
    assert summary["distribution"] == {"1-2.25": 0, "2.25-3.5": 1, "3.5-4.75": 0, "4.75-6": 1}


@pytest.mark.parametrize(
    ("arguments", "code", "shown"),
    [
        (("check", "--data", "/nowhere"), 1, "/nowhere"),
        (("run", "--data", "{data}", "--models", "m", "--item", "heat-9"), 2, "heat-9"),
        (("run", "--data", "{data}", "--models", "m", "--config", "{data}/bad.toml"), 2, "colour"),
        (("run", "--data", "{data}", "--models", "m", "--config", "{data}/broken.toml"), 2, "broken.toml"),
        (("run", "--data", "{data}", "--models", "m", "--config", "{data}/no.toml"), 1, "{data}/no.toml: "),
        (("compare", "--data", "{data}", "--results", "r", "--item", "heat-9"), 2, "heat-9"),
        (("compare", "--data", "{data}", "--results", "r", "--config", "{data}/bad.toml"), 2, "colour"),
        (("compare", "--data", "{data}", "--results", "r"), 2, "{data}"),
        (("evaluate", "--models", "{data}", "--responses", "{data}/train.jsonl"), 1, "{data}"),
        (("run", "--data", "{data}"), 2, "--models"),
        (("feedback", "--data", "/nowhere", "--models", "m", "--name", "n"), 1, "/nowhere"),
        (("feedback", "--data", "{data}", "--models", "m", "--name", "n"), 1, "{data}"),  # no rows with feedback
    ],
)
def test_impossible_calls_have_exit_codes_without_torch(
    data: Path, arguments: tuple[str, ...], code: int, shown: str
) -> None:
    (data / "bad.toml").write_text('colour = "red"\n')
    (data / "broken.toml").write_text("seed = \n")

    given = [argument.replace("{data}", str(data)) for argument in arguments]

    done = run("scorelet-train", *given, without=WITHOUT_TORCH)

    assert "Traceback" not in done.stderr
    assert shown.replace("{data}", str(data)) in done.stderr
    assert done.returncode == code


def test_unknown_base_model_is_refused(data: Path, tmp_path: Path) -> None:
    done = call("run", "--data", data, "--models", tmp_path / "models", "--base", "/no/model")

    assert done.code == 1
    check_golden("train/no_such_base.txt", done.stderr)
    assert not (tmp_path / "models").exists()


def test_bad_row_stops_a_run_before_training(data: Path, tmp_path: Path) -> None:
    with (data / "train.jsonl").open("a") as file:
        file.write('{"item_id": "heat-1", "response": "air", "score": 9}\n')

    done = call("run", "--data", data, "--models", tmp_path / "models")

    assert done.code == 1
    assert isinstance(done.error, BadRows)
    assert [(file, line) for file, line, _ in rows_refused(done.error.errors)] == [("train.jsonl", 21)]
    assert "train.jsonl:21: " in done.stderr
    assert not (tmp_path / "models").exists()


def test_file_in_place_of_the_bundles_folder_is_refused(data: Path, tmp_path: Path) -> None:
    done = call("run", "--data", data, "--models", data / "train.jsonl", "--cache", tmp_path / "c")

    assert (done.code, done.stdout) == (2, "")
    check_golden("train/models_is_a_file.txt", done.stderr.replace(str(data), "DATA"))
    assert not (tmp_path / "c").exists()


def test_items_without_rows_are_noted_and_left_out(data: Path) -> None:
    with (data / "items.jsonl").open("a") as file:
        file.write(ITEM.replace("heat-1", "heat-2"))

    done = call("run", "--data", data, "--models", "m", "--dry-run", "--base", "/no/model")
    chosen = chosen_items(data, None, ReadOptions())
    named = chosen_items(data, ["heat-2"], ReadOptions())

    assert "heat-2" in done.stderr
    assert [item_data.item.item_id for item_data in chosen] == ["heat-1"]
    assert [item_data.item.item_id for item_data in named] == ["heat-2"]  # a named item is never left out


def test_items_stay_if_none_has_a_row(data: Path) -> None:
    (data / "train.jsonl").write_text("")

    assert [item_data.item.item_id for item_data in chosen_items(data, None, ReadOptions())] == ["heat-1"]
