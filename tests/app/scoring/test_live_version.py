import json
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from app.scoring.bundle import CARD, METADATA, read_bundle
from app.scoring.bundle_files import sha256
from app.scoring.errors import BadBundle, UnknownItem
from app.scoring.gate import Policy
from app.scoring.live_version import (
    ACTIVE,
    Active,
    BlankIsWorst,
    Release,
    activate,
    cast_shadow,
    item_folder,
    item_ids,
    read_active,
    read_release,
    release_ungated,
    versions,
)
from app.scoring.registry import load_item
from tests.refusals import refused
from tests.tiny import BY_ANA, LENIENT, write_tiny_bundle

FIRST, SECOND = "20260101T000000Z-00000001", "20260202T000000Z-00000002"
FAILING = Policy(min_responses=1000)


def an_item_folder(models: Path) -> Path:
    folder = models / "heat-1"
    folder.mkdir(parents=True)
    return folder


def an_item(models: Path, policy: Policy = LENIENT) -> Path:
    """Write two bundles, of which none is live."""
    for version in (FIRST, SECOND):
        write_tiny_bundle(models, version=version, mode="suggest", policy=policy)
    (models / "heat-1" / ACTIVE).unlink()
    return models / "heat-1"


def edited(folder: Path, **changes: Any) -> None:
    """Change fields of ACTIVE as a person with an editor may."""
    content = json.loads((folder / ACTIVE).read_text()) | changes
    (folder / ACTIVE).write_text(json.dumps(content))


def test_release_remembers_the_previous_version(tmp_path: Path) -> None:
    folder = an_item(tmp_path)

    activate(folder, FIRST, mode="suggest", by="Ana", reason="")
    activate(folder, SECOND, mode="suggest", by="Ana", reason="")
    activate(folder, SECOND, mode="auto", by="Ana", reason="read 50 of its scores")

    active = read_active(folder)
    assert (active.version, active.previous, active.mode) == (SECOND, FIRST, "auto")


@pytest.mark.parametrize(("policy", "mode"), [(LENIENT, "auto"), (FAILING, "suggest")])
def test_gate_decides_the_mode(tmp_path: Path, policy: Policy, mode: str) -> None:
    folder = an_item(tmp_path, policy)

    active = activate(folder, FIRST, by="Ana", reason="newly trained")

    assert (active.mode, active.override) == (mode, False)
    assert active == read_active(folder)


@pytest.mark.parametrize("policy", [LENIENT, FAILING])
def test_release_records_checksum_and_gate(tmp_path: Path, policy: Policy) -> None:
    folder = an_item(tmp_path, policy)

    active = activate(folder, FIRST, by="Ana", reason="newly trained")

    assert active.gate == read_bundle(folder / FIRST).bundle.gate
    assert active.gate.passed is (policy is LENIENT)
    assert active.metadata_sha256 == sha256((folder / FIRST / METADATA).read_bytes())


def test_person_may_choose_suggest_despite_a_passed_gate(tmp_path: Path) -> None:
    active = activate(an_item(tmp_path), FIRST, mode="suggest", by="Ana", reason="")

    assert (active.mode, active.gate.passed, active.override) == ("suggest", True, False)


def test_person_may_override_a_failed_gate(tmp_path: Path) -> None:
    folder = an_item(tmp_path, FAILING)

    activate(folder, FIRST, mode="auto", by="Ana", reason="read 50 of its scores")

    active = read_active(folder)
    assert (active.mode, active.gate.passed, active.override) == ("auto", False, True)
    assert (active.by, active.reason) == ("Ana", "read 50 of its scores")


@pytest.mark.parametrize("policy", [LENIENT, FAILING])
def test_auto_needs_a_person_and_a_reason(tmp_path: Path, policy: Policy) -> None:
    folder = an_item(tmp_path, policy)

    with pytest.raises(ValidationError):
        activate(folder, FIRST, mode="auto", by="Ana", reason="  ")
    with pytest.raises(ValidationError):
        activate(folder, FIRST, mode="auto", by=" ", reason="because")

    assert not (folder / ACTIVE).exists()


