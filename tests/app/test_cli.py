import json
from pathlib import Path

import pytest
from sqlalchemy import text

from app.console import BadUsage, WorkFailed
from app.scoring.active import ACTIVE, activate, read_active
from app.scoring.bundle import STUDENT
from app.scoring.errors import BadRows, CodedError, UnknownItem
from app.scoring.gate import Policy
from app.scoring.item import Item
from app.scoring.rows import read_rows
from app.settings import Settings
from app.storage.database import connect
from tests.app.commands import Commands
from tests.programs import run, serving
from tests.refusals import check_golden, refused
from tests.tiny import write_tiny_bundle
from tests.tiny_feedback import write_tiny_feedback

README = (Path(__file__).parents[2] / "README.md").read_text()


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


def test_a_file_is_scored_row_by_row(settings: Set, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"id": "a", "item_id": "heat-1", "response": "warm air", "class": "8b"}\n')

    code, said, _ = scorelet(settings, "score", tmp_path / "in.jsonl", "--out", tmp_path / "out.csv")

    assert (code, said) == (0, f"1 responses scored to {tmp_path / 'out.csv'}\n")
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


def test_a_bad_row_stops_all_before_anything_is_written(settings: Set, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("item_id,response\nheat-1,warm\nheat-9,warm\nheat-1\n")

    code, _, error = scorelet(settings, "score", tmp_path / "in.csv", "--out", tmp_path / "out.csv")

    assert code == 1
    assert "in.csv:4: fewer fields than columns" in error
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize(
    ("arguments", "kind", "code"),
    [
        (("score", "in.pdf", "--out", "out.csv"), BadRows, ""),
        (("score", "in.csv", "--out", "nowhere/out.csv"), BadUsage, ""),
        (("bundle", "check", "heat-9"), UnknownItem, "unknown_item"),
        (("bundle", "check", "../heat-1"), UnknownItem, "unknown_item"),
        (("bundle", "gate", "heat-9"), UnknownItem, "unknown_item"),
        (("bundle", "gate", "heat-1", "v9"), WorkFailed, ""),
        (("bundle", "gate", "heat-1", "../heat-1"), WorkFailed, ""),
        (("bundle", "activate", "heat-1", "v9", "--by", "Ana"), WorkFailed, ""),
        (("bundle", "activate", "heat-1", "--auto", "--by", "Ana", "--reason", " "), BadUsage, ""),
        (("bundle", "activate", "heat-1", "--auto", "--by", "Ana"), BadUsage, ""),
        (("bundle", "rollback", "heat-1", "--by", "Ana", "--reason", "worse"), WorkFailed, ""),
        (("bundle", "activate", "heat-1", "--by", " "), BadUsage, ""),
        (("keys", "list"), WorkFailed, "database_empty"),
        (("items", "--models", "/nowhere"), WorkFailed, "no_items"),
        (("doctor",), WorkFailed, "things_to_mend"),
    ],
)
def test_what_cannot_be_done_is_an_error_of_its_kind(
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
        (("bundle", "activate", "heat-1", "--by", " "), 2),  # bad usage, as we see it
        (("score", "in.csv"), 2),  # bad usage, as the parser of options sees it
        (("keys", "create", "Moodle", "--scope", "all"), 2),
        (("serve", "--port", "0"), 2),
        (("sing",), 2),
    ],
)
def test_the_exit_code_tells_why_in_one_message(settings: Set, arguments: tuple[str, ...], code: int) -> None:
    found, _, error = scorelet(settings, *arguments)

    assert found == code
    assert error


@pytest.mark.parametrize("command", [("doctor",), ("items",), ("items", "--models"), ("keys", "list")])
def test_a_misspelt_setting_is_named(commands: Commands, tmp_path: Path, command: tuple[str, ...]) -> None:
    commands.set(SCORELET_STORE_RESPONSE="false", SCORELET_X="")
    named = (*command, tmp_path / "models") if command[-1] == "--models" else command

    with refused(BadUsage, "unknown_setting", settings=["SCORELET_STORE_RESPONSE", "SCORELET_X"]) as caught:
        commands(*named)

    check_golden("cli/misspelt_setting.txt", f"{caught.value}\n")


def test_a_bad_value_of_a_setting_is_named(commands: Commands) -> None:
    commands.set(SCORELET_PORT="eighty")

    with refused(BadUsage, "bad_setting", settings=["SCORELET_PORT"]):
        commands("doctor")


