import json
from pathlib import Path

import pytest
from sqlalchemy import text

from app.cli.console import BadUsage, WorkFailed
from app.scoring.bundle import STUDENT
from app.scoring.errors import BadRows, CodedError, UnknownItem
from app.scoring.files.output import CannotWrite
from app.scoring.item import Item
from app.scoring.row_files import read_rows
from app.storage.database import connect
from tests.app.commands import Commands
from tests.programs import run, serving
from tests.refusals import check_golden, refused
from tests.tiny import write_tiny_bundle
from tests.tiny_feedback import write_tiny_feedback


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, Path | str]:
    write_tiny_bundle(tmp_path / "models")
    return {
        "SCORELET_MODELS_DIR": tmp_path / "models",
        "SCORELET_DATABASE_URL": f"sqlite:///{tmp_path / 'log.db'}",
    }


Set = dict[str, Path | str]


@pytest.fixture
def commands(settings: Set, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Commands:
    return Commands(monkeypatch, capsys, **settings)


def scorelet(settings: Set, *arguments: object) -> tuple[int, str, str]:
    done = run("scorelet", *arguments, **settings)  # type: ignore[arg-type]
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


def test_file_is_scored_row_by_row(settings: Set, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"id": "a", "item_id": "heat-1", "response": "warm air", "class": "8b"}\n')

    code, said, _ = scorelet(settings, "score", tmp_path / "in.jsonl", "--out", tmp_path / "out.csv")

    assert (code, said.count("\n"), str(tmp_path / "out.csv") in said) == (0, 1, True)
    head, row = (tmp_path / "out.csv").read_text().splitlines()
    assert head.startswith("id,item_id,score,label,expected_score,confidence,decision,condition,bundle_version,")
    assert row.startswith("a,heat-1,2,,")


def test_grades_are_scored_to_a_file(settings: Set, tmp_path: Path) -> None:
    write_tiny_bundle(tmp_path / "models", "shade-6", item={"scale": "continuous", "min_score": 1, "max_score": 6})
    (tmp_path / "in.csv").write_text("item_id,response,score\nshade-6,warm air,3.5\nheat-1,warm air,2\n")

    code, _, _ = scorelet(settings, "score", tmp_path / "in.csv", "--out", tmp_path / "out.csv")

    grade, points = read_rows(tmp_path / "out.csv")
    assert code == 0
    assert float(grade.fields["score"]) == float(grade.fields["expected_score"]) == pytest.approx(3.5)
    assert (grade.fields["decision"], grade.fields["input_score"]) == ("review", "3.5")
    assert points.fields["score"] == "2"


def test_bad_row_stops_scoring_before_output_is_written(commands: Commands, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("item_id,response\nheat-1,warm\nheat-9,warm\nheat-1\n")

    with refused(BadRows, "bad_rows") as caught:
        commands("score", tmp_path / "in.csv", "--out", tmp_path / "out.csv")

    assert [(error.file.name, error.line) for error in caught.value.errors] == [("in.csv", 4)]
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize(
    ("arguments", "kind", "code"),
    [
        (("score", "in.pdf", "--out", "out.csv"), BadRows, ""),
        (("score", "in.csv", "--out", "nowhere/out.csv"), CannotWrite, "no_folder"),
        (("score", "in.csv", "--out", "out.XLSX"), CannotWrite, "no_csv"),  # a CSV file of this name would not open
        (("bundle", "check", "heat-9"), UnknownItem, "unknown_item"),
        (("bundle", "check", "../heat-1"), UnknownItem, "unknown_item"),
        (("bundle", "gate", "heat-9"), UnknownItem, "unknown_item"),
        (("bundle", "gate", "heat-1", "v9"), WorkFailed, "no_such_version"),
        (("bundle", "gate", "heat-1", "../heat-1"), WorkFailed, "no_such_version"),
        (("bundle", "activate", "heat-1", "v9", "--by", "Ana"), WorkFailed, "no_such_version"),
        (("bundle", "activate", "heat-1", "--auto", "--by", "Ana", "--reason", " "), BadUsage, "reason_needed"),
        (("bundle", "activate", "heat-1", "--auto", "--by", "Ana"), BadUsage, "reason_needed"),
        (("bundle", "rollback", "heat-1", "--by", "Ana", "--reason", "worse"), WorkFailed, "no_previous"),
        (("bundle", "activate", "heat-1", "--by", " "), BadUsage, "name_needed"),
        (("keys", "list"), WorkFailed, "database_empty"),
        (("items", "--models", "/nowhere"), WorkFailed, "no_items"),
        (("doctor",), WorkFailed, "things_to_mend"),
    ],
)
def test_impossible_commands_raise_their_own_errors(
    commands: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...], kind: type[CodedError], code: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)

    with refused(kind, code):
        commands(*arguments)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("keys", "list"), 1),  # the work failed
        (("score", "absent.csv", "--out", "out.csv"), 1),
        (("bundle", "activate", "heat-1", "--by", " "), 2),  # bad usage by our check
        (("score", "in.csv"), 2),  # bad usage by the option parser
        (("keys", "create", "Moodle", "--scope", "all"), 2),
        (("serve", "--port", "0"), 2),
        (("sing",), 2),
    ],
)
def test_exit_code_tells_failed_work_from_bad_usage(settings: Set, arguments: tuple[str, ...], code: int) -> None:
    exit_code, _, error = scorelet(settings, *arguments)

    assert exit_code == code
    assert error


