from dataclasses import replace
from pathlib import Path
from shutil import rmtree

import pytest
from starlette.testclient import TestClient

from app.storage.database import connect, upgrade
from tests.app.api.assertions import BOTH, assert_problem, body
from tests.app.conftest import ITEMS, PATIENT, Locked, MakeKey, Serve, Sql
from tests.conftest import Postgres
from tests.refusals import log_lines
from tests.waiting import HANGS, until


def test_livez_reports_alive(client: TestClient) -> None:
    reply = client.get("/livez")

    assert (reply.status_code, reply.json()) == (200, {"status": "alive"})


@BOTH
def test_readyz_lists_items(client: TestClient) -> None:
    reply = client.get("/readyz")

    assert reply.status_code == 200
    assert reply.json() == {
        "status": "ready",
        "open": True,
        "database": "ok",
        "database_code": None,
        "items": sorted(ITEMS),
        "refused": {},
        "not_taken_up": {},
        "without_teacher": {},
        "without_shadow": {},
        "feedback_models": [],
        "refused_feedback_models": {},
    }


@BOTH
def test_readyz_is_not_open_once_a_key_exists(client: TestClient, make_key: MakeKey) -> None:
    make_key("review")

    assert client.get("/readyz").json()["open"] is False


@BOTH
def test_empty_database_is_not_ready(serve: Serve, empty_database_url: str) -> None:
    client = serve(database_url=empty_database_url)

    reply = client.get("/readyz")

    assert reply.status_code == 503
    assert reply.json()["status"] == "not ready"
    assert reply.json()["database_code"] == "database_empty"
    assert client.get("/livez").status_code == 200
    assert_problem(client.post("/score", json=body()), 503, "database-unavailable")


@BOTH
def test_database_at_another_revision_is_not_ready(client: TestClient, sql: Sql) -> None:
    sql("UPDATE alembic_version SET version_num = '0000'")

    reply = client.get("/readyz")

    assert reply.status_code == 503
    assert reply.json()["database_code"] == "database_older"


def test_unreachable_database_is_not_ready_and_its_address_is_not_shown(serve: Serve, tmp_path: Path) -> None:
    client = serve(database_url=f"postgresql+psycopg://anna:hunter2@/grades?host={tmp_path}")

    reply = client.get("/readyz")

    assert reply.status_code == 503
    assert reply.json()["database_code"] == "database_unreachable"
    assert not any(word in reply.text for word in ("anna", "hunter2", "grades", str(tmp_path)))
    assert client.get("/livez").status_code == 200
    assert_problem(client.post("/score", json=body()), 503, "database-unavailable")


@pytest.mark.parametrize("dialect", ["postgresql"], indirect=True)
def test_silent_database_is_not_ready_after_a_time_limit(serve: Serve, locked: Locked) -> None:
    hasty, client = (serve(time_limits=replace(PATIENT, database=0.1, probe=probe)) for probe in (0.01, HANGS))

    with locked("alembic_version, idempotency_claims"):
        ready = [hasty.get("/readyz") for _ in range(50)][-1]  # more calls than threads
        scored = client.post("/score", json=body(), headers={"Idempotency-Key": "once"})
        alive = client.get("/livez")

    assert (ready.status_code, ready.json()["database_code"]) == (503, "database_silent")
    assert_problem(scored, 503, "database-unavailable")
    assert scored.headers["Retry-After"]
    assert alive.status_code == 200
    until(lambda: client.get("/readyz").status_code == 200)
    pools = [service.app_state["engine"].pool for service in (hasty, client)]
    until(lambda: not any(pool.checkedout() for pool in pools))  # by abandoned threads


@pytest.mark.parametrize("name", ["bundle.json", "tokenizer.json", "student.onnx", "card.md"])
def test_altered_bundle_is_refused_by_name_and_other_items_serve(models: Path, serve: Serve, name: str) -> None:
    [file] = (models / "heat-1").rglob(name)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0xFF
    file.write_bytes(bytes(content))

    client = serve()

    reply = client.get("/readyz")
    assert reply.status_code == 200
    assert reply.json()["items"] == sorted(ITEMS.keys() - {"heat-1"})
    assert list(reply.json()["refused"]) == ["heat-1"]
    assert name in reply.json()["refused"]["heat-1"]
    assert client.post("/score", json=body(item_id="plants-2")).status_code == 200
    assert_problem(client.post("/score", json=body()), 503, "item-not-ready")


@pytest.mark.parametrize("active", [None, b"", b"{}", b"\xff", b'{"version": "../../heat-1"}'])
def test_item_without_a_valid_active_file_is_refused(models: Path, serve: Serve, active: bytes | None) -> None:
    (models / "heat-1" / "ACTIVE").unlink()
    if active is not None:
        (models / "heat-1" / "ACTIVE").write_bytes(active)

    refused = serve().get("/readyz").json()["refused"]

    assert "ACTIVE" in refused["heat-1"]