def test_auto_needs_a_reason_despite_a_passed_gate(tmp_path: Path) -> None:
    folder = an_item(tmp_path)

    with pytest.raises(ValidationError):
        activate(folder, FIRST, by="Ana", reason="  ")

    assert not (folder / ACTIVE).exists()


def test_broken_bundle_is_not_activated(tmp_path: Path) -> None:
    folder = an_item(tmp_path)
    activate(folder, FIRST, by="Ana", reason="newly trained")
    (folder / SECOND / CARD).write_text("# Another card\n")

    with refused(BadBundle, "wrong_checksum", file=CARD):
        activate(folder, SECOND, by="Ana", reason="newly trained")

    assert read_active(folder).version == FIRST


def test_edited_auto_without_a_reason_is_refused(tmp_path: Path) -> None:
    folder = an_item(tmp_path)
    activate(folder, FIRST, mode="auto", by="Ana", reason="tried it")
    edited(folder, reason="")

    with refused(BadBundle, "bad_active", fault="auto_without_reason"):
        read_active(folder)


def test_edited_auto_without_a_passed_gate_is_refused(tmp_path: Path) -> None:
    folder = an_item(tmp_path, FAILING)
    activate(folder, FIRST, by="Ana", reason="newly trained")
    edited(folder, mode="auto")

    with refused(BadBundle, "bad_active", fault="auto_without_gate"):
        read_active(folder)


@pytest.mark.parametrize("left_out", ["gate", "metadata_sha256"])
def test_active_file_without_checksum_or_gate_is_refused(tmp_path: Path, left_out: str) -> None:
    folder = an_item(tmp_path)
    activate(folder, FIRST, by="Ana", reason="newly trained")
    content = json.loads((folder / ACTIVE).read_text())
    content.pop(left_out)
    (folder / ACTIVE).write_text(json.dumps(content))

    with refused(BadBundle, "bad_active", fault="missing", where=(left_out,)):
        read_active(folder)


def test_release_is_checked_against_the_bundle(tmp_path: Path) -> None:
    folder = an_item(tmp_path, FAILING)
    active = activate(folder, FIRST, by="Ana", reason="newly trained")
    files = read_bundle(folder / FIRST)
    claimed = active.gate.model_copy(update={"passed": True})

    active.check(files.bundle, files.metadata_sha256)
    with refused(BadBundle, "not_released"):
        active.check(files.bundle, "0" * 64)
    with refused(BadBundle, "gate_differs"):
        active.model_copy(update={"gate": claimed}).check(files.bundle, files.metadata_sha256)


def test_feedback_model_is_released_without_a_gate(tmp_path: Path) -> None:
    folder = an_item_folder(tmp_path)

    for version in ("v1", "v2", "v2"):
        release_ungated(folder, version, by="Ana", reason="read 50 of its texts")

    release = read_release(folder, Release)
    assert (release.version, release.previous, release.mode, release.by) == ("v2", "v1", "auto", "Ana")
    with refused(BadBundle, "bad_active"):
        read_release(folder, Active)


def test_release_of_a_feedback_model_needs_a_reason(tmp_path: Path) -> None:
    folder = an_item_folder(tmp_path)

    with pytest.raises(ValidationError):
        release_ungated(folder, "v1", by="Ana", reason=" ")

    assert not (folder / ACTIVE).exists()


def test_time_without_zone_is_refused(tmp_path: Path) -> None:
    folder = an_item(tmp_path)
    activate(folder, FIRST, mode="suggest", by="Ana", reason="")
    content = (folder / ACTIVE).read_text()
    (folder / ACTIVE).write_text(re.sub(r'"at": "[^"]*"', '"at": "2026-11-21T10:00:00"', content))

    with refused(BadBundle, "bad_active", where=("at",)):
        read_active(folder)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"version": "../v1"}', '{"version": "v1"}', "\xff"])