@pytest.mark.parametrize("url", ["mysql://u:p@localhost/x", "postgresql+psycopg://u:p@host:abc/db", "sqlite://", "x"])
def test_a_database_that_is_not_supported_is_said_to_be(commands: Commands, url: str) -> None:
    commands.set(SCORELET_DATABASE_URL=url)

    with refused(WorkFailed, "things_to_mend", codes=["bad_database_url"]):
        commands("doctor")
    with refused(BadUsage, "bad_database_url") as caught:
        commands("keys", "list")

    assert url not in str(caught.value)


def test_releasing_and_going_back(settings: Set, tmp_path: Path) -> None:
    folder = tmp_path / "models" / "heat-1"
    write_tiny_bundle(tmp_path / "models", version="20260202T000000Z-00000002", mode="suggest")
    first = "20260101T000000Z-00000001"

    assert scorelet(settings, "bundle", "rollback", "heat-1", "--by", "Ana", "--reason", "worse")[0] == 0
    assert (read_active(folder).version, read_active(folder).mode) == (first, "auto")  # it passes its gate

    assert (
        scorelet(settings, "bundle", "activate", "heat-1", first, "--by", "Ana", "--auto", "--reason", "read 50")[0]
        == 0
    )
    assert (read_active(folder).mode, read_active(folder).by, read_active(folder).reason) == ("auto", "Ana", "read 50")


def an_unready_version(models: Path) -> Path:
    """The newest, which its gate refuses; the one before stays live."""
    folder = write_tiny_bundle(
        models, version="20260202T000000Z-00000002", mode="suggest", policy=Policy(min_responses=1000)
    )
    activate(folder.parent, "20260101T000000Z-00000001", by="Ana", reason="to test")
    return folder


def rows_of(said: str) -> dict[str, list[str]]:
    """What a table says of each rule."""
    rules = ("marked responses", "QWK below raters'", "QWK", "junk accepted", "threshold")
    lines = [line.strip() for line in said.splitlines()]
    return {rule: line.removeprefix(rule).split() for rule in rules for line in lines if line.startswith(f"{rule}  ")}


def test_the_gate_of_the_newest_version_is_shown_without_making_it_live(settings: Set, tmp_path: Path) -> None:
    refused = an_unready_version(tmp_path / "models")

    code, said, error = scorelet(settings, "bundle", "gate", "heat-1")

    assert code == 1
    assert "the gate refuses it: marked responses" in error
    assert rows_of(said) == {
        "marked responses": ["40", "1000", "FAILED"],
        "QWK": ["0.9", "0.7", "passed"],
        "QWK below raters'": ["0.05", "0.1", "passed"],
        "junk accepted": ["0", "0.05", "passed"],
        "threshold": ["0.8", "-", "passed"],
    }
    assert read_active(refused.parent).version == "20260101T000000Z-00000001"


def test_the_gate_of_a_version_that_passes_is_shown_without_making_it_live(settings: Set, tmp_path: Path) -> None:
    refused = an_unready_version(tmp_path / "models")
    activate(refused.parent, refused.name, by="Ana", reason="to test")

    code, said, error = scorelet(settings, "bundle", "gate", "heat-1", "20260101T000000Z-00000001")

    assert (code, error) == (0, "")
    assert "FAILED" not in said
    assert rows_of(said)["marked responses"] == ["40", "40", "passed"]
    assert read_active(refused.parent).version == refused.name


@pytest.mark.parametrize(
    ("version", "options", "mode", "override"),
    [
        ("20260101T000000Z-00000001", (), "auto", False),
        ("20260101T000000Z-00000001", ("--suggest",), "suggest", False),
        ("20260101T000000Z-00000001", ("--auto", "--reason", "read 50"), "auto", False),
        ("20260202T000000Z-00000002", (), "suggest", False),
        ("20260202T000000Z-00000002", ("--suggest",), "suggest", False),
        ("20260202T000000Z-00000002", ("--auto", "--reason", "read 50"), "auto", True),
    ],
)
def test_the_gate_gives_the_mode_unless_a_person_says_otherwise(
    settings: Set, tmp_path: Path, version: str, options: tuple[str, ...], mode: str, override: bool
) -> None:
    folder = an_unready_version(tmp_path / "models").parent

    code, said, _ = scorelet(settings, "bundle", "activate", "heat-1", version, "--by", "Ana", *options)

    active = read_active(folder)
    assert code == 0
    assert (active.version, active.mode, active.override) == (version, mode, override)
    assert f"It is live in mode {mode};" in said
    assert active.gate.passed is ("passed its gate" in said)
    assert active.gate.passed is not ("did not pass its gate (marked responses)" in said)
    assert override is ("read 50" in said)


