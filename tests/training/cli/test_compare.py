"""`scorelet-train compare`: a whole comparison, with a teacher that can be pruned to a TinyBERT."""

import json
import shutil
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.programs import run
from tests.refusals import check_golden
from tests.training.compare.fakes import QUICK
from tests.training.compare.findings import FEW
from tests.training.compare.group_runs import texts_of
from tests.training.compare.wide import write_wide_encoder
from tests.training.example_rows import ITEM, item_data
from tests.training.inside import Done
from tests.training.inside import call as called
from training.compare.figures import sections
from training.compare.run import compare
from training.data import ItemData

DATA = item_data(24, 32, 4)
CONFIG = """
validation_share = 0.3
[teacher]
own_from = 1
max_tokens = 64
batch_size = 8
members = 1
max_epochs = 1
min_steps = 1
[text]
augmented_per_response = 1
[student]
vocabulary = 200
embedding = 8
hidden = 8
max_tokens = 48
[distillation]
epochs = 3
min_steps = 20
batch_size = 32
"""
LAYERS = 2  # of the teacher and of the network that is cut out of it: both are exported
REPORTS = ("report.html", "report.md", "report.json")


def write_data(folder: Path, data: ItemData) -> Path:
    folder.mkdir()
    item = data.item.model_dump(exclude_none=True)
    (folder / "items.jsonl").write_text(json.dumps(item) + "\n")
    for name, rows in (("train", data.train), ("dev", data.dev)):
        lines = [
            {"id": row.id, "item_id": row.item_id, "response": row.text, "score": row.value, "score_1": 1, "score_2": 2}
            for row in rows
        ]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    unlabelled = [{"id": row.id, "item_id": row.item_id, "response": row.text} for row in data.unlabelled]
    (folder / "unlabelled.jsonl").write_text("".join(json.dumps(line) + "\n" for line in unlabelled))
    return folder


