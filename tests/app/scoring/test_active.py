import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from app.scoring.active import ACTIVE, activate, item_folder, item_ids, read_active, versions
from app.scoring.errors import BadBundle, UnknownItem


def an_item_folder(models: Path) -> Path:
    folder = models / "heat-1"
    folder.mkdir(parents=True)
    return folder


def test_the_one_before_is_remembered_for_rollback(tmp_path: Path) -> None:
    folder = an_item_folder(tmp_path)

    activate(folder, "v1", mode="suggest", by="Ana", reason="")
    activate(folder, "v2", mode="suggest", by="Ana", reason="")
    activate(folder, "v2", mode="auto", by="Ana", reason="read 50 of its scores")

    active = read_active(folder)
    assert (active.version, active.previous, active.mode) == ("v2", "v1", "auto")


def test_auto_needs_a_person_and_a_reason(tmp_path: Path) -> None:
    folder = an_item_folder(tmp_path)

    with pytest.raises(ValidationError):
        activate(folder, "v1", mode="auto", by="Ana", reason="  ")
    with pytest.raises(ValidationError):
        activate(folder, "v1", mode="auto", by=" ", reason="because")

    assert not (folder / ACTIVE).exists()


def test_a_hand_written_auto_without_a_reason_is_not_believed(tmp_path: Path) -> None:
    folder = an_item_folder(tmp_path)
    activate(folder, "v1", mode="auto", by="Ana", reason="tried it")
    content = (folder / ACTIVE).read_text()
    (folder / ACTIVE).write_text(content.replace("tried it", ""))

    with pytest.raises(BadBundle, match="needs a named person and a reason"):
        read_active(folder)


def test_a_time_without_its_zone_is_refused(tmp_path: Path) -> None:
    folder = an_item_folder(tmp_path)
    activate(folder, "v1", mode="suggest", by="Ana", reason="")
    content = (folder / ACTIVE).read_text()
    (folder / ACTIVE).write_text(re.sub(r'"at": "[^"]*"', '"at": "2026-11-21T10:00:00"', content))

    with pytest.raises(BadBundle, match="ACTIVE: at"):
        read_active(folder)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"version": "../v1"}', '{"version": "v1"}', "\xff"])
def test_a_broken_active_file_is_named(tmp_path: Path, content: str) -> None:
    folder = an_item_folder(tmp_path)
    (folder / ACTIVE).write_text(content)

    with pytest.raises(BadBundle, match=ACTIVE):
        read_active(folder)


def test_no_active_file_means_no_active_version(tmp_path: Path) -> None:
    with pytest.raises(BadBundle, match="no version is active"):
        read_active(an_item_folder(tmp_path))


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = an_item_folder(tmp_path)
    activate(folder, "v1", mode="suggest", by="Ana", reason="")

    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(OSError, match="No space"):
        activate(folder, "v2", mode="suggest", by="Ana", reason="")

    assert read_active(folder).version == "v1"
    assert [path.name for path in folder.iterdir()] == [ACTIVE]


@pytest.mark.parametrize(
    "item_id", ["../heat-1", "/etc", "heat%2e", "", ".", "..", "heat-1/../heat-1", "x" * 129, "heat\0"]
)
def test_an_item_id_never_leaves_the_folder(tmp_path: Path, item_id: str) -> None:
    an_item_folder(tmp_path)

    with pytest.raises(UnknownItem):
        item_folder(tmp_path, item_id)


def test_teachers_feedback_and_hidden_folders_are_no_items(tmp_path: Path) -> None:
    for name in ("heat-1", "_teachers", "_feedback", ".staged-x"):
        (tmp_path / name).mkdir()
    (tmp_path / "notes.txt").touch()

    assert item_ids(tmp_path) == ["heat-1"]
    assert item_ids(tmp_path / "absent") == []


def test_versions_come_oldest_first_without_unfinished_ones(tmp_path: Path) -> None:
    folder = an_item_folder(tmp_path)
    for name in ("20260201T000000Z-b", "20260101T000000Z-a", ".staged-1"):
        (folder / name).mkdir()

    assert versions(folder) == ["20260101T000000Z-a", "20260201T000000Z-b"]
