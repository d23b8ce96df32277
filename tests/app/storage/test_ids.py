import time
import uuid

import pytest

from app.storage.ids import uuid7


def test_id_is_a_uuid_of_version_7() -> None:
    ids = [uuid.UUID(uuid7()) for _ in range(1000)]

    assert {id_.version for id_ in ids} == {7}
    assert {id_.variant for id_ in ids} == {uuid.RFC_4122}
    assert len(set(ids)) == 1000


def test_id_begins_with_its_time_in_milliseconds() -> None:
    before = time.time_ns() // 1_000_000

    milliseconds = uuid.UUID(uuid7()).int >> 80

    assert before <= milliseconds <= time.time_ns() // 1_000_000


def test_ids_sort_by_time_as_text() -> None:
    ids = []
    for _ in range(5):
        ids.append(uuid7())
        time.sleep(0.002)

    assert ids == sorted(ids)


def test_ids_keep_their_order_when_the_clock_is_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = [uuid7()]
    hour = 3_600_000_000_000
    earlier = time.time_ns() - hour
    monkeypatch.setattr("app.storage.ids.time.time_ns", lambda: earlier)

    ids += [uuid7(), uuid7()]

    assert ids == sorted(ids)


def test_id_can_be_made_to_sort_after_another() -> None:
    """The other id is from a machine whose clock is ahead."""
    ahead = "ffffff00" + uuid7()[8:]

    assert ahead < uuid7(after=ahead)
    assert uuid7() < uuid7(after=ahead)
