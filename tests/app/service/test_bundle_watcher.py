"""A running service loads each version that is made live, unless the version is damaged."""

import asyncio
import errno
import shutil
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from app.scoring.bundle import STUDENT
from app.scoring.decision import LiveItem
from app.scoring.errors import BadBundle
from app.scoring.live_version import ACTIVE, activate, read_active
from app.scoring.registry import Registry, load_item
from app.service.bundle_watcher import watching_bundles
from tests.app.conftest import PATIENT, Locked, Serve, Sql
from tests.refusals import log_lines, refused
from tests.tiny import write_tiny_bundle
from tests.tiny_teacher import fall_back, item_of, write_tiny_teacher
from tests.waiting import HANGS, until

OLD, NEW = "20260101T000000Z-00000001", "20260202T000000Z-00000002"


def version(client: TestClient) -> str:
    reply = client.post("/score", json={"item_id": "heat-1", "response": "warm air"})
    assert reply.status_code == 200
    return str(reply.json()["bundle_version"])


@pytest.fixture
def client(serve: Serve) -> TestClient:
    return serve(reload_seconds=0.05)


def test_new_version_and_rollback_need_no_restart(client: TestClient, models: Path, sql: Sql) -> None:
    assert version(client) == OLD

    write_tiny_bundle(models, version=NEW)
    until(lambda: version(client) == NEW)
    activate(models / "heat-1", OLD, by="Ana", reason="worse")
    until(lambda: version(client) == OLD)

    seen = "SELECT version, by FROM seen_activations WHERE item_id = 'heat-1'"
    until(lambda: (OLD, "Ana") in [(row["version"], row["by"]) for row in sql(seen)])
    assert {row["version"] for row in sql(seen)} == {OLD, NEW}


def test_new_item_is_served_and_removed_item_is_unknown(client: TestClient, models: Path) -> None:
    write_tiny_bundle(models, "rain-9")
    until(lambda: client.get("/items/rain-9").status_code == 200)

    shutil.rmtree(models / "rain-9")
    until(lambda: client.get("/items/rain-9").status_code == 404)
    assert version(client) == OLD


def test_half_copied_bundle_changes_nothing_until_it_is_whole(client: TestClient, models: Path) -> None:
    before = (models / "heat-1" / ACTIVE).read_bytes()
    folder = write_tiny_bundle(models.parent / "elsewhere", version=NEW)
    half = models / "heat-1" / NEW
    shutil.copytree(folder, half)
    whole = (half / STUDENT).read_bytes()
    (half / STUDENT).write_bytes(whole[:100])
    shutil.copy(folder.parent / ACTIVE, models / "heat-1" / ACTIVE)

    until(lambda: client.get("/readyz").json()["not_taken_up"])
    ready = client.get("/readyz")
    assert (ready.status_code, version(client)) == (200, OLD)
    assert STUDENT in ready.json()["not_taken_up"]["heat-1"]
    with refused(BadBundle, "wrong_checksum", file=STUDENT):
        load_item(models, "heat-1")
    assert ready.json()["refused"] == {}

    (half / STUDENT).write_bytes(whole)
    until(lambda: version(client) == NEW)
    assert client.get("/readyz").json()["not_taken_up"] == {}
    assert (models / "heat-1" / ACTIVE).read_bytes() != before


@pytest.mark.parametrize("gone", [True, False])
def test_items_stay_live_while_their_folder_is_gone_or_empty(
    client: TestClient, models: Path, gone: bool, caplog: pytest.LogCaptureFixture
) -> None:
    elsewhere = models.rename(models.parent / "elsewhere")
    if not gone:
        models.mkdir()  # the mount point of an unmounted disk
    until(lambda: {"errno": errno.ENOENT} in log_lines(caplog, "folder_unreadable"))

    assert version(client) == OLD
    ready = client.get("/readyz")
    assert (ready.status_code, ready.json()["refused"]) == (200, {})

    if not gone:
        models.rmdir()
    elsewhere.rename(models)
    write_tiny_bundle(models, version=NEW)
    until(lambda: version(client) == NEW)


def test_record_of_live_versions_under_way_survives_the_shutdown(models: Path) -> None:
    begun: list[int] = []
    ended: list[int] = []
    go = threading.Event()

    def note() -> None:
        begun.append(1)
        if len(begun) == 2:  # the first is of the start
            assert go.wait(HANGS)
        ended.append(1)

    async def service() -> None:
        async with watching_bundles(Registry.from_folder(models), models, 0.01, note, end=HANGS):
            write_tiny_bundle(models, version=NEW)
            await asyncio.to_thread(until, lambda: len(begun) == 2)
            asyncio.get_running_loop().call_later(0.1, go.set)  # while the end waits for it
        assert len(ended) == len(begun) == 2

    asyncio.run(service())


