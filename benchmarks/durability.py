"""Whether a score that was given is in the log, once, whatever ends, hangs or fills up: the real program, from outside.

    python -m benchmarks.durability [--rounds 20] [--clients 200] [--json FILE]

The service is killed and started again under callers that never let go, on SQLite and on PostgreSQL; then it runs on
while its database is taken from it in every way of `outages`.  Ends with 1 when a promise is broken.
Linux; a full disk needs root.
"""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from sqlalchemy import NullPool, create_engine, text

from benchmarks.crowd import Told, crowd
from benchmarks.outages import Outage, Postgres, full, of_postgres, of_sqlite, small_disk
from benchmarks.service import free_port, running, serving, until, with_key

MODELS = Path(__file__).resolve().parents[1] / "models"
ALIVE = 1.0  # seconds in which /livez has to answer
RECOVERY = 30.0  # seconds in which scores have to be given again
PAUSE = 0.25  # seconds between the calls of a caller in an outage: what is measured is the service, not the machine


@dataclass
class Found:
    """One row of the table."""

    database: str
    what: str
    times: int = 1
    acknowledged: int = 0
    refused: int = 0  # replies that were no 200
    repeated: int = 0
    lost: int = 0
    twice: int = 0
    recovered: float | None = None  # seconds; the longest
    slowest: float = 0.0
    livez: float = 0.0
    readyz: float = 0.0
    said: list[str] = field(default_factory=list)  # by /readyz, when it was no 200
    broken: dict[str, int] = field(default_factory=dict)


def main(
    rounds: Annotated[int, typer.Option(help="Kills of the service, for each database.")] = 20,
    clients: int = 200,
    server_kills: Annotated[int, typer.Option(help="Kills of PostgreSQL.")] = 5,
    report: Annotated[Path | None, typer.Option("--json", help="Write the figures here too.")] = None,
) -> None:
    found: list[Found] = []
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = Postgres(home / "postgres")
        stack.callback(server.close)
        file = home / "scorelet.db"
        for name, url, outages in (
            ("SQLite", f"sqlite:///{file}", of_sqlite(file)),
            ("PostgreSQL", server.url, of_postgres(server, server_kills)),
        ):
            settings = settings_for(url)
            key = with_key(settings)
            if rounds:
                found.append(killed(name, settings, key, rounds, clients))
            found += suffered(name, settings, key, outages, clients)
    found += on_full_disks(clients)
    show(found)
    if report:
        report.write_text(json.dumps([asdict(row) for row in found], indent=2) + "\n", encoding="utf-8")
    if any(row.broken for row in found):
        raise typer.Exit(1)


def settings_for(url: str) -> dict[str, str]:
    return {"SCORELET_MODELS_DIR": str(MODELS), "SCORELET_DATABASE_URL": url, "OMP_NUM_THREADS": "1"}


def killed(database: str, settings: dict[str, str], key: str, rounds: int, clients: int) -> Found:
    """The service, under load, at a moment that nobody chose."""
    port, down = free_port(), 0.0
    with ExitStack() as stack, crowd(port, key, clients) as told:
        for _ in range(rounds):
            began = time.monotonic()
            with running(serving(port), port, settings) as process:
                down = max(down, time.monotonic() - began)
                until(partial(has_given, told, len(told.acknowledged) + clients), RECOVERY)
                time.sleep(random.uniform(0, 0.5))  # noqa: S311  # no secret
                os.kill(process, signal.SIGKILL)
        stack.enter_context(running(serving(port), port, settings))  # for those who wait for their 200
    return judged(Found(database, "service killed", rounds, recovered=down), told, settings)


def has_given(told: Told, number: int) -> bool:
    return len(told.acknowledged) > number


def suffered(database: str, settings: dict[str, str], key: str, outages: Sequence[Outage], clients: int) -> list[Found]:
    """One process lives through all of them."""
    port = free_port()
    found: dict[str, Found] = {}
    with running(serving(port), port, settings):
        for outage in outages:
            with crowd(port, key, clients, PAUSE) as told:
                one = suffer(Found(database, outage.name), outage, told)
            one = judged(one, told, settings)
            found[outage.name] = together(found[outage.name], one) if outage.name in found else one
    return list(found.values())