def test_broken_active_file_is_refused(tmp_path: Path, content: str) -> None:
    folder = an_item_folder(tmp_path)
    (folder / ACTIVE).write_text(content)

    with refused(BadBundle, "bad_active"):
        read_active(folder)


def test_no_version_is_active_without_an_active_file(tmp_path: Path) -> None:
    with refused(BadBundle, "none_active"):
        read_active(an_item_folder(tmp_path))


def test_failed_write_leaves_only_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = an_item(tmp_path)
    activate(folder, FIRST, mode="suggest", by="Ana", reason="")

    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(OSError, match="No space"):
        activate(folder, SECOND, mode="suggest", by="Ana", reason="")

    assert read_active(folder).version == FIRST
    assert {path.name for path in folder.iterdir()} == {ACTIVE, FIRST, SECOND}


@pytest.mark.parametrize(
    "item_id", ["../heat-1", "/etc", "heat%2e", "", ".", "..", "heat-1/../heat-1", "x" * 129, "heat\0"]
)
def test_item_id_cannot_leave_the_folder(tmp_path: Path, item_id: str) -> None:
    an_item_folder(tmp_path)

    with pytest.raises(UnknownItem):
        item_folder(tmp_path, item_id)


def test_teachers_feedback_and_hidden_folders_are_not_items(tmp_path: Path) -> None:
    for name in ("heat-1", "_teachers", "_feedback", ".staged-x"):
        (tmp_path / name).mkdir()
    (tmp_path / "notes.txt").touch()

    assert item_ids(tmp_path) == ["heat-1"]
    assert item_ids(tmp_path / "absent") == []


def test_versions_are_oldest_first_without_unfinished_folders(tmp_path: Path) -> None:
    folder = an_item_folder(tmp_path)
    for name in ("20260201T000000Z-b", "20260101T000000Z-a", ".staged-1"):
        (folder / name).mkdir()

    assert versions(folder) == ["20260101T000000Z-a", "20260201T000000Z-b"]


def test_decision_on_blank_responses_is_kept(tmp_path: Path) -> None:
    folder = an_item(tmp_path)

    activate(folder, FIRST, by="Ben", reason="newly trained", blank_is_worst=BY_ANA)

    active = read_active(folder)
    assert (active.by, active.blank_is_worst) == ("Ben", BY_ANA)
    cast_shadow(folder, SECOND, by="Ana")
    assert read_active(folder).blank_is_worst == BY_ANA


@pytest.mark.parametrize("name", ["by", "reason"])
def test_decision_on_blank_responses_needs_a_person_and_a_reason(name: str) -> None:
    with pytest.raises(ValidationError) as caught:
        BlankIsWorst.model_validate(BY_ANA.model_dump() | {name: "  "})

    assert [error["loc"] for error in caught.value.errors()] == [(name,)]


def test_nominal_items_cannot_give_blank_responses_the_worst_score(tmp_path: Path) -> None:
    labels = {"scale": "nominal", "labels": ["metal", "gas"]}
    bundle = write_tiny_bundle(tmp_path, "kind-2", version=FIRST, item=labels)
    before = (bundle.parent / ACTIVE).read_text()

    with refused(BadBundle, "no_worst_label", item_id="kind-2"):
        activate(bundle.parent, FIRST, by="Ana", reason="to test", blank_is_worst=BY_ANA)

    assert (bundle.parent / ACTIVE).read_text() == before
    kept = read_active(bundle.parent).model_copy(update={"blank_is_worst": BY_ANA})
    assert kept.kept_for(read_bundle(bundle).bundle.item) is None
    (bundle.parent / ACTIVE).write_text(kept.model_dump_json())  # edited by hand
    with refused(BadBundle, "no_worst_label"):
        load_item(tmp_path, "kind-2")
