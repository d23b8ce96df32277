"""Backups of a service that runs, restored elsewhere; and every reason for which none is restored."""

import hashlib
import json
import shutil
import stat
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text
from starlette.testclient import TestClient

from app.cli.console import WorkFailed
from app.service.backup import MANIFEST
from app.storage.database import connect
from app.storage.tables import Base
from tests.app.commands import Commands
from tests.app.conftest import LEARNER_KEY, MakeKey, Serve, Sql
from tests.conftest import MIGRATED, Postgres
from tests.programs import serving
from tests.refusals import refused
from tests.tiny import write_tiny_bundle
from tests.waiting import HANGS


@pytest.fixture(params=["sqlite", "postgresql"])
def dialect(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def models(tmp_path: Path) -> Path:
    for item_id in ("heat-1", "heat-2"):
        write_tiny_bundle(tmp_path / "models", item_id)
    return tmp_path / "models"


@pytest.fixture
def elsewhere(dialect: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[dict[str, Any]]:
    """Settings of an installation that has nothing yet."""
    url = f"sqlite:///{tmp_path / 'elsewhere.db'}"
    if dialect == "postgresql":
        server: Postgres = request.getfixturevalue("postgres")
        url = server.create("elsewhere")
    yield {
        "SCORELET_MODELS_DIR": tmp_path / "elsewhere",
        "SCORELET_DATABASE_URL": url,
        "SCORELET_LEARNER_KEY": LEARNER_KEY,
    }
    if dialect == "postgresql":
        server.drop("elsewhere")


def score(service: str | TestClient, secret: str, response: str, learner: str = "anna") -> Any:
    """Score by a service at an address, or by one beside the test."""
    body = {"item_id": "heat-1", "response": response, "learner_id": learner}
    once = hashlib.sha256(response.encode()).hexdigest()
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {secret}", "Idempotency-Key": once}
    if isinstance(service, TestClient):
        return service.post("/score", json=body, headers=headers).raise_for_status().json()
    request = urllib.request.Request(f"{service}/score", json.dumps(body).encode(), headers)  # noqa: S310  # our own
    with urllib.request.urlopen(request, timeout=HANGS) as reply:  # noqa: S310
        return json.load(reply)


def contents(url: str) -> dict[str, list[str]]:
    engine = create_engine(url)
    with engine.connect() as connection:
        rows = {
            name: sorted(map(repr, connection.execute(text(f"SELECT * FROM {name}"))))  # noqa: S608  # names of ours
            for name in [*Base.metadata.tables, "alembic_version"]
        }
    engine.dispose()
    return rows


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def rewrite_manifest(folder: Path, **changes: object) -> None:
    path = folder / MANIFEST
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_backup_of_a_running_service_serves_where_it_is_restored(
    settings: dict[str, Any],
    elsewhere: dict[str, Any],
    commands: Commands,
    serve: Serve,
    make_key: MakeKey,
    tmp_path: Path,
) -> None:
    key = make_key("score", "review")
    odd = 'tab\t, new\nline, back\\slash, \\N, "quotes", Ünïcödé, 🙂'
    with serving(**settings) as (_, address):
        sent = score(address, key.secret, odd)
        manifest = json.loads(commands("backup", tmp_path / "backup"))
        expected = contents(settings["SCORELET_DATABASE_URL"])
        score(address, key.secret, "after the backup")  # the service went on

    commands.set(**elsewhere)
    done = json.loads(commands("restore", tmp_path / "backup"))

    assert manifest["rows"] == done["rows"]
    assert done["live"].keys() == {"heat-1", "heat-2"}
    assert contents(elsewhere["SCORELET_DATABASE_URL"]) == expected
    assert len(expected["predictions"]) == 1
    assert files(tmp_path / "elsewhere") == files(tmp_path / "models")
    restored = serve(
        models_dir=elsewhere["SCORELET_MODELS_DIR"],
        database_url=elsewhere["SCORELET_DATABASE_URL"],
        learner_key=LEARNER_KEY,
    )
    again = score(restored, key.secret, odd)  # the key is known, and the call too
    assert again["prediction_id"] == sent["prediction_id"]
    score(restored, key.secret, "a new one")


@pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)
def test_only_its_user_can_read_a_backup(commands: Commands, tmp_path: Path) -> None:
    receipt = json.loads(commands("backup", tmp_path / "backup"))

    paths = [tmp_path / "backup", *(tmp_path / "backup").rglob("*")]
    modes = {path.is_dir(): stat.S_IMODE(path.stat().st_mode) for path in paths}
    assert modes[False] == 0o600
    assert stat.S_IMODE((tmp_path / "backup").stat().st_mode) == 0o700
    assert receipt["not_in_it"][0].startswith("SCORELET_LEARNER_KEY")
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
    assert LEARNER_KEY.encode() not in b"".join(files(tmp_path / "backup").values())
    with refused(WorkFailed, "backup_exists"):
        commands("backup", tmp_path / "backup")
    with refused(WorkFailed, "no_folder"):
        commands("backup", tmp_path / "nowhere" / "backup")
    with refused(WorkFailed, "no_items"):
        commands("backup", tmp_path / "other", "--models", tmp_path / "nowhere")


def test_erased_learner_is_in_no_backup(commands: Commands, serve: Serve, make_key: MakeKey, tmp_path: Path) -> None:
    key, client = make_key("score"), serve(learner_key=LEARNER_KEY)
    score(client, key.secret, "zyzzyva rises", "anna")
    score(client, key.secret, "quokkas rise", "ben")
    commands("learner", "erase", "anna")
    commands("backup", tmp_path / "backup")

    held = b"".join(files(tmp_path / "backup").values())
    assert b"quokkas" in held
    assert b"zyzzyva" not in held


def change_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(bytes(content))


@pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)
def test_damaged_backup_is_refused_and_names_the_file(
    commands: Commands, elsewhere: dict[str, Any], tmp_path: Path
) -> None:
    commands("backup", tmp_path / "backup")
    commands.set(**elsewhere)
    names = sorted(name for name in files(tmp_path / "backup") if name != MANIFEST)
    assert {"database/scorelet.db", "models/heat-1/ACTIVE"} <= set(names)

    for name in names:
        shutil.copytree(tmp_path / "backup", tmp_path / "altered")
        change_a_byte(tmp_path / "altered" / name)
        with refused(WorkFailed, "backup_damaged", file=name):
            commands("restore", tmp_path / "altered")
        (tmp_path / "altered" / name).unlink()
        with refused(WorkFailed, "backup_damaged", file=name):
            commands("restore", tmp_path / "altered")
        shutil.rmtree(tmp_path / "altered")
    (tmp_path / "backup" / "models" / "more").write_text("more")
    with refused(WorkFailed, "backup_damaged", file="models/more"):
        commands("restore", tmp_path / "backup")
    (tmp_path / "backup" / MANIFEST).write_text("{}")
    with refused(WorkFailed, "no_backup"):
        commands("restore", tmp_path / "backup")

    assert not (tmp_path / "elsewhere").exists()
    assert not (tmp_path / "elsewhere.db").exists()