def suffer(found: Found, outage: Outage, told: Told) -> Found:
    until(partial(has_given, told, 50), RECOVERY)
    refused = told.statuses[503]
    began = time.monotonic()
    with outage.cause():
        time.sleep(outage.seconds)
        ended = time.monotonic()
    told.watch_for_recovery()
    over = time.monotonic()
    try:
        until(lambda: told.first_given, RECOVERY)
        found.recovered = told.first_given - over
    except TimeoutError:
        found.broken["no recovery"] = 1
    time.sleep(1)
    if outage.refuses and told.statuses[503] == refused:
        found.broken["no outage"] = 1
    if told.broke:
        found.broken["connection broken by the service"] = told.broke
    if told.slowest_alive > ALIVE:
        found.broken["/livez slower than a second"] = 1
    looked = [
        (reply.status, why) for reply, why in told.readiness if began + 1 < reply.asked and reply.answered < ended
    ]
    found.said = sorted({why for status, why in looked if status != 200})
    if outage.unready and any(status == 200 for status, _ in looked):
        found.broken["/readyz says ready"] = 1
    return found


def judged(found: Found, told: Told, settings: dict[str, str]) -> Found:
    """With what callers were told held against the log."""
    with create_engine(settings["SCORELET_DATABASE_URL"], poolclass=NullPool).connect() as connection:
        logged = connection.execute(text("SELECT prediction_id, attempt_id FROM predictions")).all()
    found.acknowledged, found.repeated = len(told.acknowledged), told.repeated
    found.refused = sum(count for status, count in told.statuses.items() if status != 200)
    found.lost = len(told.acknowledged - {prediction_id for prediction_id, _ in logged})
    keys = [key for _, key in logged if key is not None]
    found.twice = len(keys) - len(set(keys))
    found.slowest, found.livez, found.readyz = told.slowest, told.slowest_alive, told.slowest_ready
    differing = sum(len(ids) > 1 for ids in told.by_key.values())
    counted = {"lost": found.lost, "twice": found.twice, "another id for the same key": differing, **told.wrong}
    found.broken |= {what: count for what, count in counted.items() if count}
    return found


def together(one: Found, other: Found) -> Found:
    """The same, once more."""
    recovered = [row.recovered for row in (one, other) if row.recovered is not None]
    return Found(
        one.database, one.what, one.times + other.times, one.acknowledged + other.acknowledged,
        one.refused + other.refused, one.repeated + other.repeated, one.lost + other.lost, other.twice,
        max(recovered, default=None), max(one.slowest, other.slowest), max(one.livez, other.livez),
        max(one.readyz, other.readyz), sorted({*one.said, *other.said}), one.broken | other.broken,
    )  # fmt: skip


def on_full_disks(clients: int) -> list[Found]:
    try:
        return [*full_sqlite(clients), *full_postgres(clients)]
    except subprocess.CalledProcessError:
        print("full disks are left out: this user may mount no file system")
        return []


def full_sqlite(clients: int) -> list[Found]:
    with small_disk("64m") as disk:
        settings = settings_for(f"sqlite:///{disk / 'scorelet.db'}")
        key = with_key(settings)
        outage = Outage("disk full", lambda: full(disk, 2**20), 8)
        return suffered("SQLite", settings, key, [outage], clients)


def full_postgres(clients: int) -> list[Found]:
    with small_disk("256m") as disk:
        server = Postgres(disk / "postgres")
        try:
            settings = settings_for(server.url)
            key = with_key(settings)
            outage = Outage("disk full", lambda: full(disk, 2**20, server.start), 15)
            return suffered("PostgreSQL", settings, key, [outage], clients)
        finally:
            server.close()


def show(found: Sequence[Found]) -> None:
    figures = ("times", "acknowledged", "refused", "repeated", "lost", "twice", "recovered s", "slowest s", "/livez s")
    table = Table("", "", *figures, "broken", box=SIMPLE)
    for row in found:
        counts = (row.times, row.acknowledged, row.refused, row.repeated, row.lost, row.twice)
        recovered = "-" if row.recovered is None else f"{row.recovered:.1f}"
        broken = ", ".join(f"{what}: {count}" for what, count in row.broken.items())
        times = (recovered, f"{row.slowest:.1f}", f"{row.livez:.2f}")
        table.add_row(row.database, row.what, *map(str, counts), *times, broken or "nothing")
    Console(width=None if sys.stdout.isatty() else 160).print(table)


if __name__ == "__main__":
    typer.run(main)
