import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from app.cli import cli
from app.console import BadUsage, WorkFailed
from app.scoring.active import ACTIVE
from app.scoring.errors import BadBundle, UnknownItem
from app.scoring.item import Item
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


def test_a_person_makes_it_live_and_ends_it(models: Path) -> None:
    active = models / "_feedback" / "tiny" / ACTIVE

    made = run(models, "activate", "tiny", *BY)
    assert made.output == f"tiny/{VERSION} writes feedback; restart a running service to use it\n"
    assert json.loads(active.read_text()) | {"at": None} == {
        "version": VERSION, "mode": "auto", "by": "A. Teacher", "reason": "read its card", "at": None, "previous": None,
    }  # fmt: skip
    assert run(models, "list").output == f"tiny/{VERSION}  live\n"

    assert run(models, "off", "tiny").exit_code == 0
    assert not active.exists()
    assert run(models, "list").output == f"tiny/{VERSION}\n"
    assert run(models, "off", "tiny").exit_code == 0


def test_check_says_what_is_sound_and_for_which_items(models: Path) -> None:
    assert run(models, "check", "tiny").output == f"sound    tiny/{VERSION}: heat-1\n"

    (models / "_feedback" / "tiny" / VERSION / "base.gguf").unlink()

    broken = run(models, "check", "tiny")
    assert f"refused  tiny/{VERSION}: base.gguf is missing or not a plain file" in broken.output
    assert isinstance(broken.exception, WorkFailed)


def test_what_is_not_sound_or_not_there_is_not_made_live(models: Path) -> None:
    assert isinstance(run(models, "activate", "other", *BY).exception, UnknownItem)
    assert "it has 2026" in str(run(models, "activate", "tiny", "20200101T000000Z-0", *BY).exception)
    assert isinstance(run(models, "activate", "tiny", "--by", " ", "--reason", "x").exception, BadUsage)
    assert isinstance(run(models, "activate", "tiny", "--by", "x", "--reason", " ").exception, BadUsage)
    (models / "_feedback" / "tiny" / VERSION / "card.md").write_text("another")
    assert isinstance(run(models, "activate", "tiny", *BY).exception, BadBundle)
    assert not (models / "_feedback" / "tiny" / ACTIVE).exists()
