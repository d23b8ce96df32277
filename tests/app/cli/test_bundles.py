"""Decisions of the commands of `scorelet bundle`: the live version of an item, its mode and the reason."""

from pathlib import Path

import pytest

from app.cli.console import BadUsage, WorkFailed
from app.scoring.bundle import STUDENT
from app.scoring.errors import BadBundle
from app.scoring.gate import Policy
from app.scoring.live_version import ACTIVE, activate, read_active
from tests.app.commands import Commands
from tests.refusals import check_golden, refused
from tests.tiny import BY_ANA, write_tiny_bundle

FIRST, SECOND = "20260101T000000Z-00000001", "20260202T000000Z-00000002"


@pytest.fixture
def models(tmp_path: Path) -> Path:
    write_tiny_bundle(tmp_path / "models", version=FIRST)
    return tmp_path / "models"


@pytest.fixture
def commands(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Commands:
    url = f"sqlite:///{tmp_path / 'log.db'}"
    return Commands(monkeypatch, capsys, SCORELET_MODELS_DIR=models, SCORELET_DATABASE_URL=url)


def released(models: Path) -> tuple[str, str, bool]:
    """Return version, mode and override of the live version."""
    active = read_active(models / "heat-1")
    return active.version, active.mode, active.override


def an_unready_version(models: Path) -> Path:
    """Write a newest version that fails its gate, and keep the first version live."""
    folder = write_tiny_bundle(models, version=SECOND, mode="suggest", policy=Policy(min_responses=1000))
    activate(folder.parent, FIRST, by="Ana", reason="to test")
    return folder


def rules_of(said: str) -> dict[str, list[str]]:
    """Return measured value, limit and verdict of each rule in a printed table."""
    rules = ("marked responses", "QWK below raters'", "QWK", "junk accepted", "threshold")
    lines = [line.strip() for line in said.splitlines()]
    return {rule: line.removeprefix(rule).split() for rule in rules for line in lines if line.startswith(f"{rule}  ")}


def test_rollback_and_activate_change_the_live_version(commands: Commands, models: Path) -> None:
    write_tiny_bundle(models, version=SECOND, mode="suggest")

    commands("bundle", "rollback", "heat-1", "--by", "Ana", "--reason", "worse")

    assert released(models) == (FIRST, "auto", False)  # it passes its gate
    commands("bundle", "activate", "heat-1", FIRST, "--by", "Ana", "--auto", "--reason", "read 50")
    active = read_active(models / "heat-1")
    assert (active.mode, active.by, active.reason) == ("auto", "Ana", "read 50")


def test_gate_shows_the_newest_version_without_activating_it(
    commands: Commands, models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    an_unready_version(models)

    with refused(WorkFailed, "gate_refuses", rules=["marked responses"]):
        commands("bundle", "gate", "heat-1")

    assert rules_of(capsys.readouterr().out) == {
        "marked responses": ["40", "1000", "FAILED"],
        "QWK": ["0.9", "(n", "=", "40)", "0.7", "passed"],
        "QWK below raters'": ["0.05", "0.1", "passed"],
        "junk accepted": ["0", "(n", "=", "50)", "0.05", "passed"],
        "threshold": ["0.8", "-", "passed"],
    }
    assert released(models)[0] == FIRST


def test_gate_shows_a_given_version_without_activating_it(commands: Commands, models: Path) -> None:
    unready = an_unready_version(models)
    activate(unready.parent, SECOND, by="Ana", reason="to test")

    said = commands("bundle", "gate", "heat-1", FIRST)

    assert {verdict for *_, verdict in rules_of(said).values()} == {"passed"}
    assert rules_of(said)["marked responses"] == ["40", "40", "passed"]
    assert released(models)[0] == SECOND


@pytest.mark.parametrize(
    ("version", "options", "mode", "override"),
    [
        (FIRST, (), "auto", False),
        (FIRST, ("--suggest",), "suggest", False),
        (FIRST, ("--auto", "--reason", "read 50"), "auto", False),
        (SECOND, (), "suggest", False),
        (SECOND, ("--suggest",), "suggest", False),
        (SECOND, ("--auto", "--reason", "read 50"), "auto", True),
    ],
)
def test_gate_sets_the_mode_unless_a_person_overrules_it(
    commands: Commands, models: Path, version: str, options: tuple[str, ...], mode: str, override: bool
) -> None:
    an_unready_version(models)

    said = commands("bundle", "activate", "heat-1", version, "--by", "Ana", *options)

    assert released(models) == (version, mode, override)
    verdict = "passes" if version == FIRST else "fails"
    check_golden(f"bundle_activate/{verdict}{'_'.join(('', *options[:1]))}.txt", _below_table(said))


def test_release_without_a_threshold_leaves_every_score_to_a_person(commands: Commands, models: Path) -> None:
    write_tiny_bundle(models, version=SECOND, mode="suggest", threshold=None)

    said = commands("bundle", "activate", "heat-1", SECOND, "--by", "Ana", "--auto", "--reason", "read 50")

    assert released(models) == (SECOND, "auto", True)
    check_golden("bundle_activate/no_threshold_--auto.txt", _below_table(said))


def _below_table(said: str) -> str:
    return "".join(f"{line}\n" for line in said.splitlines() if line.strip() and not line.startswith(" "))


def test_activate_defaults_to_the_newest_version_and_records_the_person(commands: Commands, models: Path) -> None:
    an_unready_version(models)

    commands("bundle", "activate", "heat-1", "--by", "Ana")

    active = read_active(models / "heat-1")
    assert (active.version, active.previous) == (SECOND, FIRST)
    assert (active.by, active.reason) == ("Ana", "activated by hand")


def test_rollback_to_a_version_that_fails_its_gate_only_suggests(commands: Commands, models: Path) -> None:
    an_unready_version(models)

    commands("bundle", "rollback", "heat-1", "--by", "Ana", "--reason", "worse")

    assert released(models) == (SECOND, "suggest", False)
    assert read_active(models / "heat-1").gate.failed == ["marked responses"]


@pytest.mark.parametrize(
    ("command", "options", "code", "option"),
    [
        ("activate", ("--by", "Ana", "--reason", " "), "reason_needed", "--reason"),
        ("rollback", ("--by", "Ana", "--reason", " "), "reason_needed", "--reason"),
        ("rollback", ("--by", " ", "--reason", "worse"), "name_needed", "--by"),
        ("activate", ("--by", "Ana", "--auto"), "reason_needed", "--auto"),
        ("activate", ("--by", "Ana", "--blank-is-worst"), "reason_needed", "--blank-is-worst"),
        ("activate", ("--by", "Ana", "--reason", " ", "--blank-is-worst"), "reason_needed", "--blank-is-worst"),
        ("activate", ("--by", " ", "--reason", "x", "--blank-is-worst"), "reason_needed", "--blank-is-worst"),
    ],
)
def test_decision_needs_a_name_and_a_reason(
    commands: Commands, models: Path, command: str, options: tuple[str, ...], code: str, option: str
) -> None:
    an_unready_version(models)

    with refused(BadUsage, code, option=option):
        commands("bundle", command, "heat-1", *options)

    assert released(models)[0] == FIRST


@pytest.mark.parametrize(
    ("command", "code", "fields"),
    [
        (("rollback", "heat-1", "--by", "Ana", "--reason", "worse"), "no_previous", {"item_id": "heat-1"}),
        (("activate", "heat-1", "v9", "--by", "Ana"), "no_such_version", {"item_id": "heat-1", "version": "v9"}),
        (("shadow", "heat-1", FIRST, "--by", "Ana"), "shadow_is_live", {"item_id": "heat-1", "version": FIRST}),
        (("compare", "heat-1"), "no_shadow", {"item_id": "heat-1"}),
    ],
)
def test_missing_version_is_named(
    commands: Commands, command: tuple[str, ...], code: str, fields: dict[str, str]
) -> None:
    with refused(WorkFailed, code, **fields):
        commands("bundle", *command)


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ([('"mode": "suggest"', '"mode": "auto"')], "bad_active"),
        (
            [('"mode": "suggest"', '"mode": "auto"'), ('"gate": {\n    "passed": false', '"gate": {"passed": true')],
            "gate_differs",
        ),
    ],
)
def test_hand_edited_release_is_refused_by_every_command(
    commands: Commands, models: Path, changes: list[tuple[str, str]], cause: str
) -> None:
    folder = an_unready_version(models).parent
    activate(folder, SECOND, by="Ana", reason="to test")
    for old, new in changes:
        assert old in (folder / ACTIVE).read_text()
        (folder / ACTIVE).write_text((folder / ACTIVE).read_text().replace(old, new))

    with refused(WorkFailed, "active_refused", cause=cause):
        commands("bundle", "check", "heat-1")
    with refused(WorkFailed, "items_refused", refused=1):
        commands("items")
    with refused(WorkFailed, "things_to_mend") as caught:
        commands("doctor")
    assert "item_refused" in caught.value.fields["codes"]  # type: ignore[operator]


