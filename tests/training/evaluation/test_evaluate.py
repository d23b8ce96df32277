"""Evaluation of live bundles: students that give a point a word, with and without teachers to fall back on."""

import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest

from app.scoring.conditions import Limits
from app.scoring.errors import BadRows
from app.scoring.files.output import ORIGIN_MARK
from tests.programs import run
from tests.refusals import refused, rows_refused
from tests.tiny import write_tiny_bundle
from tests.tiny_teacher import SURE, fall_back, item_of, write_tiny_teacher
from training.errors import UnknownItems
from training.evaluation.attacks import CHANGED, JUNK
from training.evaluation.evaluate import ATTACKS_OF_A_KIND, evaluate
from training.evaluation.item_report import ItemReport

LABELS: dict[str, Any] = {"scale": "nominal", "labels": ["no idea", "heat is a thing", "air moves"]}
WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None
from training.__main__ import main
main()
"""


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """Write two bundles: heat-1 falls back on a teacher that gives one point more; belief-3 has no teacher."""
    folder = tmp_path / "models"
    item = item_of(write_tiny_bundle(folder, "heat-1", threshold=SURE))
    write_tiny_bundle(folder, "belief-3", item=LABELS)
    write_tiny_teacher(folder, [item])
    fall_back(folder)
    return folder


def heat(text: str, score: object, **more: object) -> dict[str, object]:
    return {"item_id": "heat-1", "response": text, "score": score} | more


def belief(text: str, label: str) -> dict[str, object]:
    return {"item_id": "belief-3", "response": text, "label": label}


ROWS = [
    heat("warm", 2, id="a", score_1=2, score_2=1, group_class="8b"),
    belief("warm air", "air moves"),
    heat("cold air goes", 0, id="b", group_class="8c"),
    belief("cold", "air moves"),
    heat("", 0, id="c"),
    heat("zebra air", 3, id="d", group_class="8c"),
]


@pytest.fixture
def responses(tmp_path: Path) -> Path:
    return written(tmp_path / "dev.jsonl", ROWS)


def written(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_every_item_of_the_file_is_measured_in_order(models: Path, responses: Path) -> None:
    of_heat, of_belief = evaluate(models, responses, None)

    assert (of_heat.item_id, of_heat.responses, of_heat.not_scorable) == ("heat-1", 4, 1)
    assert (of_heat.by_teacher, of_heat.automatic) == (2, 2)
    assert of_heat.confusion == ((0, 0, 0, 1), (0, 0, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1))
    assert set(of_heat.evidence.groups) == {"class=8b", "class=8c"}
    assert (of_belief.item_id, of_belief.responses, of_belief.by_teacher) == ("belief-3", 2, 0)
    assert of_belief.confusion == ((0, 0, 0), (0, 0, 0), (0, 1, 1))


def test_only_named_items_are_measured(models: Path, responses: Path, tmp_path: Path) -> None:
    [report] = evaluate(models, responses, tmp_path / "p.csv", ["belief-3"])

    assert (report.item_id, report.responses) == ("belief-3", 2)
    with (tmp_path / "p.csv").open(newline="") as file:
        assert {row["item_id"] for row in csv.DictReader(file)} == {"belief-3"}


@pytest.mark.parametrize("named", [["heat-9"], ["heat-1", "haet-1"]])
def test_item_without_responses_is_refused_before_writing(
    models: Path, responses: Path, tmp_path: Path, named: list[str]
) -> None:
    with refused(UnknownItems, "no_response", items=[named[-1]]):
        evaluate(models, responses, tmp_path / "p.csv", named)

    assert not (tmp_path / "p.csv").exists()


def test_attacks_use_responses_of_the_file(models: Path, responses: Path) -> None:
    """Junk with words gets points, and scores of three words or more stand."""
    of_heat, of_belief = evaluate(models, responses, None)

    attacks = of_heat.evidence.attacks
    assert set(attacks) <= {*JUNK, *CHANGED}
    assert {name for name, attack in attacks.items() if attack.junk} == {*JUNK} - {
        "keywords"
    }  # no word is long enough for keywords
    assert attacks["characters"].n == attacks["words"].n == ATTACKS_OF_A_KIND
    assert attacks["characters"].accepted > 0.9
    assert attacks["other_item"].n == 2  # the responses to belief-3
    assert attacks["shuffled"].n == 1  # one response has the best score
    assert of_heat.gate.failed[-1] == "junk accepted"
    assert of_belief.evidence.attacks["other_item"].n == 1


def test_attacks_use_the_phrases_of_the_bundle(models: Path, responses: Path) -> None:
    """The phrase of this bundle is a refusal, once or twice."""
    refused = Limits(refusals=("bitte", "bitte bitte"))
    bitte = {"phrases": {"begging": ["bitte"]}}
    write_tiny_bundle(models, "heat-1", version="20260105T000000Z-00000005", limits=refused)
    [in_english] = evaluate(models, responses, None, ["heat-1"])
    write_tiny_bundle(models, "heat-1", version="20260106T000000Z-00000006", limits=refused, config=bitte)
    [in_german] = evaluate(models, responses, None, ["heat-1"])

    assert in_english.evidence.attacks["begging"].accepted > 0.9
    assert in_german.evidence.attacks["begging"].accepted == 0


def test_attacks_of_an_evaluation_are_reproducible(models: Path, responses: Path) -> None:
    """The draw decides how many texts have sixteen words, each one piece to the tiny tokenizer."""
    write_tiny_bundle(models, "heat-1", version="20260105T000000Z-00000005", limits=Limits(repetition=0.92))

    first, second = (evaluate(models, responses, None) for _ in range(2))

    assert first == second
    assert 0 < first[0].evidence.attacks["characters"].accepted < 1


def test_single_item_has_no_attack_from_other_items(models: Path, responses: Path) -> None:
    [report] = evaluate(models, responses, None, ["heat-1"])

    assert "other_item" not in report.evidence.attacks


@pytest.mark.parametrize(
    ("row", "code"),
    [
        (heat("warm", 9), "bad_score"),
        (heat("warm", None), "bad_score"),
        (belief("warm", "who knows"), "bad_label"),
        ({"item_id": "heat-9", "response": "warm", "score": 1}, "unknown_item"),
        ({"item_id": "heat-1", "score": 1}, "missing"),
        (heat("warm", 1, id="a"), "id_twice"),
        ({"item_id": ["heat-1"], "response": "warm", "score": 1}, "not_text"),
    ],
)
def test_bad_row_is_refused_before_writing(models: Path, tmp_path: Path, row: dict[str, object], code: str) -> None:
    file = written(tmp_path / "dev.jsonl", [*ROWS, row])

    with refused(BadRows) as caught:
        evaluate(models, file, tmp_path / "p.csv")

    assert rows_refused(caught.value.errors) == [("dev.jsonl", len(ROWS) + 1, code)]
    assert not (tmp_path / "p.csv").exists()


def test_rows_of_items_without_a_student_lead_to_the_option_that_leaves_them_out(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written(tmp_path / "dev.jsonl", [*ROWS, {"item_id": "heat-9", "response": "warm", "score": 1}])

    with refused(BadRows):
        evaluate(models, file, None)

    assert "--item" in capsys.readouterr().err


def test_command_writes_all_files_without_torch(models: Path, responses: Path, tmp_path: Path) -> None:
    done = run(
        "python", "-c", WITHOUT_TORCH, "evaluate", "--models", models, "--responses", responses,
        "--report", tmp_path / "x.html", "--json", tmp_path / "x.json", "--predictions", tmp_path / "x.csv",
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    reports = evaluate(models, responses, None)
    written = json.loads((tmp_path / "x.json").read_text())
    assert [ItemReport.model_validate(unmarked(figures)) for figures in written] == reports
    page = (tmp_path / "x.html").read_text()
    assert re.findall(r"<h2>([^<]*)</h2>", page) == ["heat-1", "belief-3"]
    assert re.search("<title>.*dev[.]jsonl</title>", page)
    with (tmp_path / "x.csv").open(newline="") as file:
        predictions = list(csv.DictReader(file))
    assert [row["item_id"] for row in predictions] == [row["item_id"] for row in ROWS]
    assert [row["scored_by"] for row in predictions] == ["teacher", "student", "student", "student", "rule", "teacher"]
    for report in reports:
        assert report.item_id in done.stdout
        assert report.agreement is not None
        assert f"{report.agreement.exact:.3f}" in done.stdout
    assert "marked responses" in " ".join(done.stdout.split())


def unmarked(figures: dict[str, Any]) -> dict[str, Any]:
    assert figures.pop(ORIGIN_MARK) == "evaluate"
    return figures


@pytest.mark.parametrize("texts", [False, True])
def test_report_and_figures_hold_no_texts_unless_requested(models: Path, tmp_path: Path, texts: bool) -> None:
    """The score of `zebra` is wrong, that of `quagga` right, so that `quagga` is never shown."""
    rows = [heat("zebra zebra zebra", 0), heat("quagga quagga quagga", 3), belief("zebra", "no idea")]
    file = written(tmp_path / "dev.jsonl", rows)

    done = run(
        "scorelet-train", "evaluate", "--models", models, "--responses", file, *(("--texts",) if texts else ()),
        "--report", tmp_path / "x.html", "--json", tmp_path / "x.json",
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    for content in ((tmp_path / "x.html").read_text(), (tmp_path / "x.json").read_text()):
        assert ("zebra" in content) is texts
        assert "quagga" not in content
    assert "zebra" not in done.stdout + done.stderr


@pytest.mark.parametrize("name", ["x.pdf", "x.md", "x", "x.html.txt"])
def test_report_without_html_suffix_is_bad_usage(models: Path, responses: Path, tmp_path: Path, name: str) -> None:
    done = run(
        "scorelet-train", "evaluate", "--models", models, "--responses", responses,
        "--report", tmp_path / name, "--json", tmp_path / "x.json", "--predictions", tmp_path / "x.csv",
    )  # fmt: skip

    assert (done.returncode, done.stdout) == (2, "")
    assert ".html" in done.stderr
    assert "Traceback" not in done.stderr
    assert not any((tmp_path / other).exists() for other in (name, "x.json", "x.csv"))


@pytest.mark.parametrize("option", ["--report", "--json", "--predictions"])
def test_unwritable_output_is_refused(models: Path, responses: Path, tmp_path: Path, option: str) -> None:
    path = tmp_path / "nowhere" / "x.html"

    done = run("scorelet-train", "evaluate", "--models", models, "--responses", responses, option, path)

    assert (done.returncode, done.stdout) == (2, "")
    assert str(path) in done.stderr
    assert done.stderr.count("\n") == 1


def test_wrong_folder_and_empty_file_are_refused(models: Path, responses: Path, tmp_path: Path) -> None:
    with refused(UnknownItems, "no_bundles"):
        evaluate(tmp_path / "elsewhere", responses, None)
    with refused(BadRows) as caught:
        evaluate(models, written(tmp_path / "empty.jsonl", []), None)
    assert rows_refused(caught.value.errors) == [("empty.jsonl", 1, "no_rows")]
