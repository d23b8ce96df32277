"""Promise 4: no outbound connection and no name look-up.  The kernel enforces both (tests/sealed.py)."""

import json
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.programs import environment, run, serving
from tests.tiny import write_tiny_bundle
from tests.waiting import HANGS

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="seccomp is Linux's")
NO_SOCKETS = (sys.executable, "-m", "tests.sealed", "no-sockets")
NO_CALLS = (sys.executable, "-m", "tests.sealed", "no-calls")
KILLED = -signal.SIGSYS


@pytest.mark.parametrize("rule", [NO_SOCKETS, NO_CALLS])
@pytest.mark.parametrize(
    "reach",
    [
        "socket.create_connection(('127.0.0.1', 9))",
        "socket.getaddrinfo('collector.example', 443)",
        "socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)",
        "__import__('threading').Thread(target=lambda: socket.create_connection(('127.0.0.1', 9))).start()",
    ],
)
def test_seal_kills_a_program_that_connects(rule: tuple[str, ...], reach: str) -> None:
    command = [*rule, sys.executable, "-c", f"import socket; {reach}"]

    assert subprocess.run(command, check=False, timeout=HANGS).returncode == KILLED


def test_seal_lets_a_server_listen() -> None:
    listen = "import socket; s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen()"

    assert subprocess.run([*NO_CALLS, sys.executable, "-c", listen], check=False, timeout=HANGS).returncode == 0
    assert subprocess.run([*NO_SOCKETS, sys.executable, "-c", listen], check=False, timeout=HANGS).returncode == KILLED


def test_scoring_a_file_opens_no_socket(tmp_path: Path) -> None:
    write_tiny_bundle(tmp_path / "models")
    (tmp_path / "in.csv").write_text("item_id,response\nheat-1,warm air\n")

    done = run(
        "scorelet", "score", tmp_path / "in.csv", "--models", tmp_path / "models", "--out", tmp_path / "out.csv",
        prefix=NO_SOCKETS,
    )  # fmt: skip

    assert (done.returncode, done.stdout.count("\n")) == (0, 1), done.stderr
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 2


def test_service_opens_no_outbound_connection(tmp_path: Path) -> None:
    write_tiny_bundle(tmp_path / "models")
    settings: dict[str, Any] = {
        "SCORELET_MODELS_DIR": tmp_path / "models",
        "SCORELET_DATABASE_URL": f"sqlite:///{tmp_path / 'log.db'}",
    }
    assert run("scorelet", "db", "upgrade", prefix=NO_SOCKETS, **settings).returncode == 0

    with serving(prefix=NO_CALLS, **settings) as (process, address):
        body = json.dumps({"item_id": "heat-1", "response": "warm air"}).encode()
        request = urllib.request.Request(f"{address}/score", body, {"Content-Type": "application/json"})  # noqa: S310
        with urllib.request.urlopen(request, timeout=HANGS) as reply:  # noqa: S310
            assert json.load(reply)["score"] == 2
        assert process.poll() is None


@pytest.mark.parametrize(("teacher", "base"), [("full", "tiny_encoder"), ("qlora", "tiny_decoder")])
def test_training_opens_no_socket(tmp_path: Path, request: pytest.FixtureRequest, teacher: str, base: str) -> None:
    (tmp_path / "items.jsonl").write_text(
        '{"item_id": "heat-1", "prompt": "Why does heat rise?", "scale": "points", "max_score": 1}\n'
    )
    rows = [{"item_id": "heat-1", "response": f"warm air {n} " * (n % 2 + 1), "score": n % 2} for n in range(24)]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "quick.toml").write_text(
        "[teacher]\nmembers = 1\nmax_epochs = 1\nmin_steps = 1\nmax_tokens = 64\n"
        "[text]\naugmented_per_response = 1\n[distillation]\nepochs = 1\nmin_steps = 20\n"
        "[student]\nvocabulary = 200\nembedding = 8\nhidden = 8\nmax_tokens = 48\n"
    )

    done = run(
        "scorelet-train", "run", "--data", tmp_path, "--models", tmp_path / "models", "--cache", tmp_path / "cache",
        "--config", tmp_path / "quick.toml", "--teacher", teacher, "--base", request.getfixturevalue(base),
        prefix=NO_SOCKETS,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "models" / "heat-1").iterdir())


def test_programs_run_without_the_variable_ci() -> None:
    assert "CI" not in environment()
