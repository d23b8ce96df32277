import os
from pathlib import Path

import pytest

from training.common.cache import key_of, key_of_texts, note_seconds, replace_file, seconds_of, work_folder


def test_each_version_has_its_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = set()
    for version in ("0.1.0", "0.2.0"):
        monkeypatch.setattr("importlib.metadata.version", lambda _, version=version: version)
        monkeypatch.setenv("SCORELET_CACHE", str(tmp_path / "default"))
        folders |= {work_folder(None), work_folder(tmp_path / "named")}

    assert folders == {tmp_path / name / version for name in ("default", "named") for version in ("0.1.0", "0.2.0")}


def test_equal_parts_have_equal_keys_and_others_do_not() -> None:
    assert key_of("a", {"b": 1, "c": 2}) == key_of("a", {"c": 2, "b": 1})
    assert key_of("a", 1) != key_of("a", 2)


def test_key_of_texts_depends_on_their_boundaries() -> None:
    lists = [["ab", "c"], ["a", "bc"], ["abc"], ["c", "ab"], ["ab", "c", ""]]

    assert len({key_of_texts(texts) for texts in lists}) == len(lists)


def test_failed_write_leaves_only_the_old_file(tmp_path: Path) -> None:
    file = tmp_path / "new" / "kept"
    replace_file(file, lambda path: path.write_text("old"))

    def half(path: Path) -> None:
        path.write_text("ne")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        replace_file(file, half)

    assert [path.read_text() for path in file.parent.iterdir()] == ["old"]


def test_temporary_files_of_killed_runs_are_removed_after_a_day(tmp_path: Path) -> None:
    for name in (".abcdefgh-kept", ".abcdefgh-other-kept"):
        (tmp_path / name).write_text("half")
        os.utime(tmp_path / name, (0, 0))

    replace_file(tmp_path / "kept", lambda path: path.write_text("whole"))

    assert sorted(path.name for path in tmp_path.iterdir()) == [".abcdefgh-other-kept", "kept"]


def test_two_runs_may_write_the_same_file(tmp_path: Path) -> None:
    file = tmp_path / "kept"

    def slowly(path: Path) -> None:
        path.write_text("first")
        replace_file(file, lambda other: other.write_text("second"))

    replace_file(file, slowly)

    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("kept", "first")]


def test_seconds_add_up_and_are_unknown_if_one_note_is_missing(tmp_path: Path) -> None:
    note_seconds(tmp_path / "teacher", 61.25)
    note_seconds(tmp_path / "student", 3)

    assert seconds_of([tmp_path / "teacher", tmp_path / "student"]) == pytest.approx(64.25, abs=0.1)
    assert seconds_of([tmp_path / "teacher", tmp_path / "other"]) is None