def test_without_a_version_the_newest_goes_live_and_says_by_whom(settings: Set, tmp_path: Path) -> None:
    newest = an_unready_version(tmp_path / "models")

    code, _, _ = scorelet(settings, "bundle", "activate", "heat-1", "--by", "Ana")

    active = read_active(newest.parent)
    assert (code, active.version, active.previous) == (0, newest.name, "20260101T000000Z-00000001")
    assert (active.by, active.reason) == ("Ana", "activated by hand")


def test_going_back_to_what_the_gate_refuses_only_suggests(settings: Set, tmp_path: Path) -> None:
    refused = an_unready_version(tmp_path / "models")

    code, said, _ = scorelet(settings, "bundle", "rollback", "heat-1", "--by", "Ana", "--reason", "worse")

    assert (code, read_active(refused.parent).version) == (0, refused.name)
    assert read_active(refused.parent).mode == "suggest"
    assert "did not pass its gate (marked responses)" in said


@pytest.mark.parametrize("command", ["activate", "rollback"])
def test_a_reason_of_white_space_is_bad_usage(settings: Set, tmp_path: Path, command: str) -> None:
    live = read_active(an_unready_version(tmp_path / "models").parent)
    write_tiny_bundle(tmp_path / "models", version="20260303T000000Z-00000003")
    activate(tmp_path / "models" / "heat-1", live.version, by="Ana", reason="to test")

    code, _, error = scorelet(settings, "bundle", command, "heat-1", "--by", "Ana", "--reason", " ")

    assert code == 2
    assert "reason" in error
    assert read_active(tmp_path / "models" / "heat-1").version == live.version


@pytest.mark.parametrize("command", [("items",), ("doctor",), ("bundle", "check", "heat-1")])
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ([('"mode": "suggest"', '"mode": "auto"')], "needs a passed gate, or an override by a named person"),
        (
            [('"mode": "suggest"', '"mode": "auto"'), ('"gate": {\n    "passed": false', '"gate": {"passed": true')],
            "ACTIVE has a gate result that bundle.json does not give: activate it again",
        ),
    ],
)
def test_a_hand_edited_release_is_found_out_whoever_looks(
    settings: Set, tmp_path: Path, command: tuple[str, ...], changes: list[tuple[str, str]], reason: str
) -> None:
    folder = an_unready_version(tmp_path / "models").parent
    activate(folder, "20260202T000000Z-00000002", by="Ana", reason="to test")
    for old, new in changes:
        assert old in (folder / ACTIVE).read_text()
        (folder / ACTIVE).write_text((folder / ACTIVE).read_text().replace(old, new))

    code, said, error = scorelet(settings, *command)

    assert code == 1
    assert reason in said + error


def test_a_decision_on_blank_responses_is_the_items_until_it_is_taken_back(settings: Set, tmp_path: Path) -> None:
    folder = an_unready_version(tmp_path / "models").parent

    def rule(*arguments: str) -> tuple[str, str] | None:
        code, _, error = scorelet(settings, "bundle", *arguments)
        assert code == 0, error
        found = read_active(folder).blank_is_worst
        return (found.by, found.reason) if found else None

    by_ben = ("--by", "Ben", "--reason", "worse")
    given = ("Ana", "an empty answer earns nothing")
    assert rule("activate", "heat-1", "--blank-is-worst", "--by", given[0], "--reason", given[1]) == given
    assert "worst score" in scorelet(settings, "items")[1]
    assert f"by {given[0]}: {given[1]}" in scorelet(settings, "doctor")[1]
    assert rule("activate", "heat-1", "20260101T000000Z-00000001", *by_ben) == given
    assert rule("rollback", "heat-1", *by_ben) == given
    assert rule("activate", "heat-1", "--blank-to-person", *by_ben) is None
    assert rule("activate", "heat-1", *by_ben) is None