def test_restore_replaces_existing_data_only_with_force(
    commands: Commands, make_key: MakeKey, sql: Sql, database_url: str, tmp_path: Path
) -> None:
    make_key("score")
    commands("backup", tmp_path / "backup")
    expected, bundles = contents(database_url), files(tmp_path / "models")
    make_key("review")
    shutil.rmtree(tmp_path / "models" / "heat-2")
    write_tiny_bundle(tmp_path / "models", "heat-3")
    newer = contents(database_url), files(tmp_path / "models")

    with refused(WorkFailed, "target_not_empty") as caught:
        commands("restore", tmp_path / "backup")

    there = caught.value.fields["there"]
    assert isinstance(there, list)
    assert len(there) == 2
    assert (contents(database_url), files(tmp_path / "models")) == newer
    commands("restore", tmp_path / "backup", "--force")
    assert (contents(database_url), files(tmp_path / "models")) == (expected, bundles)
    assert not [path for path in (tmp_path / "models").iterdir() if path.name.startswith(".")]
    sql("SELECT 1 FROM api_keys")
    make_key("metrics")  # a table takes rows as before


def test_backup_of_another_revision_is_refused_with_advice(
    commands: Commands, elsewhere: dict[str, Any], tmp_path: Path
) -> None:
    commands("backup", tmp_path / "backup")
    commands.set(**elsewhere)

    rewrite_manifest(tmp_path / "backup", revision="9999")
    with refused(WorkFailed, "backup_of_another_revision", found="9999") as caught:
        commands("restore", tmp_path / "backup")

    assert "`scorelet db upgrade`" in str(caught.value)
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize(
    ("dialect", "dialect_of_backup"), [("sqlite", "postgresql"), ("postgresql", "sqlite")], indirect=["dialect"]
)
def test_backup_of_another_kind_of_database_is_refused(
    commands: Commands, elsewhere: dict[str, Any], dialect_of_backup: str, tmp_path: Path
) -> None:
    commands("backup", tmp_path / "backup")
    commands.set(**elsewhere)
    rewrite_manifest(tmp_path / "backup", database=dialect_of_backup)

    with refused(WorkFailed, "backup_of_another_database", found=dialect_of_backup):
        commands("restore", tmp_path / "backup")


