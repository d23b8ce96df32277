import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.scoring.bundle import METADATA, STUDENT
from app.scoring.decision import LiveItem
from app.scoring.errors import BadBundle, ItemNotReady, UnknownItem
from app.scoring.gate import Policy
from app.scoring.live_version import ACTIVE, activate, active_bytes
from app.scoring.registry import Registry, load_item
from tests.refusals import refused
from tests.tiny import word_count_onnx, write_tiny_bundle

Edit = Callable[[Any], None]
LATER = "20270101T000000Z-00000002"


def test_altered_model_is_refused_and_other_items_are_served(tmp_path: Path) -> None:
    altered, _ = write_tiny_bundle(tmp_path, "heat-1"), write_tiny_bundle(tmp_path, "heat-2")
    (altered / STUDENT).write_bytes(word_count_onnx(3))

    registry = Registry.from_folder(tmp_path)

    assert set(registry.live) == {"heat-2"}
    assert (registry.refused["heat-1"].code, registry.refused["heat-1"].fields["file"]) == ("wrong_checksum", STUDENT)
    with refused(ItemNotReady, item_id="heat-1", cause="wrong_checksum"):
        registry.get("heat-1")


def test_item_without_active_version_is_refused(tmp_path: Path) -> None:
    (write_tiny_bundle(tmp_path).parent / ACTIVE).unlink()

    assert Registry.from_folder(tmp_path).refused["heat-1"].code == "none_active"


def test_missing_active_version_is_refused(tmp_path: Path) -> None:
    folder = write_tiny_bundle(tmp_path)
    folder.rename(folder.parent / "20990101T000000Z-00000000")

    assert Registry.from_folder(tmp_path).refused["heat-1"].code == "no_plain_file"


def test_folder_that_cannot_be_an_item_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "heat 1").mkdir()

    [(name, error)] = Registry.from_folder(tmp_path).refused.items()
    assert (name, error.code) == ("heat 1", "no_item_id")


@pytest.mark.parametrize("item_id", ["heat-9", "../heat-1", "", "heat-1/20260101T000000Z-00000001"])
def test_unknown_item_is_unknown(tmp_path: Path, item_id: str) -> None:
    write_tiny_bundle(tmp_path)

    with pytest.raises(UnknownItem):
        Registry.from_folder(tmp_path).get(item_id)


def with_edit(file: Path, edit: Edit) -> None:
    content = json.loads(file.read_text())
    edit(content)
    file.write_text(json.dumps(content, indent=2) + "\n")


def an_unready_item(models: Path) -> Path:
    """Its gate refuses it, so that all its scores are suggestions."""
    return write_tiny_bundle(models, mode="suggest", policy=Policy(min_responses=1000))


def claims_auto(active: Any) -> None:
    active["mode"] = "auto"


def claims_a_pass(active: Any) -> None:
    active["mode"] = "auto"
    active["gate"]["passed"] = True


def claims_a_lower_limit(active: Any) -> None:
    claims_a_pass(active)
    active["gate"]["checks"][0] |= {"limit": 40.0, "passed": True}


def loosens_the_policy(bundle: Any) -> None:
    bundle["policy"]["min_responses"] = 40


def lowers_the_threshold(bundle: Any) -> None:
    bundle["threshold"] = 0.0


@pytest.mark.parametrize(
    ("file", "edit", "code"),
    [
        (ACTIVE, claims_auto, "auto_without_gate"),
        (ACTIVE, claims_a_pass, "gate_differs"),
        (ACTIVE, claims_a_lower_limit, "gate_differs"),
        (METADATA, loosens_the_policy, "not_released"),
        (METADATA, lowers_the_threshold, "not_released"),
    ],
)
def test_release_edited_by_hand_is_refused_with_the_reason(tmp_path: Path, file: str, edit: Edit, code: str) -> None:
    folder = an_unready_item(tmp_path)
    write_tiny_bundle(tmp_path, "heat-2")
    with_edit((folder.parent if file == ACTIVE else folder) / file, edit)

    registry = Registry.from_folder(tmp_path)

    assert set(registry.live) == {"heat-2"}
    error = registry.refused["heat-1"]
    assert code in (error.code, error.fields.get("fault"))


