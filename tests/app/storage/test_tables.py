from datetime import UTC, datetime, timedelta, timezone

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, insert, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.storage.tables import Base, IdempotencyClaim, LoggedPrediction, SeenActivation

BERLIN = timezone(timedelta(hours=2))


def test_migrations_create_the_defined_tables(engine: Engine) -> None:
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        differences = compare_metadata(context, Base.metadata)

    assert differences == []


def test_comparison_of_tables_detects_a_missing_column(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE predictions DROP COLUMN gradebook_max"))

        differences = compare_metadata(MigrationContext.configure(connection), Base.metadata)

    assert [difference[0] for difference in differences] == ["add_column"]


def test_times_of_any_zone_are_stored_in_utc(engine: Engine) -> None:
    at = datetime(2026, 7, 1, 14, 0, 0, 123456, BERLIN)
    with Session(engine) as session, session.begin():
        seen = {"item_id": "heat-1", "version": "1", "mode": "auto", "by": "A", "reason": "B", "sha256": "0" * 64}
        session.add(SeenActivation(**seen, at=at, seen_at=at))

    with Session(engine) as session:
        row = session.scalars(select(SeenActivation)).one()

    assert row.at == at
    assert row.at.tzinfo is UTC


def test_prediction_of_an_unknown_key_is_refused(engine: Engine) -> None:
    values = {
        "prediction_id": "1",
        "created_at": datetime.now(UTC),
        "key_id": "no such key",
        "item_id": "heat-1",
        "bundle_version": "1",
        "scored_by": "student",
        "decision": "auto",
        "flags": [],
    }

    with pytest.raises(IntegrityError), engine.begin() as connection:
        connection.execute(insert(LoggedPrediction).values(values))


def test_caller_uses_an_idempotency_key_once(engine: Engine) -> None:
    values = {"idempotency_key": "quiz-7", "body_sha256": "0", "results": [], "created_at": datetime.now(UTC)}
    with engine.begin() as connection:
        for caller in ("open", "another"):
            connection.execute(insert(IdempotencyClaim).values(values | {"caller": caller}))

    with pytest.raises(IntegrityError), engine.begin() as connection:
        connection.execute(insert(IdempotencyClaim).values(values | {"caller": "open"}))
