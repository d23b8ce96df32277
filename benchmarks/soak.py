"""Run the service under steady load for a long time, with another version of an item going live every minute.

    python -m benchmarks.soak --models MODELS --responses FILE [--minutes 30] [--share 0.7]

Ten seconds at full load measure the maximum; then the callers send a share of that rate, evenly.  Each minute shows
replies other than 200, quantiles of latency, and memory.  Nothing in MODELS is changed.
"""

import asyncio
import json
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from app.scoring.bundle import METADATA
from app.scoring.live_version import activate, active_bytes, item_ids
from benchmarks.crowd import Caller, score_request
from benchmarks.service import quantiles, resident_mib, running_service

CALLERS = 16
TRIAL = 10.0  # seconds
SECOND_VERSION = "20990101T000000Z-00000000"


@dataclass
class Minute:
    """The calls of a minute."""

    seconds: list[float] = field(default_factory=list)  # of each reply
    failures: int = 0  # broken connections, and replies other than 200
    mib: float = 0.0


def main(
    models: Annotated[Path, typer.Option(help="Folder of live bundles.")],
    responses: Annotated[Path, typer.Option(help="Responses, .jsonl.")],
    minutes: int = 30,
    share: float = 0.7,
    report: Annotated[Path | None, typer.Option("--json", help="Write the figures here too.")] = None,
) -> None:
    rows = [json.loads(line) for line in responses.read_text(encoding="utf-8").splitlines()]
    bodies = [{"item_id": row["item_id"], "response": row["response"]} for row in rows]
    requests = cycle([score_request(body, headers=[]) for body in bodies])
    measured: list[Minute] = []
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home) / "models"
        shutil.copytree(models, folder)
        item = folder / item_ids(folder)[0]
        versions = cycle([SECOND_VERSION, add_second_version(item)])
        settings = {"SCORELET_RELOAD_SECONDS": "1", "SCORELET_LOG_LEVEL": "WARNING"}
        with running_service(folder, Path(home) / "log.db", **settings) as (client, process):
            port = int(client.base_url.port or 0)
            trial = asyncio.run(load(port, requests, TRIAL, None))
            maximum = len(trial.seconds) / TRIAL
            for _ in range(minutes):
                activate(item, next(versions), by="the soak", reason="another minute", mode="suggest")
                minute = asyncio.run(load(port, requests, 60.0, share * maximum))
                minute.mib = resident_mib(process)
                measured.append(minute)
    show(measured, maximum, share * maximum)
    if report:
        figures = [{"wrong": minute.failures, "MiB": minute.mib} | quantiles(minute.seconds) for minute in measured]
        content = json.dumps({"most a second": maximum, "minutes": figures}, indent=2)
        report.write_text(content + "\n", encoding="utf-8")


def add_second_version(folder: Path) -> str:
    """Copy an item's active version to SECOND_VERSION, and return the active version."""
    version = str(json.loads(active_bytes(folder))["version"])
    shutil.copytree(folder / version, folder / SECOND_VERSION)
    metadata = folder / SECOND_VERSION / METADATA
    bundle = json.loads(metadata.read_text())
    metadata.write_text(json.dumps(bundle | {"version": SECOND_VERSION}), encoding="utf-8")
    return version


async def load(port: int, requests: Iterator[bytes], seconds: float, rate: float | None) -> Minute:
    """Run CALLERS callers for `seconds`.

    With a `rate` in requests a second, each caller sends at even moments of its own, and does not skip late calls.
    """
    minute = Minute()
    began = time.monotonic()

    async def call(number: int) -> None:
        caller, turn = Caller(port), number
        while (now := time.monotonic() - began) < seconds:
            if rate is not None:
                due = turn / rate
                if due > now:
                    await asyncio.sleep(due - now)
                turn += CALLERS
            try:
                reply = await caller.send(next(requests))
            except (OSError, EOFError):
                minute.failures += 1
                continue
            minute.seconds.append(reply.seconds)
            minute.failures += reply.status != 200
        caller.close()

    await asyncio.gather(*map(call, range(CALLERS)))
    return minute


def show(minutes: Sequence[Minute], maximum: float, rate: float) -> None:
    table = Table("minute", "requests", "failures", "p50 ms", "p99 ms", "MiB", box=SIMPLE)
    for number, minute in enumerate(minutes, 1):
        figures = quantiles(minute.seconds)
        cells = (number, figures["n"], minute.failures, figures["median"], figures["p99"], minute.mib)
        table.add_row(*map(str, cells))
    console = Console(width=120)
    console.print(table)
    console.print(f"maximum with {CALLERS} callers: {maximum:,.0f} a second; sent: {rate:,.0f} a second")


if __name__ == "__main__":
    typer.run(main)
