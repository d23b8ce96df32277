"""Teachers in `scorelet bundle activate --fall-back`, `doctor` and `items`."""

import csv
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from app.cli.main import cli
from app.scoring.bundle_files import sha256
from app.scoring.errors import BadBundle
from app.scoring.live_version import Fallback, read_active
from app.scoring.teacher import TEACHER_JSON
from tests.programs import run
from tests.refusals import check_golden
from tests.tiny import write_tiny_bundle
from tests.tiny_teacher import NAME, POINTS, SURE, VERSION, fall_back, item_of, plus_one_onnx, write_tiny_teacher

NEWER = "20260103T000000Z-0000000b"
Set = dict[str, Any]


@pytest.fixture
def models(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    write_tiny_teacher(folder, [item_of(write_tiny_bundle(folder, threshold=SURE))])
    return folder


@pytest.fixture
def settings(models: Path, tmp_path: Path) -> Set:
    environment: Set = {
        "SCORELET_MODELS_DIR": models,
        "SCORELET_DATABASE_URL": f"sqlite:///{tmp_path / 'log.db'}",
        "COLUMNS": 200,
    }
    assert run("scorelet", "db", "upgrade", **environment).returncode == 0
    return environment


def scorelet(settings: Set, *arguments: object) -> tuple[int, str, str]:
    done = run("scorelet", *arguments, **settings)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


def activate(settings: Set, *more: object) -> tuple[int, str, str]:
    return scorelet(settings, "bundle", "activate", "heat-1", "--by", "Ana", *more)


@pytest.mark.parametrize("policy", ["unsure", "shadow"])
def test_activate_with_fall_back_uses_the_newest_teacher(settings: Set, models: Path, policy: str) -> None:
    metadata = write_tiny_teacher(models, name="newer", version=NEWER) / TEACHER_JSON

    code, said, _ = activate(settings, "--fall-back", policy)

    active = read_active(models / "heat-1")
    assert code == 0
    assert f"newer/{NEWER} ({policy})" in said
    assert active.fallback is not None
    assert active.fallback == Fallback.model_validate(
        {"policy": policy, "teacher": "newer", "version": NEWER, "metadata_sha256": sha256(metadata.read_bytes())}
    )
    assert (active.mode, active.override, active.by) == ("auto", False, "Ana")


def test_activated_item_falls_back_on_its_teacher(settings: Set, tmp_path: Path) -> None:
    assert activate(settings, "--fall-back", "unsure")[0] == 0
    (tmp_path / "in.csv").write_text("id,item_id,response\na,heat-1,warm air\nb,heat-1,warm air goes\n")

    code, _, _ = scorelet(settings, "score", tmp_path / "in.csv", "--out", tmp_path / "out.csv")

    head, *rows = [row.split(",") for row in (tmp_path / "out.csv").read_text().splitlines()]
    assert code == 0
    assert [dict(zip(head, row, strict=True))["score"] for row in rows] == ["3", "3"]
    assert [dict(zip(head, row, strict=True))["decision"] for row in rows] == ["auto", "auto"]


@pytest.mark.parametrize("command", ["activate", "rollback"])
def test_fall_back_is_unchanged_without_the_option(settings: Set, models: Path, command: str) -> None:
    fall_back(models)
    write_tiny_bundle(models, version=NEWER, threshold=SURE)
    fall_back(models, policy="shadow")
    before = read_active(models / "heat-1")

    code, said, _ = scorelet(settings, "bundle", command, "heat-1", "--by", "Ana", "--reason", "to see")

    active = read_active(models / "heat-1")
    assert (code, active.version == NEWER) == (0, command == "activate")
    assert active.fallback == before.fallback
    assert f"{NAME}/{VERSION} (shadow)" in said


def test_first_activation_has_no_teacher(settings: Set, models: Path) -> None:
    (models / "heat-1" / "ACTIVE").unlink()

    code, said, _ = activate(settings)

    assert (code, read_active(models / "heat-1").fallback, "teacher" in said) == (0, None, False)


def test_fall_back_never_removes_the_teacher(settings: Set, models: Path) -> None:
    fall_back(models)

    code, said, _ = activate(settings, "--fall-back", "never")

    assert (code, read_active(models / "heat-1").fallback, "teacher" in said) == (0, None, False)


def refusal(settings: Set, models: Path, policy: str) -> tuple[str, Mapping[str, object]]:
    """Return code and fields of the error, and assert that the live version stays."""
    before = (models / "heat-1" / "ACTIVE").read_bytes()
    command = ["bundle", "activate", "heat-1", "--by", "Ana", "--fall-back", policy]
    error = CliRunner().invoke(cli, command, env={name: str(value) for name, value in settings.items()}).exception
    assert (models / "heat-1" / "ACTIVE").read_bytes() == before
    assert isinstance(error, BadBundle)
    return error.code, error.fields


def test_unknown_policy_is_bad_usage(settings: Set, models: Path) -> None:
    code, _, error = activate(settings, "--fall-back", "always")

    assert code == 2
    assert all(repr(policy) in error for policy in ("never", "unsure", "shadow"))
    assert read_active(models / "heat-1").fallback is None


def test_fall_back_without_an_exported_teacher_is_refused(settings: Set, models: Path) -> None:
    (models / "_teachers" / NAME / VERSION / TEACHER_JSON).unlink()

    assert refusal(settings, models, "unsure") == ("none_taught", {"item_id": "heat-1"})


def test_damaged_teacher_is_refused(settings: Set, models: Path) -> None:
    (models / "_teachers" / NAME / VERSION / "member-1.onnx").write_bytes(b"something else")

    assert refusal(settings, models, "shadow") == ("wrong_checksum", {"file": "member-1.onnx"})


def test_teacher_of_another_prompt_is_refused(settings: Set, models: Path) -> None:
    write_tiny_teacher(models, [POINTS.model_copy(update={"prompt": "Why does cold fall?"})], version=NEWER)

    code, _, _ = activate(settings, "--fall-back", "unsure")

    assert code == 1
    assert refusal(settings, models, "unsure") == ("not_taught", {"item_id": "heat-1"})


def test_doctor_reports_an_item_without_its_teacher(settings: Set, models: Path) -> None:
    fall_back(models)
    code, said, _ = scorelet(settings, "doctor")
    assert (code, "teacher" in said) == (0, False)

    (models / "_teachers" / NAME / VERSION / "member-1.onnx").write_bytes(plus_one_onnx(POINTS, more=3))
    code, said, error = scorelet(settings, "doctor")

    bad = [line for line in said.splitlines() if line.startswith("BAD")]
    advice = said.splitlines()[said.splitlines().index(bad[0]) + 1]
    assert code == 1
    check_golden("cli/doctor_without_teacher.txt", "\n".join([*bad, advice, error]))


def test_advice_of_doctor_restores_the_teacher(settings: Set, models: Path) -> None:
    fall_back(models)
    folder = models / "_teachers" / NAME / VERSION
    sound = (folder / "member-1.onnx").read_bytes()
    (folder / "member-1.onnx").write_bytes(plus_one_onnx(POINTS, more=3))
    _, said, _ = scorelet(settings, "doctor")
    [advice] = re.findall(r"^BAD .*\n +→ `scorelet ([^`]*)`", said, re.MULTILINE)
    (folder / "member-1.onnx").write_bytes(sound)

    assert scorelet(settings, *advice.replace("NAME", "Ana").split())[0] == 0
    assert scorelet(settings, "doctor")[0] == 0


def test_row_on_which_the_teacher_fails_goes_to_review(settings: Set, models: Path, tmp_path: Path) -> None:
    """The service does the same."""
    item = item_of(models / "heat-1" / read_active(models / "heat-1").version)
    write_tiny_teacher(models, [item], name="failing", members=[plus_one_onnx(POINTS, fails_at="sinks")])
    fall_back(models, name="failing")
    (tmp_path / "in.csv").write_text("item_id,response\nheat-1,warm air\nheat-1,air sinks\nheat-1,warm\n")

    code, _, error = scorelet(settings, "score", tmp_path / "in.csv", "--out", tmp_path / "out.csv")

    assert (code, "sinks" in error) == (0, False)
    with (tmp_path / "out.csv").open(newline="") as file:
        rows = [(row["scored_by"], row["decision"], row["score"]) for row in csv.DictReader(file)]
    assert rows == [("teacher", "auto", "3"), ("student", "review", "2"), ("teacher", "review", "2")]


def test_teachers_are_not_listed_as_items(settings: Set) -> None:
    code, said, _ = scorelet(settings, "items")

    assert (code, "heat-1" in said, "_teachers" in said) == (0, True, False)