def test_edited_bundle_is_served_after_a_new_activation(tmp_path: Path) -> None:
    folder = an_unready_item(tmp_path)
    with_edit(folder / METADATA, loosens_the_policy)

    activate(folder.parent, folder.name, by="Ana", reason="40 responses are enough here")

    live = Registry.from_folder(tmp_path).live["heat-1"]
    assert (live.active.mode, live.active.by) == ("auto", "Ana")


def test_white_space_in_active_changes_nothing(tmp_path: Path) -> None:
    folder = write_tiny_bundle(tmp_path).parent
    with_edit(folder / ACTIVE, lambda _: None)

    assert Registry.from_folder(tmp_path).refused == {}


def test_override_is_served_and_names_its_author(tmp_path: Path) -> None:
    folder = an_unready_item(tmp_path)

    activate(folder.parent, folder.name, mode="auto", by="Ana", reason="read 50 of its scores")

    live = Registry.from_folder(tmp_path).live["heat-1"]
    assert (live.active.override, live.active.by, live.active.reason) == (True, "Ana", "read 50 of its scores")
    assert live.active.gate.failed == ["marked responses"]
    assert live.judge(["warm air"])[0].decision == "auto"


def test_item_that_fails_its_gate_only_suggests(tmp_path: Path) -> None:
    an_unready_item(tmp_path)

    assert Registry.from_folder(tmp_path).live["heat-1"].judge(["warm air"])[0].decision == "review"


def test_item_withdrawn_during_a_refresh_stays_withdrawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tiny_bundle(tmp_path)
    write_tiny_bundle(tmp_path, "heat-2")
    registry = Registry.from_folder(tmp_path)
    withdrawn = registry.get("heat-1")

    def withdraw_meanwhile(folder: Path) -> bytes:
        registry.withdraw("heat-1", withdrawn, BadBundle("broken", code="wrong_checksum"))
        return active_bytes(folder)

    with monkeypatch.context() as patch:
        patch.setattr("app.scoring.registry.active_bytes", withdraw_meanwhile)
        assert registry.refresh(tmp_path) == []

    assert (set(registry.live), registry.refused["heat-1"].code) == ({"heat-2"}, "wrong_checksum")
    assert registry.refresh(tmp_path) == ["heat-1"]
    assert registry.refused == {}


def test_reader_of_an_older_snapshot_sees_it_unchanged(tmp_path: Path) -> None:
    write_tiny_bundle(tmp_path)
    registry = Registry.from_folder(tmp_path)
    before = registry.snapshot
    live = dict(before.live)

    write_tiny_bundle(tmp_path, version=LATER)
    registry.refresh(tmp_path)

    assert before.live == live
    assert registry.snapshot.live["heat-1"] is not live["heat-1"]


def test_unforeseen_error_of_an_item_does_not_hold_back_the_items_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tiny_bundle(tmp_path)
    write_tiny_bundle(tmp_path, "heat-2")
    registry = Registry.from_folder(tmp_path)
    for item_id in ("heat-1", "heat-2"):
        write_tiny_bundle(tmp_path, item_id, version=LATER)

    def load_without_memory(models: Path, item_id: str, *caches: Any) -> LiveItem:
        if item_id == "heat-2":
            raise MemoryError
        return load_item(models, item_id, *caches)

    with monkeypatch.context() as patch:
        patch.setattr("app.scoring.registry.load_item", load_without_memory)
        with pytest.raises(MemoryError):
            registry.refresh(tmp_path)

    assert registry.get("heat-1").active.version == LATER
    assert registry.get("heat-2").active.version != LATER
    assert registry.refresh(tmp_path) == ["heat-2"]