@pytest.mark.parametrize("there", [True, False])
def test_service_without_items_is_not_ready(models: Path, serve: Serve, *, there: bool) -> None:
    rmtree(models)
    if there:
        models.mkdir()

    reply = serve().get("/readyz")

    assert (reply.status_code, reply.json()["items"]) == (503, [])
    assert reply.json()["database"] == "ok"


@pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)
def test_service_started_on_a_read_only_database_is_not_ready_until_writes_succeed(
    serve: Serve, locked: Locked
) -> None:
    with locked("predictions"):
        client = serve(reload_seconds=0, time_limits=replace(PATIENT, lock=0.01))
        ready = client.get("/readyz")

    assert ready.status_code == 503
    assert ready.json()["database_code"] == "database_takes_no_writes"
    assert client.get("/readyz").status_code == 200


def test_clock_behind_the_newest_score_is_logged(serve: Serve, sql: Sql, caplog: pytest.LogCaptureFixture) -> None:
    serve().post("/score", json=body())
    assert log_lines(caplog, "clock_behind") == []
    sql("UPDATE predictions SET created_at = '2999-01-01 00:00:00'")

    serve()

    [fields] = log_lines(caplog, "clock_behind")
    assert str(fields["newest"]).startswith("2999-01-01")


@pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)
def test_database_that_refuses_writes_is_not_ready_until_writes_succeed(serve: Serve, locked: Locked) -> None:
    client = serve(time_limits=replace(PATIENT, lock=0.01))

    with locked("predictions"):
        assert client.get("/readyz").status_code == 200  # reading works, and no write was tried yet
        assert_problem(client.post("/score", json=body()), 503, "database-unavailable")
        ready = client.get("/readyz")

    assert ready.status_code == 503
    assert ready.json()["database_code"] == "database_takes_no_writes"
    assert client.get("/readyz").status_code == 200  # before another score is written


@BOTH
def test_missing_table_is_not_ready(client: TestClient, sql: Sql) -> None:
    sql("ALTER TABLE predictions RENAME TO gone")

    ready = client.get("/readyz")

    assert (ready.status_code, ready.json()["database_code"]) == (503, "tables_unreadable")


@pytest.mark.parametrize("dialect", ["postgresql"], indirect=True)
def test_withdrawn_privilege_is_not_ready_after_a_failed_score(client: TestClient, sql: Sql) -> None:
    client.post("/score", json=body())
    sql("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE insufficient_privilege; END $$")
    sql("CREATE TRIGGER refused BEFORE INSERT ON predictions FOR EACH ROW EXECUTE FUNCTION refuse()")
    assert_problem(client.post("/score", json=body()), 503, "database-unavailable")

    ready = client.get("/readyz")

    assert (ready.status_code, ready.json()["database_code"]) == (503, "database_takes_no_writes")
    sql("DROP TRIGGER refused ON predictions")
    assert client.get("/readyz").status_code == 200


@pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)
def test_damaged_database_is_not_ready_after_a_failed_score(client: TestClient, sql: Sql) -> None:
    """SQLAlchemy does not count `database disk image is malformed` as a disconnect."""
    client.post("/score", json=body())
    [name] = sql("PRAGMA database_list")
    sql("PRAGMA wal_checkpoint(TRUNCATE)")
    [root] = sql("SELECT rootpage FROM sqlite_master WHERE name = 'predictions'")
    [size] = sql("PRAGMA page_size")
    client.app_state["engine"].dispose()  # so that no page stays in memory
    with Path(name["file"]).open("r+b") as file:
        file.seek((root["rootpage"] - 1) * size["page_size"])
        file.write(b"\xff" * size["page_size"])
    assert_problem(client.post("/score", json=body()), 503, "database-unavailable")

    ready = client.get("/readyz")

    assert (ready.status_code, ready.json()["database_code"]) == (503, "database_damaged")


def test_database_without_unicode_is_not_ready_and_logged_at_startup(
    serve: Serve, postgres: Postgres, caplog: pytest.LogCaptureFixture
) -> None:
    url = postgres.create("narrow", "template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'")
    try:
        engine = connect(url)
        upgrade(engine)  # as an earlier version of the service did
        engine.dispose()

        client = serve(database_url=url)

        ready = client.get("/readyz")
        assert (ready.status_code, ready.json()["database_code"]) == (503, "database_encoding")
        assert "LATIN1" in caplog.text
    finally:
        postgres.drop("narrow")
