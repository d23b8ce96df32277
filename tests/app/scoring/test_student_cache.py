import threading
from pathlib import Path

import pytest

from app.scoring.bundle import METADATA, STUDENT
from app.scoring.errors import BadBundle, ItemNotReady
from app.scoring.registry import Registry
from app.scoring.student import Student
from app.scoring.student_cache import CachedStudent, StudentCache
from tests.refusals import refused
from tests.tiny import write_tiny_bundle

ITEMS = ("heat-1", "heat-2", "heat-3")


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    return [write_tiny_bundle(tmp_path, item_id=item) for item in ITEMS]


def shelved(folders: list[Path], students: int) -> tuple[StudentCache, list[CachedStudent]]:
    """A student_cache for so many students of this size, with all put on it in order."""
    loaded = [Student.load(folder) for folder in folders]
    student_cache = StudentCache(students * max(student.bytes for student in loaded))
    for folder, student in zip(folders, loaded, strict=True):
        student_cache.put(folder, student)
    return student_cache, [
        CachedStudent(student_cache, folder, student.metadata_sha256)
        for folder, student in zip(folders, loaded, strict=True)
    ]


def test_least_recently_used_student_is_evicted_and_read_again(folders: list[Path]) -> None:
    student_cache, [first, second, third] = shelved(folders, students=2)
    assert [student.is_loaded for student in (first, second, third)] == [False, True, True]

    kept = second.take()
    assert second.take() is kept
    assert student_cache.reloads == 0
    first.take()

    assert [student.is_loaded for student in (first, second, third)] == [True, True, False]
    assert second.take() is kept
    assert student_cache.reloads == 1
    assert len(student_cache) == 2
    assert student_cache.bytes == first.take().bytes + kept.bytes


def test_all_students_are_kept_without_a_budget(folders: list[Path]) -> None:
    student_cache = StudentCache()
    for folder in folders:
        student_cache.put(folder, Student.load(folder))

    assert len(student_cache) == 3


def test_one_student_is_kept_beyond_the_budget(folders: list[Path]) -> None:
    student_cache = StudentCache(1)

    student_cache.put(folders[0], Student.load(folders[0]))

    assert folders[0] in student_cache


def test_student_put_twice_counts_once(folders: list[Path]) -> None:
    student_cache, student = StudentCache(), Student.load(folders[0])

    student_cache.put(folders[0], student)
    student_cache.put(folders[0], student)

    assert student_cache.bytes == student.bytes


def test_concurrent_readers_read_a_student_once(folders: list[Path]) -> None:
    student_cache, [first, *_] = shelved(folders, students=1)
    taken: list[Student] = []
    together = threading.Barrier(4)

    def take() -> None:
        together.wait()
        taken.append(first.take())

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(taken) == 4
    assert len(set(map(id, taken))) == 1
    assert student_cache.reloads == 1


def test_student_changed_since_its_check_is_refused(folders: list[Path]) -> None:
    _, [first, *_] = shelved(folders, students=1)
    metadata = folders[0] / METADATA
    metadata.write_bytes(metadata.read_bytes() + b" ")

    with refused(BadBundle, "bundle_changed"):
        first.take()


def test_student_of_a_replaced_version_is_evicted(tmp_path: Path) -> None:
    write_tiny_bundle(tmp_path)
    registry = Registry.from_folder(tmp_path)
    newer = write_tiny_bundle(tmp_path, version="20270101T000000Z-00000002")

    registry.refresh(tmp_path)

    assert len(registry.student_cache) == 1
    assert newer in registry.student_cache


@pytest.mark.usefixtures("folders")
def test_evicted_student_scores_the_same_when_read_again(tmp_path: Path) -> None:
    whole, small = Registry.from_folder(tmp_path), Registry.from_folder(tmp_path, budget=1)

    for item in (*ITEMS, *ITEMS):
        assert small.get(item).judge(["warm air"]) == whole.get(item).judge(["warm air"])
    assert small.student_cache.reloads == 2 * len(ITEMS)
    assert len(small.student_cache) == 1


def test_withdrawn_item_is_refused_until_its_repair(tmp_path: Path, folders: list[Path]) -> None:
    registry = Registry.from_folder(tmp_path, budget=1)
    student = folders[0] / STUDENT
    content = student.read_bytes()
    student.write_bytes(b"broken")
    with refused(BadBundle, "wrong_checksum", file=STUDENT) as caught:
        registry.get("heat-1").judge(["warm air"])

    live = registry.live["heat-1"]
    registry.withdraw("heat-1", registry.live["heat-2"], caught.value)
    assert registry.live["heat-1"] is live
    registry.withdraw("heat-1", live, caught.value)

    with refused(ItemNotReady, item_id="heat-1", cause="wrong_checksum"):
        registry.get("heat-1")
    student.write_bytes(content)
    assert registry.refresh(tmp_path) == ["heat-1"]
    assert registry.get("heat-1").judge(["warm air"])