@pytest.mark.parametrize(("reason", "item_id"), [("", "heat-1"), (" ", "heat-1"), ("to test", "belief-3")])
def test_blank_is_worst_needs_a_reason_and_a_worst_score(
    settings: Set, tmp_path: Path, reason: str, item_id: str
) -> None:
    write_tiny_bundle(tmp_path / "models", "belief-3", item={"scale": "nominal", "labels": ["heat", "air"]})
    before = read_active(tmp_path / "models" / item_id)

    code, _, _ = scorelet(
        settings, "bundle", "activate", item_id, "--blank-is-worst", "--by", "Ana", "--reason", reason
    )

    assert (code, read_active(tmp_path / "models" / item_id)) == (2, before)


def test_a_broken_bundle_never_goes_live(settings: Set, tmp_path: Path) -> None:
    broken = write_tiny_bundle(tmp_path / "models", version="20260202T000000Z-00000002")
    scorelet(settings, "bundle", "rollback", "heat-1", "--by", "Ana", "--reason", "to test")
    (broken / STUDENT).write_bytes(b"something else")

    code, _, error = scorelet(settings, "bundle", "activate", "heat-1", broken.name, "--by", "Ana")
    checked = scorelet(settings, "bundle", "check", "heat-1")

    assert (code, read_active(broken.parent).version) == (1, "20260101T000000Z-00000001")
    assert "checksum" in error
    assert checked[0] == 1
    assert f"refused  heat-1/{broken.name}: student.onnx does not have the checksum" in checked[1]


def test_a_database_of_a_newer_version_is_left_alone(commands: Commands, settings: Set) -> None:
    commands("db", "upgrade")
    with connect(str(settings["SCORELET_DATABASE_URL"])).begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    for command in (("db", "upgrade"), ("keys", "list")):
        with refused(WorkFailed, "database_newer", found="9999"):
            commands(*command)


def test_a_key_is_shown_once_listed_and_revoked(settings: Set) -> None:
    assert scorelet(settings, "db", "upgrade")[0] == 0
    assert scorelet(settings, "db", "upgrade")[0] == 0  # again: nothing to do

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
    assert table.count(key_id) == 2  # itself, and what the new one replaces
    assert scorelet(settings, "keys", "revoke", key_id)[0] == 0
    assert scorelet(settings, "keys", "revoke", "nobody")[0] == 1
    assert scorelet(settings, "keys", "rotate", key_id)[0] == 1


def test_the_service_does_not_start_open_to_the_network(commands: Commands) -> None:
    commands("db", "upgrade")

    with refused(WorkFailed, "open_to_the_network", host="192.0.2.1"):
        commands("serve", "--host", "192.0.2.1")


def test_every_line_that_a_service_writes_is_json(settings: Set, tmp_path: Path) -> None:
    """The first one too, by which an open service warns of itself."""
    scorelet(settings, "db", "upgrade")
    said = tmp_path / "said"

    with serving(said=said, **settings):  # type: ignore[arg-type]
        pass

    lines = [json.loads(line) for line in said.read_text().splitlines()]
    assert [line["level"] for line in lines if "OPEN" in line["message"]] == ["warning"]


def test_the_doctor_names_a_refused_bundle_and_how_to_mend_it(commands: Commands, tmp_path: Path) -> None:
    commands("db", "upgrade")
    (write_tiny_bundle(tmp_path / "models", "heat-2") / STUDENT).write_bytes(b"x")

    with refused(WorkFailed, "things_to_mend", codes=["item_refused"]):
        commands("doctor")


def test_the_doctor_names_feedback_models_good_and_bad(settings: Set, commands: Commands, tmp_path: Path) -> None:
    commands("db", "upgrade")
    heat = Item(item_id="heat-1", prompt="Why does heat rise?", scale="points", max_score=3)
    write_tiny_feedback(tmp_path / "models", [heat], name="good")
    (write_tiny_feedback(tmp_path / "models", [heat], name="bad") / "base.gguf").write_bytes(b"x")

    code, said, _ = scorelet(settings, "doctor")

    assert code == 1
    [good] = [line for line in said.splitlines() if "model good" in line]
    [bad] = [line for line in said.splitlines() if "model bad" in line]
    assert (good[:4], bad[:4]) == ("ok  ", "BAD ")


def test_the_doctor_is_content_with_a_good_installation(commands: Commands) -> None:
    commands("db", "upgrade")

    assert "BAD" not in commands("doctor")


def test_every_setting_is_documented() -> None:
    prefix = Settings.model_config["env_prefix"]
    missing = [name for name in Settings.model_fields if f"`{prefix}{name}`".upper() not in README.upper()]

    assert missing == []
