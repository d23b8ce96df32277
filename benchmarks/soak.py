"""The service under steady load for a long time, with another version of an item going live every minute.

    python -m benchmarks.soak --models MODELS --responses FILE [--minutes 30] [--share 0.7]

First for ten seconds what it can do with so many callers; then a share of that, evenly.  Every minute: replies that are
no 200, quantiles of latency, memory.  Nothing in MODELS is changed.
"""

import asyncio
import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from app.scoring.bundle import METADATA
from app.scoring.release import activate, active_bytes, item_ids
from benchmarks.crowd import Caller
from benchmarks.service import quantiles, resident, served

CALLERS = 16
TRIAL = 10.0  # seconds
OTHER = "20990101T000000Z-00000000"


@dataclass
class Minute:
    seconds: list[float] = field(default_factory=list)
    wrong: int = 0
    mib: float = 0.0


def main(
    models: Annotated[Path, typer.Option(help="Folder of live bundles.")],
    responses: Annotated[Path, typer.Option(help="Responses, .jsonl.")],
    minutes: int = 30,
    share: float = 0.7,
    report: Annotated[Path | None, typer.Option("--json", help="Write the figures here too.")] = None,
) -> None:
    bodies = cycle([request(row) for row in map(json.loads, responses.read_text(encoding="utf-8").splitlines())])
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home) / "models"
        shutil.copytree(models, folder)
        item = item_ids(folder)[0]
        versions = cycle([OTHER, another_version(folder / item)])
        with served(folder, Path(home) / "log.db", SCORELET_RELOAD_SECONDS="1", SCORELET_LOG_LEVEL="WARNING") as (
            client,
            process,
        ):
            port = int(client.base_url.port or 0)
            most = len(asyncio.run(load(port, bodies, TRIAL, None)).seconds) / TRIAL
            found: list[Minute] = []
            for _ in range(minutes):
                activate(folder / item, next(versions), by="the soak", reason="another minute", mode="suggest")
                found.append(asyncio.run(load(port, bodies, 60.0, share * most)))
                found[-1].mib = resident(process)
    show(found, most, share * most)
    if report:
        figures = [{"wrong": own.wrong, "MiB": own.mib} | quantiles(own.seconds) for own in found]
        report.write_text(json.dumps({"most a second": most, "minutes": figures}, indent=2) + "\n", encoding="utf-8")


def another_version(folder: Path) -> str:
    """Its active version under another name; the first one's own name."""
    version = str(json.loads(active_bytes(folder))["version"])
    shutil.copytree(folder / version, folder / OTHER)
    metadata = folder / OTHER / METADATA
    metadata.write_text(json.dumps(json.loads(metadata.read_text()) | {"version": OTHER}), encoding="utf-8")
    return version


def request(row: dict[str, Any]) -> bytes:
    body = json.dumps({"item_id": row["item_id"], "response": row["response"]}).encode()
    lines = [
        "POST /score HTTP/1.1",
        "Host: 127.0.0.1",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


async def load(port: int, bodies: Iterator[bytes], seconds: float, rate: float | None) -> Minute:
    """So many callers for so long; with a rate, each asks at its own even moments, and does not wait for late ones."""
    found = Minute()
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
                reply = await caller.ask(next(bodies))
            except (OSError, EOFError):
                found.wrong += 1
                continue
            found.seconds.append(reply.seconds)
            found.wrong += reply.status != 200
        caller.close()

    await asyncio.gather(*(call(number) for number in range(CALLERS)))
    return found


def show(found: list[Minute], most: float, rate: float) -> None:
    table = Table("minute", "requests", "no 200", "p50 ms", "p99 ms", "MiB", box=SIMPLE)
    for number, own in enumerate(found, 1):
        q = quantiles(own.seconds)
        table.add_row(str(number), str(q["n"]), str(own.wrong), str(q["median"]), str(q["p99"]), str(own.mib))
    console = Console(width=120)
    console.print(table)
    console.print(f"at most {most:,.0f} a second with {CALLERS} callers; asked: {rate:,.0f} a second")


if __name__ == "__main__":
    typer.run(main)