def test_failed_record_of_live_versions_does_not_stop_the_polling(
    serve: Serve, models: Path, sql: Sql, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> None:
        raise RuntimeError("dictionary changed size during iteration")

    with monkeypatch.context() as patch:
        patch.setattr("app.service.activations._activation", failing)
        client = serve(reload_seconds=0.05)
        write_tiny_bundle(models, version=NEW)
        until(lambda: version(client) == NEW)

    until(lambda: sql("SELECT * FROM seen_activations WHERE item_id = 'heat-1'"))


def test_version_loaded_before_an_unforeseen_error_is_recorded_later(
    serve: Serve, models: Path, sql: Sql, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load_without_memory(models: Path, item_id: str, *caches: Any) -> LiveItem:
        if item_id == "tides-4":
            raise MemoryError
        return load_item(models, item_id, *caches)

    client = serve(reload_seconds=0.05)
    with monkeypatch.context() as patch:
        patch.setattr("app.scoring.registry.load_item", load_without_memory)
        write_tiny_bundle(models, "tides-4", version=NEW)
        write_tiny_bundle(models, version=NEW)
        until(lambda: version(client) == NEW)

    seen = "SELECT version FROM seen_activations WHERE item_id = 'heat-1'"
    until(lambda: NEW in [row["version"] for row in sql(seen)])


@pytest.mark.parametrize("content", ["", "{", '{"version": "v9"}'])
def test_broken_active_file_leaves_the_live_version(client: TestClient, models: Path, content: str) -> None:
    kept = (models / "heat-1" / ACTIVE).read_text()
    (models / "heat-1" / ACTIVE).write_text(content)

    until(lambda: "heat-1" in client.get("/readyz").json()["not_taken_up"])
    assert version(client) == OLD

    (models / "heat-1" / ACTIVE).write_text(kept)
    until(lambda: client.get("/readyz").json()["not_taken_up"] == {})


def test_refused_item_is_served_after_its_repair(serve: Serve, models: Path) -> None:
    student = models / "heat-1" / OLD / STUDENT
    whole = student.read_bytes()
    student.write_bytes(b"broken")
    client = serve(reload_seconds=0.05)
    assert "heat-1" in client.get("/readyz").json()["refused"]

    student.write_bytes(whole)

    until(lambda: client.get("/readyz").json()["refused"] == {})
    assert version(client) == OLD


def test_bundles_are_never_polled_with_zero_seconds(serve: Serve, models: Path) -> None:
    client = serve(reload_seconds=0)

    write_tiny_bundle(models, version=NEW)
    time.sleep(0.3)

    assert version(client) == OLD


def test_unchanged_items_are_not_loaded_again(models: Path) -> None:
    registry = Registry.from_folder(models)
    before = dict(registry.live)

    activate(models / "tides-4", read_active(models / "tides-4").version, by="Ana", reason="again")

    assert registry.refresh(models) == ["tides-4"]
    assert [name for name, item in registry.live.items() if item is not before[name]] == ["tides-4"]
    assert registry.refresh(models) == []


def test_repaired_teacher_is_loaded_once_for_all_its_items(models: Path) -> None:
    items = [item_of(models / name / OLD) for name in ("heat-1", "tides-4")]
    member = write_tiny_teacher(models, items) / "member-1.onnx"
    for item in items:
        fall_back(models, item.item_id)
    whole = member.read_bytes()
    member.write_bytes(b"broken")
    registry = Registry.from_folder(models)
    assert set(registry.without_teacher) == {"heat-1", "tides-4"}
    assert registry.refresh(models) == []

    member.write_bytes(whole)

    assert registry.refresh(models) == ["heat-1", "tides-4"]
    assert registry.without_teacher == {}
    fall_back(models, "heat-1", "shadow")
    assert registry.refresh(models) == ["heat-1"]
    seconds = [registry.live[name].second for name in ("heat-1", "tides-4")]
    assert seconds[0] is not None
    assert seconds[1] is not None
    assert seconds[0]._teacher is seconds[1]._teacher


def test_item_whose_evicted_student_cannot_be_read_is_not_ready(serve: Serve, models: Path) -> None:
    for number in range(2, 4):
        write_tiny_bundle(models, f"heat-{number}")
    client = serve(reload_seconds=0.05, students_mib=1)  # room for one student
    student = models / "heat-1" / OLD / STUDENT
    whole = student.read_bytes()

    def asked(item_id: str) -> tuple[int, str | None]:
        reply = client.post("/score", json={"item_id": item_id, "response": "warm air"})
        return reply.status_code, reply.json().get("code")

    for item_id in ("heat-1", "heat-2", "heat-3"):
        assert asked(item_id) == (200, None)
    student.write_bytes(b"broken")
    until(lambda: asked("heat-1") == (503, "item_not_ready"))
    assert STUDENT in client.get("/readyz").json()["refused"]["heat-1"]
    with refused(BadBundle, "wrong_checksum", file=STUDENT):
        load_item(models, "heat-1")
    batch = {"responses": [{"item_id": item, "response": "warm air"} for item in ("heat-1", "heat-2")]}
    problem, prediction = client.post("/score/batch", json=batch).json()["results"]
    assert (problem["code"], prediction["score"]) == ("item_not_ready", 2)

    student.write_bytes(whole)
    until(lambda: asked("heat-1") == (200, None))
    assert client.get("/readyz").json()["refused"] == {}


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"], indirect=True)
def test_service_starts_with_a_locked_database_and_records_live_versions_later(
    serve: Serve, locked: Locked, sql: Sql
) -> None:
    with locked("seen_activations"):
        client = serve(reload_seconds=0.05, time_limits=replace(PATIENT, lock=0.05))

    until(lambda: sql("SELECT * FROM seen_activations"))
    assert version(client) == OLD


def test_without_polling_the_next_request_reads_the_student_again(serve: Serve, models: Path) -> None:
    for number in range(2, 4):
        write_tiny_bundle(models, f"heat-{number}")
    client = serve(reload_seconds=0, students_mib=1)
    student = models / "heat-1" / OLD / STUDENT
    whole = student.read_bytes()

    def asked(item_id: str) -> int:
        return int(client.post("/score", json={"item_id": item_id, "response": "warm air"}).status_code)

    assert [asked(item_id) for item_id in ("heat-1", "heat-2")] == [200, 200]
    student.write_bytes(b"broken")
    assert asked("heat-1") == 503
    student.write_bytes(whole)
    assert asked("heat-1") == 200
