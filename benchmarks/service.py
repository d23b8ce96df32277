"""Run the service as a school would: a process of its own on SQLite, called over HTTP on 127.0.0.1."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import httpx2
import numpy as np

BIN = Path(sys.executable).parent


@contextmanager
def running_service(models: Path, database: Path, **settings: str) -> Iterator[tuple[httpx2.Client, int]]:
    """Yield a client of a running service, and its process id.  `settings` holds further SCORELET_… variables."""
    port = free_port()
    settings |= {"SCORELET_MODELS_DIR": str(models), "SCORELET_DATABASE_URL": f"sqlite:///{database}"}
    run_scorelet(settings, "db", "upgrade")
    limits = httpx2.Limits(max_connections=256)
    address = f"http://127.0.0.1:{port}"
    with (
        running_server(serve_command(port), port, settings) as process,
        httpx2.Client(base_url=address, timeout=60, trust_env=False, limits=limits) as client,
    ):
        yield client, process


def run_scorelet(settings: Mapping[str, str], *command: str) -> str:
    """Run a command of `scorelet` and return its output.  Raises CalledProcessError if it fails."""
    arguments = [str(BIN / "scorelet"), *command]
    done = subprocess.run(arguments, env=os.environ | settings, check=True, capture_output=True, text=True)  # noqa: S603
    return done.stdout.strip()


def create_key(settings: Mapping[str, str]) -> str:
    """Upgrade the database and return a new key that may score."""
    run_scorelet(settings, "db", "upgrade")
    return run_scorelet(settings, "keys", "create", "a benchmark", "--scope", "score")


def serve_command(port: int) -> list[str]:
    return [str(BIN / "scorelet"), "serve", "--port", str(port)]


@contextmanager
def running_server(command: Sequence[str], port: int, settings: Mapping[str, str]) -> Iterator[int]:
    """Yield the process id of a server once /readyz answers on the port; terminate the server at the end."""
    silent = subprocess.DEVNULL
    server = subprocess.Popen(command, env=os.environ | settings, stdout=silent, stderr=silent)  # noqa: S603
    try:
        wait_until(lambda: _is_ready(port), 60)
        yield server.pid
    finally:
        server.terminate()
        server.wait(30)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def quantiles(seconds: Sequence[float]) -> dict[str, float]:
    """Return the number of latencies, and their mean and quantiles in milliseconds."""
    milliseconds = np.array(seconds) * 1000
    median, p95, p99, longest = np.quantile(milliseconds, (0.5, 0.95, 0.99, 1))
    figures = {"mean": milliseconds.mean(), "median": median, "p95": p95, "p99": p99, "max": longest}
    return {"n": len(seconds)} | {name: round(float(value), 2) for name, value in figures.items()}


def resident_mib(process: int) -> float:
    """Return the resident memory of a process in MiB."""
    status = Path(f"/proc/{process}/status").read_text()
    for line in status.splitlines():
        if line.startswith("VmRSS:"):
            kib = int(line.split()[1])
            return round(kib / 1024, 1)
    return 0.0


class ProcessTime(NamedTuple):
    """Processor time of one process."""

    parent: int
    seconds: float


def cpu_seconds(process: int) -> float:
    """Return the processor time that a process and all its descendants have used so far."""
    times: dict[int, ProcessTime] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # the process has ended
            times[int(stat.parent.name)] = _process_time(stat)
    generation, total = {process}, 0.0
    while generation:
        total += sum(times[number].seconds for number in generation if number in times)
        generation = {number for number, time_used in times.items() if time_used.parent in generation}
    return total


def own_cpu_seconds(process: int) -> float:
    """Return the processor time that a process alone has used so far."""
    return _process_time(Path(f"/proc/{process}/stat")).seconds


def _process_time(stat: Path) -> ProcessTime:
    """Read the parent and the processor time from /proc/…/stat: its fields 4, 14 and 15."""
    fields = stat.read_text().rpartition(")")[2].split()
    ticks = int(fields[11]) + int(fields[12])
    return ProcessTime(int(fields[1]), ticks / os.sysconf("SC_CLK_TCK"))


def wait_until(holds: Callable[[], object], seconds: float) -> None:
    """Poll until `holds()` is true.  Raises TimeoutError after `seconds`."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.1)


def _is_ready(port: int) -> bool:
    try:
        reply = httpx2.get(f"http://127.0.0.1:{port}/readyz", timeout=5, trust_env=False)
    except httpx2.TransportError:
        return False
    return reply.status_code == 200