def test_decision_on_blank_responses_holds_for_later_versions_until_withdrawn(commands: Commands, models: Path) -> None:
    an_unready_version(models)
    commands("db", "upgrade")

    def rule(*arguments: str) -> tuple[str, str] | None:
        commands("bundle", *arguments)
        blank_rule = read_active(models / "heat-1").blank_is_worst
        return (blank_rule.by, blank_rule.reason) if blank_rule else None

    by_ben = ("--by", "Ben", "--reason", "worse")
    by_ana = ("--by", "Ana", "--reason", BY_ANA.reason)
    given = ("Ana", BY_ANA.reason)
    assert rule("activate", "heat-1", "--blank-is-worst", *by_ana) == given
    assert "worst score" in commands("items")
    assert BY_ANA.reason in commands("doctor")
    assert rule("activate", "heat-1", FIRST, *by_ben) == given
    assert rule("rollback", "heat-1", *by_ben) == given
    assert rule("activate", "heat-1", "--blank-to-person", *by_ben) is None
    assert rule("activate", "heat-1", *by_ben) is None


def test_nominal_items_have_no_worst_label_for_blanks(commands: Commands, models: Path) -> None:
    write_tiny_bundle(models, "belief-3", item={"scale": "nominal", "labels": ["heat", "air"]})
    before = read_active(models / "belief-3")

    with refused(BadUsage, "no_worst_label", item_id="belief-3"):
        commands("bundle", "activate", "belief-3", "--blank-is-worst", "--by", "Ana", "--reason", "to test")

    assert read_active(models / "belief-3") == before


def test_broken_bundle_is_not_activated(commands: Commands, models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = write_tiny_bundle(models, version=SECOND)
    commands("bundle", "rollback", "heat-1", "--by", "Ana", "--reason", "to test")
    (broken / STUDENT).write_bytes(b"something else")

    with refused(BadBundle, "wrong_checksum", file=STUDENT):
        commands("bundle", "activate", "heat-1", SECOND, "--by", "Ana")
    with refused(WorkFailed, "bundles_refused", count=1):
        commands("bundle", "check", "heat-1")

    assert released(models)[0] == FIRST
    check_golden("bundle_check.txt", capsys.readouterr().out)