def call(*arguments: object) -> Done:
    """Run with few timed responses and few bootstrap draws."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("training.compare.tinybert.LAYERS", LAYERS)
        patch.setattr("training.compare.run.compare", partial(compare, effort=QUICK))
        patch.setattr("training.compare.figures.sections", partial(sections, draws=FEW))
        return called(*arguments)


class Compared(NamedTuple):
    folder: Path
    arguments: list[object]
    done: Done


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory, tiny_encoder: Path) -> Compared:
    folder = tmp_path_factory.mktemp("compared")
    (folder / "config.toml").write_text(CONFIG)
    encoder = write_wide_encoder(tmp_path_factory.mktemp("wide"), tiny_encoder, layers=LAYERS)
    arguments: list[object] = ["compare", "--data", write_data(folder / "data", DATA), "--results", folder / "results"]
    arguments += ["--config", folder / "config.toml", "--base", encoder, "--cache", folder / "cache"]
    reports = [part for name in REPORTS for part in ("--report", folder / name)]
    return Compared(folder, arguments, call(*arguments, *reports))


def test_command_prints_a_table_of_all_contestants(compared: Compared) -> None:
    assert compared.done.code == 0, compared.done.stderr
    for title in ("the commonest score", "TF-IDF", "student, full recipe", "TinyBERT-class", "teacher", "human rater"):
        assert title in compared.done.stdout
    assert "QWK" in compared.done.stdout


def test_every_contestant_took_part_and_was_timed(compared: Compared) -> None:
    [section] = json.loads((compared.folder / "report.json").read_text())

    rows = {row["name"]: row for row in section["contestants"]}
    assert list(rows) == [
        "constant",
        "tf_idf",
        "tf_idf_small",
        "human_labels",
        "published_loss",
        "student",
        "tiny_bert",
        "teacher",
        "human",
    ]
    assert {name for name, row in rows.items() if not row["costs"]} == {"constant", "human"}
    assert [len(rows[name]["seeds"]) for name in ("student", "tiny_bert")] == [3, 1]
    assert rows["student"]["parameters"] < 30_000 < rows["tiny_bert"]["parameters"] < rows["teacher"]["parameters"]
    small, large = rows["student"]["costs"], rows["teacher"]["costs"]
    for precision in ("float32", "int8"):
        assert small[precision]["bytes"] < large[precision]["bytes"]
        assert min(costs[precision][kind] for costs in (small, large) for kind in ("alone_ms", "batched_ms")) > 0
    assert rows["human"]["figure"] == 0  # the raters here always gave 1 and 2


def test_all_reports_hold_the_same_figures(compared: Compared) -> None:
    [section] = json.loads((compared.folder / "report.json").read_text())

    for name in ("report.html", "report.md"):
        content = (compared.folder / name).read_text()
        for row in section["contestants"]:
            assert row["title"] in content
            assert f"{row['figure']:.3f}" in content


def test_results_and_reports_hold_no_responses(compared: Compared) -> None:
    files = [*(compared.folder / "results").iterdir(), *(compared.folder / name for name in REPORTS)]

    content = "\n".join(file.read_text() for file in files)

    assert len(files) == 4
    assert DATA.dev[0].id in content
    assert not any(text in content for text in texts_of(DATA))


def test_repeated_call_trains_nothing(compared: Compared) -> None:
    files = [path for name in ("results", "cache") for path in (compared.folder / name).rglob("*")]
    before = {path: path.stat().st_mtime_ns for path in files}

    again = call(*compared.arguments)

    assert (again.code, again.stdout) == (0, compared.done.stdout)
    assert {path: path.stat().st_mtime_ns for path in files} == before


def test_later_call_may_add_times(compared: Compared, tmp_path: Path) -> None:
    """Leave out the two contestants with slow exports, which the first call has timed."""
    results = compared.folder / "results"
    arguments = [tmp_path / "untimed" if value == results else value for value in compared.arguments]
    arguments += ["--without", "teacher", "--without", "tiny_bert"]
    reports = [tmp_path / "before.json", tmp_path / "after.json"]

    without = call(*arguments, "--no-times", "--report", reports[0])
    later = call(*arguments, "--report", reports[1])

    assert (without.code, later.code) == (0, 0), without.stderr + later.stderr
    before, after = ({row["name"]: row for row in json.loads(file.read_text())[0]["contestants"]} for file in reports)
    assert not any(row["costs"] for row in before.values())
    assert {name for name, row in after.items() if not row["costs"]} == {"constant", "human"}
    assert {name: row["figure"] for name, row in before.items()} == {name: row["figure"] for name, row in after.items()}


def test_contestants_and_seeds_may_be_left_out(compared: Compared, tmp_path: Path) -> None:
    arguments = [tmp_path / "fewer" if value == compared.folder / "results" else value for value in compared.arguments]
    report = tmp_path / "report.json"

    done = call(
        *arguments,
        "--without",
        "tiny_bert",
        "--without",
        "human_labels",
        "--seeds",
        1,
        "--no-times",
        "--report",
        report,
    )

    assert done.code == 0, done.stderr
    [section] = json.loads(report.read_text())
    rows = {row["name"]: len(row["seeds"]) for row in section["contestants"]}
    assert not {"tiny_bert", "human_labels"} & set(rows)
    assert (rows["student"], rows["published_loss"], rows["teacher"]) == (1, 1, 1)


@pytest.mark.parametrize("name", ["tiny-bert", "student"])
def test_contestant_that_cannot_be_left_out_is_refused(compared: Compared, name: str) -> None:
    done = call(*compared.arguments, "--without", name)

    assert done.code == 2
    assert done.error is not None
    assert (done.error.code, done.error.fields["name"]) == ("unknown_contestant", name)


@pytest.mark.parametrize("name", ["report.result.json", "heat-1.result.json"])
def test_foreign_file_among_results_is_refused(compared: Compared, tmp_path: Path, name: str) -> None:
    results = shutil.copytree(compared.folder / "results", tmp_path / "results")
    (results / name).write_text("[]")
    arguments = [results if value == compared.folder / "results" else value for value in compared.arguments]

    done = call(*arguments)

    assert done.code in (1, 2)
    assert done.error is not None
    assert (done.error.code, done.error.fields) == ("bad_results", {"file": results / name})


@pytest.mark.parametrize(
    ("arguments", "code", "shown"),
    [
        (("--item", "heat-9"), "unknown_items", "heat-9"),
        (("--report", "report.pdf"), "bad_ending", "report.pdf"),
        (("--report", "report.md", "--report", "report"), "bad_ending", "report"),
        (("--item", "heat-2"), "no_dev_rows", "{data}"),
        (("--config", "{data}/alone.toml"), "no_teacher_to_compare", "soft_weight"),
        (("--config", "{data}/bad.toml"), "bad_settings", "colour"),
    ],
)
def test_impossible_calls_are_refused(tmp_path: Path, arguments: tuple[str, ...], code: str, shown: str) -> None:
    data = write_data(tmp_path / "data", DATA)
    other = ITEM.model_copy(update={"item_id": "heat-2"}).model_dump(exclude_none=True)
    if "heat-2" in arguments:  # for the note on an item without rows
        with (data / "items.jsonl").open("a") as file:
            file.write(json.dumps(other) + "\n")
    (data / "alone.toml").write_text("[distillation]\nsoft_weight = 0\n")
    (data / "bad.toml").write_text('colour = "red"\n')
    given = [argument.replace("{data}", str(data)) for argument in arguments]

    done = call("compare", "--data", data, "--results", tmp_path / "r", "--base", data, *given)

    assert done.code == 2
    assert done.error is not None
    assert done.error.code == code
    assert shown.replace("{data}", str(data)) in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "r").exists()


def test_missing_package_is_reported(tmp_path: Path) -> None:
    data = write_data(tmp_path / "data", DATA)

    arguments = ("compare", "--data", data, "--results", tmp_path / "r", "--base", data)
    done = run("scorelet-train", *arguments, without=["matplotlib"])

    assert done.returncode == 2
    check_golden("train/not_installed.txt", done.stderr)
