"""What the documentation says of the programs is what they say themselves."""

import re
import tomllib
from pathlib import Path

import pytest
from typer.main import get_command

from app.cli import cli as scorelet
from training.__main__ import cli as scorelet_train
from training.config import Config, TrainingConfig
from training.feedback.config import FeedbackConfig

ROOT = Path(__file__).parents[1]
COMMANDS = (ROOT / "docs" / "commands.md").read_text()


def commands(program: str, group: object, prefix: str = "") -> dict[str, object]:
    """`program group command` → the command, for every one there is."""
    found: dict[str, object] = {}
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        if hasattr(command, "commands"):
            found |= commands(program, command, f"{prefix}{name} ")
        else:
            found[f"{program} {prefix}{name}"] = command
    return found


ALL = commands("scorelet", get_command(scorelet)) | commands("scorelet-train", get_command(scorelet_train))


@pytest.mark.parametrize("name", ALL)
def test_every_command_and_option_is_documented_in_its_own_words(name: str) -> None:
    section = re.search(rf"^## {re.escape(name)}\n(.*?)(?=^## |\Z)", COMMANDS, re.MULTILINE | re.DOTALL)

    assert section, f"docs/commands.md has no section '## {name}'"
    command = ALL[name]
    assert " ".join(command.help.split()) in " ".join(section[1].split())  # type: ignore[attr-defined]
    for parameter in command.params:  # type: ignore[attr-defined]
        if parameter.name != "help":
            shown = parameter.opts[0] if parameter.opts[0].startswith("-") else (parameter.metavar or parameter.name)
            assert f"`{shown}`" in section[1], f"{name}: {shown}"


def test_no_command_is_documented_that_is_not_there() -> None:
    assert set(re.findall(r"^## (.*)$", COMMANDS, re.MULTILINE)) == set(ALL)


@pytest.mark.parametrize(("page", "config"), [("training", TrainingConfig()), ("feedback", FeedbackConfig())])
def test_the_settings_shown_are_the_defaults(page: str, config: Config) -> None:
    [block] = re.findall(r"```toml\n(.*?)```", (ROOT / "docs" / f"{page}.md").read_text(), re.DOTALL)

    shown = tomllib.loads(block)

    defaults = config.model_dump(mode="json")
    for name, value in shown.items():
        assert (value.items() <= defaults[name].items()) if isinstance(value, dict) else value == defaults[name]


def test_the_map_names_every_module_of_the_scoring_core() -> None:
    architecture = (ROOT / "docs" / "architecture.md").read_text()
    modules = [path.stem for path in (ROOT / "app" / "scoring").rglob("*.py") if path.stem != "__init__"]

    assert [name for name in modules if name not in architecture] == []