@pytest.mark.parametrize("command", [("doctor",), ("items",), ("items", "--models"), ("keys", "list")])
def test_misspelt_setting_is_named(commands: Commands, tmp_path: Path, command: tuple[str, ...]) -> None:
    commands.set(SCORELET_STORE_RESPONSE="false", SCORELET_X="")
    named = (*command, tmp_path / "models") if command[-1] == "--models" else command

    with refused(BadUsage, "unknown_setting", settings=["SCORELET_STORE_RESPONSE", "SCORELET_X"]) as caught:
        commands(*named)

    check_golden("cli/misspelt_setting.txt", f"{caught.value}\n")


def test_bad_value_of_a_setting_is_named(commands: Commands) -> None:
    commands.set(SCORELET_PORT="eighty")

    with refused(BadUsage, "bad_setting", settings=["SCORELET_PORT"]):
        commands("doctor")


@pytest.mark.parametrize("url", ["mysql://u:p@localhost/x", "postgresql+psycopg://u:p@host:abc/db", "sqlite://", "x"])
def test_unsupported_database_is_refused_without_its_url(commands: Commands, url: str) -> None:
    commands.set(SCORELET_DATABASE_URL=url)

    with refused(WorkFailed, "things_to_mend", codes=["bad_database_url"]):
        commands("doctor")
    with refused(BadUsage, "bad_database_url") as caught:
        commands("keys", "list")

    assert url not in str(caught.value)


def test_database_of_a_newer_version_is_left_unchanged(commands: Commands, settings: Set) -> None:
    commands("db", "upgrade")
    with connect(str(settings["SCORELET_DATABASE_URL"])).begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    for command in (("db", "upgrade"), ("keys", "list")):
        with refused(WorkFailed, "database_newer", found="9999"):
            commands(*command)


def test_key_is_created_listed_rotated_and_revoked(settings: Set) -> None:
    assert scorelet(settings, "db", "upgrade")[0] == 0
    assert scorelet(settings, "db", "upgrade")[0] == 0  # a second time, which changes nothing

    code, secret, said = scorelet(
        settings, "keys", "create", "Moodle", "--scope", "score", "--scope", "review", "--days", 7
    )
    key_id = said.split()[1]
    listed = scorelet(settings, "keys", "list")[1]

    assert (code, len(secret.strip())) == (0, 43)  # 256 bits
    assert key_id in listed
    assert "review score" in listed
    assert secret.strip() not in listed
    assert scorelet(settings, "keys", "create", "school [/a] [old]", "--scope", "score")[0] == 0
    assert "school [/a] [old]" in scorelet(settings, "keys", "list")[1]
    code, second, said = scorelet(settings, "keys", "rotate", key_id)
    assert (code, len(second.strip())) == (0, 43)
    assert second != secret
    table = scorelet(settings, "keys", "list")[1]
    assert said.split()[1] in table
    assert table.count(key_id) == 2  # its row, and the `replaces` of the new key
    assert scorelet(settings, "keys", "revoke", key_id)[0] == 0
    assert scorelet(settings, "keys", "revoke", "nobody")[0] == 1
    assert scorelet(settings, "keys", "rotate", key_id)[0] == 1


def test_service_without_keys_does_not_start_on_the_network(commands: Commands) -> None:
    commands("db", "upgrade")

    with refused(WorkFailed, "open_to_the_network", host="192.0.2.1"):
        commands("serve", "--host", "192.0.2.1")


def test_every_log_line_of_a_service_is_json(settings: Set, tmp_path: Path) -> None:
    """So is the first line, the warning of an open service."""
    scorelet(settings, "db", "upgrade")
    said = tmp_path / "said"

    with serving(said=said, **settings):  # type: ignore[arg-type]
        pass

    lines = [json.loads(line) for line in said.read_text().splitlines()]
    assert [line["level"] for line in lines if "OPEN" in line["message"]] == ["warning"]


def test_doctor_reports_a_refused_bundle(commands: Commands, tmp_path: Path) -> None:
    commands("db", "upgrade")
    (write_tiny_bundle(tmp_path / "models", "heat-2") / STUDENT).write_bytes(b"x")

    with refused(WorkFailed, "things_to_mend", codes=["item_refused"]):
        commands("doctor")


def test_doctor_reports_good_and_bad_feedback_models(settings: Set, commands: Commands, tmp_path: Path) -> None:
    commands("db", "upgrade")
    heat = Item(item_id="heat-1", prompt="Why does heat rise?", scale="points", max_score=3)
    write_tiny_feedback(tmp_path / "models", [heat], name="good")
    (write_tiny_feedback(tmp_path / "models", [heat], name="bad") / "base.gguf").write_bytes(b"x")

    code, said, _ = scorelet(settings, "doctor")

    assert code == 1
    [good] = [line for line in said.splitlines() if "model good" in line]
    [bad] = [line for line in said.splitlines() if "model bad" in line]
    assert (good[:4], bad[:4]) == ("ok  ", "BAD ")


def test_doctor_reports_no_problem_of_a_good_installation(commands: Commands) -> None:
    commands("db", "upgrade")

    assert "BAD" not in commands("doctor")