def test_restore_that_fails_late_changes_nothing(
    commands: Commands, make_key: MakeKey, database_url: str, dialect: str, tmp_path: Path
) -> None:
    """The last file of the database cannot be loaded, although the manifest says that it is as it was written."""
    make_key("score")
    commands("backup", tmp_path / "backup")
    make_key("review")
    before = contents(database_url), files(tmp_path / "models")
    manifest = json.loads((tmp_path / "backup" / MANIFEST).read_text())
    if dialect == "sqlite":
        expected = "backup_damaged"
        rewrite_manifest(tmp_path / "backup", rows=manifest["rows"] | {"api_keys": 7})
    else:
        expected = "restore_failed"
        name = f"database/{Base.metadata.sorted_tables[-1].name}.copy"
        path = tmp_path / "backup" / name
        path.write_bytes(path.read_bytes() + b"one column\n")
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        rewrite_manifest(tmp_path / "backup", sha256=manifest["sha256"] | {name: digest})

    with refused(WorkFailed, expected):
        commands("restore", tmp_path / "backup", "--force")

    assert (contents(database_url), files(tmp_path / "models")) == before


@pytest.mark.parametrize("dialect", ["postgresql"], indirect=True)
def test_foreign_table_that_refers_to_the_rows_is_named_and_kept(
    commands: Commands, make_key: MakeKey, sql: Sql, tmp_path: Path
) -> None:
    make_key("score")
    commands("backup", tmp_path / "backup")
    sql("CREATE TABLE classes (prediction_id varchar(36) REFERENCES predictions)")

    with refused(WorkFailed, "object_in_the_way", name="classes"):
        commands("restore", tmp_path / "backup", "--force")

    assert sql("SELECT * FROM classes") == []


@pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)
def test_database_file_in_use_is_not_replaced(
    commands: Commands, settings: dict[str, Any], make_key: MakeKey, database_url: str, tmp_path: Path
) -> None:
    key = make_key("score")
    commands("backup", tmp_path / "backup")
    with serving(**settings) as (_, address):
        score(address, key.secret, "warm air")
        before = contents(database_url), files(tmp_path / "models")

        with refused(WorkFailed, "database_in_use"):
            commands("restore", tmp_path / "backup", "--force")

        assert (contents(database_url), files(tmp_path / "models")) == before
        score(address, key.secret, "more warm air")
    commands("restore", tmp_path / "backup", "--force")
    assert contents(database_url)["predictions"] == []


@pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)
def test_damaged_database_file_is_replaced(
    commands: Commands, make_key: MakeKey, database_url: str, tmp_path: Path
) -> None:
    make_key("score")
    commands("backup", tmp_path / "backup")
    expected = contents(database_url)
    for path in tmp_path.glob("scorelet.db*"):
        path.unlink()
    (tmp_path / "scorelet.db").write_bytes(b"no database" * 1000)
    (tmp_path / "scorelet.db-wal").write_bytes(b"an old one")

    with refused(WorkFailed, "target_not_empty"):
        commands("restore", tmp_path / "backup")
    commands("restore", tmp_path / "backup", "--force")

    assert contents(database_url) == expected
    assert stat.S_IMODE((tmp_path / "scorelet.db").stat().st_mode) == 0o600


@pytest.mark.parametrize("dialect", ["postgresql"], indirect=True)
def test_serial_numbers_continue_after_the_restored_rows(
    commands: Commands, postgres: Postgres, sql: Sql, tmp_path: Path
) -> None:
    seen = (
        "INSERT INTO seen_activations (item_id, version, mode, by, reason, at, seen_at, sha256) "
        "VALUES ('heat-1', 'v{0}', 'auto', 'Ana', 'why', '2026-01-01', '2026-01-01', '{0}')"
    )
    for number in range(3):
        sql(seen.format(number))
    commands("backup", tmp_path / "backup")
    url = postgres.create("counted", MIGRATED)
    try:
        commands.set(SCORELET_DATABASE_URL=url, SCORELET_MODELS_DIR=tmp_path / "elsewhere")
        commands("restore", tmp_path / "backup")

        engine = connect(url)
        with engine.begin() as connection:
            connection.execute(text(seen.format(3)))
            ids = list(connection.scalars(text("SELECT id FROM seen_activations ORDER BY id")))
        engine.dispose()
        assert ids == [1, 2, 3, 4]
    finally:
        postgres.drop("counted")
