"""Follow the advice of messages: run the named command in the state that the message describes.

No command may repeat advice that was followed, and at the end the doctor must find no problem.
"""

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from typer.main import get_command

import app
from app.cli.doctor import examine
from app.cli.main import cli
from app.scoring.bundle import STUDENT
from app.scoring.errors import CodedError, UnknownItem
from app.scoring.item import Item
from app.scoring.live_version import ACTIVE, read_active
from app.scoring.registry import Registry
from app.scoring.teacher import TEACHER_JSON
from app.settings import Settings
from app.storage.database import connect
from app.storage.problems import UPGRADE
from tests.app.commands import Commands
from tests.tiny import write_tiny_bundle
from tests.tiny_feedback import write_tiny_feedback
from tests.tiny_teacher import item_of, write_tiny_teacher

COMMAND = re.compile(r"`(scorelet [^`]+)`")
OLD, NEW = "20260101T000000Z-00000001", "20260202T000000Z-00000002"
# Every command in a message, with its placeholders, and X for values that the message inserts.
# New advice needs a state below in which a test follows it.
ADVICE = {
    "scorelet backup",  # in the help of `restore`
    "scorelet bundle activate X --by NAME --fall-back never",
    "scorelet bundle activate X --by NAME --fall-back unsure",
    "scorelet bundle activate X VERSION --by NAME",
    "scorelet bundle shadow X --by NAME",
    "scorelet bundle shadow X --by NAME --off",
    "scorelet db upgrade",
    "scorelet doctor",
    "scorelet feedback activate X VERSION --by NAME --reason TEXT",
    "scorelet feedback off X",
    "scorelet items",
    "scorelet keys create",  # in the documentation page
    "scorelet keys create NAME --scope score",
    "scorelet restore DIR",
}


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, object]:
    write_tiny_bundle(tmp_path / "models", version=OLD)
    write_tiny_bundle(tmp_path / "models", version=NEW)
    write_tiny_bundle(tmp_path / "models", "heat-2")
    return {
        "SCORELET_MODELS_DIR": tmp_path / "models",
        "SCORELET_DATABASE_URL": f"sqlite:///{tmp_path / 'log.db'}",
    }


