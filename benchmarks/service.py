"""The service as it would run at a school: a process of its own on SQLite, asked over HTTP on 127.0.0.1."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx2
import numpy as np

BIN = Path(sys.executable).parent


@contextmanager
def served(models: Path, database: Path, **settings: str) -> Iterator[tuple[httpx2.Client, int]]:
    """A client of a running service, and its process id.  `settings`: further ones, SCORELET_… by name."""
    port = free_port()
    settings |= {"SCORELET_MODELS_DIR": str(models), "SCORELET_DATABASE_URL": f"sqlite:///{database}"}
    scorelet(settings, "db", "upgrade")
    limits = httpx2.Limits(max_connections=256)
    address = f"http://127.0.0.1:{port}"
    with (
        running(serving(port), port, settings) as process,
        httpx2.Client(base_url=address, timeout=60, trust_env=False, limits=limits) as client,
    ):
        yield client, process


def scorelet(settings: Mapping[str, str], *command: str) -> str:
    """What `scorelet` with this command says; it has to succeed."""
    ran = subprocess.run(  # noqa: S603  # our own program
        [str(BIN / "scorelet"), *command], env=os.environ | settings, check=True, capture_output=True, text=True
    )
    return ran.stdout.strip()


def with_key(settings: Mapping[str, str]) -> str:
    """A key that may score, in a database brought to the head revision."""
    scorelet(settings, "db", "upgrade")
    return scorelet(settings, "keys", "create", "a benchmark", "--scope", "score")


def serving(port: int) -> list[str]:
    return [str(BIN / "scorelet"), "serve", "--port", str(port)]


@contextmanager
def running(command: Sequence[str], port: int, settings: Mapping[str, str]) -> Iterator[int]:
    """A server that answers /readyz on the port, ended at the end: its process id."""
    silent = subprocess.DEVNULL
    server = subprocess.Popen(command, env=os.environ | settings, stdout=silent, stderr=silent)  # noqa: S603
    try:
        until(lambda: _is_ready(port), 60)
        yield server.pid
    finally:
        server.terminate()
        server.wait(30)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def quantiles(seconds: Sequence[float]) -> dict[str, float]:
    """Milliseconds."""
    half, most, last, top = np.quantile(seconds, (0.5, 0.95, 0.99, 1)) * 1000
    figures = {"mean": np.mean(seconds) * 1000, "median": half, "p95": most, "p99": last, "max": top}
    return {"n": len(seconds)} | {name: round(float(value), 2) for name, value in figures.items()}


def resident(process: int) -> float:
    """MiB."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return round(int(line.split()[1]) / 1024, 1)
    return 0.0


def cpu_seconds(process: int) -> float:
    """Of processors, that it and all processes below it have taken until now."""
    own: dict[int, tuple[int, float]] = {}  # parent, seconds
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended
            fields = stat.read_text().rpartition(")")[2].split()
            own[int(stat.parent.name)] = int(fields[1]), (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    below, found = {process}, 0.0
    while below:
        found += sum(own[number][1] for number in below if number in own)
        below = {number for number, (parent, _) in own.items() if parent in below}
    return found


def until(holds: Callable[[], object], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.1)


def _is_ready(port: int) -> bool:
    try:
        return httpx2.get(f"http://127.0.0.1:{port}/readyz", timeout=5, trust_env=False).status_code == 200
    except httpx2.TransportError:
        return False
