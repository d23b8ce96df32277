from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, inspect, text
from sqlalchemy.exc import SQLAlchemyError

from app.storage.database import connect, downgrade, head_revision, migrations_folder, schema_problem, upgrade
from app.storage.tables import Base


@pytest.fixture
def engine(empty_database_url: str) -> Iterator[Engine]:
    engine = connect(empty_database_url)
    yield engine
    engine.dispose()


def tables(engine: Engine) -> set[str]:
    return set(inspect(engine).get_table_names()) - {"alembic_version"}


def test_the_schema_goes_up_down_and_up_again(engine: Engine) -> None:
    upgrade(engine)
    up = tables(engine)
    downgrade(engine, "base")
    down = tables(engine)
    upgrade(engine)

    assert up == tables(engine) == set(Base.metadata.tables)
    assert down == set()
    assert schema_problem(engine, head_revision()) is None


def test_upgrading_twice_changes_nothing(engine: Engine) -> None:
    upgrade(engine)
    with engine.begin() as connection:
        connection.execute(
            text("INSERT INTO api_keys (id, name, sha256, scopes, created_at) VALUES ('1', 'a', 'b', '', '2026-01-01')")
        )

    upgrade(engine)

    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM api_keys")).scalar() == 1


def test_an_upgrade_happens_whole_or_not_at_all(engine: Engine) -> None:
    """The last of the first tables is there already, so the upgrade fails after having made the others."""
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE predictions (mine INTEGER)"))

    with pytest.raises(SQLAlchemyError):
        upgrade(engine)

    assert tables(engine) == {"predictions"}


def test_an_empty_database_says_what_to_do(engine: Engine) -> None:
    assert "scorelet db upgrade" in (schema_problem(engine, head_revision()) or "")


def test_a_database_at_another_revision_says_which(engine: Engine) -> None:
    upgrade(engine)

    problem = schema_problem(engine, "9999")

    assert problem is not None
    assert "9999" in problem
    assert str(head_revision()) in problem


def test_a_failing_statement_does_not_tell_its_parameters(engine: Engine) -> None:
    with pytest.raises(SQLAlchemyError) as caught, engine.connect() as connection:
        connection.execute(text("SELECT * FROM nothing WHERE response = :response"), {"response": "a learner's words"})

    assert "a learner's words" not in str(caught.value)


@pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)
def test_sqlite_survives_a_power_cut_and_reads_while_writing(engine: Engine) -> None:
    with engine.connect() as connection:
        found = [connection.execute(text(f"PRAGMA {name}")).scalar() for name in ("journal_mode", "synchronous")]

    assert found == ["wal", 2]  # 2 is FULL


@pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)
def test_the_migrations_are_found_with_a_head(engine: Engine) -> None:
    upgrade(engine)

    assert (migrations_folder() / "env.py").is_file()
    assert head_revision() is not None