@pytest.fixture
def commands(
    settings: dict[str, object], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Commands:
    return Commands(monkeypatch, capsys, **settings)


def new_database(commands: Commands, folder: Path) -> None: ...


def no_revision(commands: Commands, folder: Path) -> None:
    """Create tables without a revision, as a restored dump of some tables has."""
    commands("db", "upgrade")
    sql(folder, "DELETE FROM alembic_version")


def table_in_the_way(commands: Commands, folder: Path) -> None:  # noqa: ARG001
    sql(folder, "CREATE TABLE predictions (mine INTEGER)")


def damaged_database(commands: Commands, folder: Path) -> None:
    """Cut off the last page of the database, as a failing disk may."""
    commands("db", "upgrade")
    copied = folder / "whole.db"
    sql(folder, f"VACUUM INTO '{copied}'")
    for end in ("", "-wal", "-shm"):
        (folder / f"log.db{end}").unlink(missing_ok=True)
    (folder / "log.db").write_bytes(copied.read_bytes()[:-4096])


def no_database(commands: Commands, folder: Path) -> None:  # noqa: ARG001
    (folder / "log.db").write_text("a list of learners\n" * 500)


def no_key(commands: Commands, folder: Path) -> None:  # noqa: ARG001
    commands("db", "upgrade")
    commands.set(SCORELET_HOST="192.0.2.1", SCORELET_ALLOWED_HOSTS="scores.school.example")


def damaged_student(commands: Commands, folder: Path) -> None:
    commands("db", "upgrade")
    live = read_active(folder / "models" / "heat-1").version
    (folder / "models" / "heat-1" / live / STUDENT).write_bytes(b"x")


def no_active_file(commands: Commands, folder: Path) -> None:
    commands("db", "upgrade")
    (folder / "models" / "heat-1" / ACTIVE).unlink()


def edited_release(commands: Commands, folder: Path) -> None:
    commands("db", "upgrade")
    path = folder / "models" / "heat-1" / ACTIVE
    content = path.read_text()
    assert '"passed": true' in content
    path.write_text(re.sub('"metadata_sha256": ".{4}', '"metadata_sha256": "0000', content))


def damaged_shadow(commands: Commands, folder: Path) -> None:
    commands("db", "upgrade")
    commands("bundle", "activate", "heat-1", OLD, "--by", "Ana")
    commands("bundle", "shadow", "heat-1", NEW, "--by", "Ana")
    (folder / "models" / "heat-1" / NEW / STUDENT).write_bytes(b"x")


def altered_teacher(commands: Commands, folder: Path) -> None:
    commands("db", "upgrade")
    teacher = write_tiny_teacher(folder / "models", [item_of(folder / "models" / "heat-1" / NEW)])
    commands("bundle", "activate", "heat-1", "--by", "Ana", "--fall-back", "unsure")
    path = teacher / TEACHER_JSON
    path.write_text(path.read_text() + "\n")


def damaged_teacher(commands: Commands, folder: Path) -> None:
    altered_teacher(commands, folder)
    for path in (folder / "models" / "_teachers").rglob("*.onnx"):
        path.write_bytes(b"x")


def damaged_feedback_model(commands: Commands, folder: Path) -> None:
    commands("db", "upgrade")
    heat = Item(item_id="heat-1", prompt="Why does heat rise?", scale="points", max_score=3)
    (write_tiny_feedback(folder / "models", [heat], name="tips") / "base.gguf").write_bytes(b"x")


# A state, the codes of the doctor's bad findings, and the operator's action if the advice is in words.
STATES: list[tuple[Callable[[Commands, Path], None], list[str], Callable[[Path], None] | None]] = [
    (new_database, ["database_empty"], None),
    (no_revision, ["name_taken"], lambda folder: (folder / "log.db").unlink()),  # as if restoring a backup
    (table_in_the_way, ["name_taken"], lambda folder: sql(folder, "ALTER TABLE predictions RENAME TO mine")),
    (damaged_database, ["database_damaged"], lambda folder: (folder / "log.db").unlink()),
    (no_database, ["database_damaged"], lambda folder: (folder / "log.db").unlink()),
    (no_key, ["no_key_made"], None),
    (damaged_student, ["item_refused"], None),
    (no_active_file, ["item_refused"], None),
    (edited_release, ["item_refused"], None),
    (damaged_shadow, ["item_without_shadow"], None),
    (altered_teacher, ["item_without_teacher"], None),
    (damaged_teacher, ["item_without_teacher"], None),
    (damaged_feedback_model, ["feedback_model_refused"], None),
]


@pytest.mark.parametrize(("state", "codes", "by_hand"), STATES, ids=[own[0].__name__ for own in STATES])
def test_following_the_advice_fixes_every_problem(
    commands: Commands,
    tmp_path: Path,
    state: Callable[[Commands, Path], None],
    codes: list[str],
    by_hand: Callable[[Path], None] | None,
) -> None:
    state(commands, tmp_path)
    assert bad_codes() == codes
    if by_hand:
        by_hand(tmp_path)

    followed: list[str] = []
    while advised := [
        command for finding in examine(Settings()) if not finding.good for command in commands_in(finding.advice)
    ]:
        follow(commands, advised, followed)

    assert bad_codes() == []


def test_commands_on_a_new_database_give_the_doctors_advice(commands: Commands) -> None:
    [problem] = [finding for finding in examine(Settings()) if not finding.good]
    for command in (("keys", "list"), ("learner", "erase", "0" * 64), ("bundle", "compare", "heat-1", OLD)):
        with pytest.raises(CodedError) as caught:
            commands(*command)
        assert commands_in(str(caught.value)) == commands_in(problem.advice) == ["scorelet db upgrade"]


def test_compare_without_a_shadow_advises_how_to_start_it(commands: Commands) -> None:
    commands("db", "upgrade")
    commands("bundle", "activate", "heat-1", OLD, "--by", "Ana")
    followed: list[str] = []
    with pytest.raises(CodedError) as caught:
        commands("bundle", "compare", "heat-1")

    follow(commands, commands_in(str(caught.value)), followed)

    assert "heat-1" in commands("bundle", "compare", "heat-1")


def test_command_in_the_message_about_an_unknown_item_lists_the_items(commands: Commands, tmp_path: Path) -> None:
    registry = Registry.from_folder(tmp_path / "models")
    with pytest.raises(UnknownItem) as caught:
        registry.get("heat-9")
    [command] = commands_in(str(caught.value))

    answer = commands(*command.split()[1:])

    assert {item_id for item_id in registry.live if item_id in answer} == {"heat-1", "heat-2"}


def test_every_command_in_a_message_exists_and_is_tested_here() -> None:
    named_commands = {command for message in messages() for command in COMMAND.findall(message)}

    assert named_commands == ADVICE
    for command in named_commands:
        parser: Any = get_command(cli)
        words = command.split()[1:]
        while hasattr(parser, "commands"):
            parser = parser.commands[words.pop(0)]
        options = {option for parameter in parser.params for option in (*parameter.opts, *parameter.secondary_opts)}
        assert {word for word in words if word.startswith("--")} <= options


def follow(commands: Commands, advised: list[str], followed: list[str]) -> None:
    """Run the first advised command that was not run yet, and assert that its answer names no command that was."""
    fresh = [command for command in advised if command not in followed]
    assert fresh, f"{followed} were followed, and are advised again"
    followed.append(fresh[0])
    values = {"NAME": "Ana", "TEXT": "to test", "VERSION": OLD}
    answer = ""
    try:
        commands(*(values.get(word, word) for word in fresh[0].split()[1:]))
    except CodedError as error:
        answer = str(error)
    assert set(commands_in(answer)).isdisjoint(followed)


def bad_codes() -> list[str]:
    return [finding.code for finding in examine(Settings()) if not finding.good]


def commands_in(advice: str | None) -> list[str]:
    return COMMAND.findall(advice or "")


def sql(folder: Path, statement: str) -> None:
    engine = connect(f"sqlite:///{folder / 'log.db'}")
    with engine.begin() as connection:
        connection.execute(text(statement))
    engine.dispose()


def messages() -> Iterator[str]:
    """Yield every string in the code of the service except docstrings, with X for each inserted value."""
    for path in Path(app.__file__ or "").parent.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
        docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                yield "".join(shown(part) for part in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in parts | docs:
                yield node.value


def shown(part: ast.expr) -> str:
    if isinstance(part, ast.Constant):
        return str(part.value)
    value = part.value if isinstance(part, ast.FormattedValue) else part
    return UPGRADE if isinstance(value, ast.Name) and value.id == "UPGRADE" else "X"
