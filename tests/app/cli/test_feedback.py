import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from app.cli.console import BadUsage, WorkFailed
from app.cli.main import cli
from app.scoring.errors import BadBundle, CodedError, UnknownItem
from app.scoring.item import Item
from app.scoring.live_version import ACTIVE
from tests.tiny import write_tiny_bundle
from tests.tiny_feedback import VERSION, write_tiny_feedback

BY = ("--by", "A. Teacher", "--reason", "read its card")


@pytest.fixture
def models(tmp_path: Path) -> Path:
    write_tiny_bundle(tmp_path)
    heat = Item(item_id="heat-1", prompt="Why does heat rise?", scale="points", max_score=3)
    write_tiny_feedback(tmp_path, [heat], live=False)
    return tmp_path


def run(models: Path, *arguments: str) -> Any:
    return CliRunner().invoke(cli, ["feedback", *arguments, "--models", str(models)])


def code_of(done: Any, kind: type[CodedError]) -> str:
    assert isinstance(done.exception, kind)
    return done.exception.code


def test_feedback_model_is_activated_and_withdrawn(models: Path) -> None:
    active = models / "_feedback" / "tiny" / ACTIVE

    activated = run(models, "activate", "tiny", *BY)
    assert f"tiny/{VERSION}" in activated.output
    assert json.loads(active.read_text()) | {"at": None} == {
        "version": VERSION, "mode": "auto", "by": "A. Teacher", "reason": "read its card", "at": None, "previous": None,
    }  # fmt: skip
    assert run(models, "list").output == f"tiny/{VERSION}  live\n"

    assert run(models, "off", "tiny").exit_code == 0
    assert not active.exists()
    assert run(models, "list").output == f"tiny/{VERSION}\n"
    assert run(models, "off", "tiny").exit_code == 0


def test_check_reports_sound_versions_and_their_items(models: Path) -> None:
    assert run(models, "check", "tiny").output == f"sound    tiny/{VERSION}: heat-1\n"

    (models / "_feedback" / "tiny" / VERSION / "base.gguf").unlink()

    broken = run(models, "check", "tiny")
    [line] = broken.output.splitlines()
    assert f"tiny/{VERSION}: base.gguf " in line
    assert code_of(broken, WorkFailed) == "bundles_refused"


def test_broken_or_missing_feedback_model_is_not_activated(models: Path) -> None:
    assert isinstance(run(models, "activate", "other", *BY).exception, UnknownItem)
    missing = run(models, "activate", "tiny", "20200101T000000Z-0", *BY)
    assert code_of(missing, WorkFailed) == "no_such_version"
    assert missing.exception.fields == {"version": "20200101T000000Z-0", "found": [VERSION]}
    assert code_of(run(models, "activate", "tiny", "--by", " ", "--reason", "x"), BadUsage) == "reason_needed"
    assert code_of(run(models, "activate", "tiny", "--by", "x", "--reason", " "), BadUsage) == "reason_needed"
    (models / "_feedback" / "tiny" / VERSION / "card.md").write_text("another")
    assert isinstance(run(models, "activate", "tiny", *BY).exception, BadBundle)
    assert not (models / "_feedback" / "tiny" / ACTIVE).exists()
