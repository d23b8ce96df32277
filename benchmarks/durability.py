"""Check that every acknowledged score is in the log, once, when processes die, hang or run out of disk.

    python -m benchmarks.durability [--rounds 20] [--clients 200] [--json FILE]

The service runs as a process of its own, on SQLite and on PostgreSQL.  First it is killed and started again under
persistent callers; then its database goes through every outage of `outages`.  A broken promise gives exit code 1.
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
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from sqlalchemy import NullPool, create_engine, text

from benchmarks.crowd import CrowdRecord, crowd
from benchmarks.outages import Outage, Postgres, disk_full, of_postgres, of_sqlite, small_disk
from benchmarks.service import create_key, free_port, running_server, serve_command, wait_until

MODELS = Path(__file__).resolve().parents[1] / "models"
LIVEZ_LIMIT = 1.0  # seconds in which /livez has to answer
RECOVERY_LIMIT = 30.0  # seconds in which scores have to be given again
PAUSE = 0.25  # seconds between a caller's calls in an outage, so that the machine itself is not overloaded


@dataclass
class Row:
    """One row of the table: an event on a database, and the callers' experience of it."""

    database: str
    event: str
    times: int = 1
    acknowledged: int = 0
    refused: int = 0  # replies other than 200
    repeated: int = 0
    lost: int = 0
    twice: int = 0
    recovered: float | None = None  # seconds; the longest
    slowest: float = 0.0
    livez: float = 0.0
    readyz: float = 0.0
    readyz_reasons: list[str] = field(default_factory=list)  # while /readyz was not 200
    broken: dict[str, int] = field(default_factory=dict)  # promises, each with a count


def main(
    rounds: Annotated[int, typer.Option(help="Kills of the service, for each database.")] = 20,
    clients: int = 200,
    server_kills: Annotated[int, typer.Option(help="Kills of PostgreSQL.")] = 5,
    report: Annotated[Path | None, typer.Option("--json", help="Write the figures here too.")] = None,
) -> None:
    rows: list[Row] = []
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
            key = create_key(settings)
            if rounds:
                rows.append(kill_service(name, settings, key, rounds, clients))
            rows += run_outages(name, settings, key, outages, clients)
    rows += fill_disks(clients)
    show(rows)
    if report:
        content = json.dumps([asdict(row) for row in rows], indent=2)
        report.write_text(content + "\n", encoding="utf-8")
    if any(row.broken for row in rows):
        raise typer.Exit(1)


def settings_for(url: str) -> dict[str, str]:
    return {"SCORELET_MODELS_DIR": str(MODELS), "SCORELET_DATABASE_URL": url, "OMP_NUM_THREADS": "1"}


def kill_service(database: str, settings: dict[str, str], key: str, rounds: int, clients: int) -> Row:
    """Kill the service under load at random moments, and start it again."""
    port, longest_start = free_port(), 0.0
    command = serve_command(port)
    with ExitStack() as stack, crowd(port, key, clients) as record:
        for _ in range(rounds):
            began = time.monotonic()
            with running_server(command, port, settings) as process:
                longest_start = max(longest_start, time.monotonic() - began)
                wait_until(acknowledges(record, len(record.acknowledged) + clients), RECOVERY_LIMIT)
                time.sleep(random.uniform(0, 0.5))  # noqa: S311
                os.kill(process, signal.SIGKILL)
        # Callers with a key still wait for their 200.
        stack.enter_context(running_server(command, port, settings))
    return compare_with_log(Row(database, "service killed", rounds, recovered=longest_start), record, settings)


def acknowledges(record: CrowdRecord, number: int) -> Callable[[], bool]:
    """Return a condition: more than `number` scores are acknowledged."""
    return lambda: len(record.acknowledged) > number


def run_outages(
    database: str, settings: dict[str, str], key: str, outages: Sequence[Outage], clients: int
) -> list[Row]:
    """Let one process of the service live through all outages of its database."""
    port = free_port()
    rows: dict[str, Row] = {}
    with running_server(serve_command(port), port, settings):
        for outage in outages:
            with crowd(port, key, clients, PAUSE) as record:
                row = run_outage(Row(database, outage.name), outage, record)
            row = compare_with_log(row, record, settings)
            rows[outage.name] = merge(rows[outage.name], row) if outage.name in rows else row
    return list(rows.values())


def run_outage(row: Row, outage: Outage, record: CrowdRecord) -> Row:
    """Cause an outage, wait for the recovery, and note broken promises."""
    wait_until(acknowledges(record, 50), RECOVERY_LIMIT)
    refused = record.statuses[503]
    began = time.monotonic()
    with outage.cause():
        time.sleep(outage.seconds)
        ended = time.monotonic()
    record.watch_for_recovery()
    over = time.monotonic()
    try:
        wait_until(lambda: record.recovered_at, RECOVERY_LIMIT)
        row.recovered = record.recovered_at - over
    except TimeoutError:
        row.broken["no recovery"] = 1
    time.sleep(1)
    if outage.refuses and record.statuses[503] == refused:
        row.broken["no outage"] = 1
    if record.broken_connections:
        row.broken["connection broken by the service"] = record.broken_connections
    if record.slowest_livez > LIVEZ_LIMIT:
        row.broken["/livez slower than a second"] = 1
    for reply, reason in record.readiness:
        if not (began + 1 < reply.sent_at and reply.received_at < ended):
            continue
        if reply.status != 200:
            row.readyz_reasons = sorted({*row.readyz_reasons, reason})
        elif outage.unready:
            row.broken["/readyz says ready"] = 1
    return row


def compare_with_log(row: Row, record: CrowdRecord, settings: dict[str, str]) -> Row:
    """Compare the replies with the log, and complete the row."""
    with create_engine(settings["SCORELET_DATABASE_URL"], poolclass=NullPool).connect() as connection:
        logged = connection.execute(text("SELECT prediction_id, attempt_id FROM predictions")).all()
    row.acknowledged, row.repeated = len(record.acknowledged), record.repeated
    row.refused = sum(count for status, count in record.statuses.items() if status != 200)
    row.lost = len(record.acknowledged - {prediction_id for prediction_id, _ in logged})
    keys = [key for _, key in logged if key is not None]
    row.twice = len(keys) - len(set(keys))
    row.slowest, row.livez, row.readyz = record.slowest, record.slowest_livez, record.slowest_readyz
    differing = sum(len(ids) > 1 for ids in record.by_key.values())
    counts = {"lost": row.lost, "twice": row.twice, "another id for the same key": differing, **record.faults}
    row.broken |= {promise: count for promise, count in counts.items() if count}
    return row


def merge(before: Row, after: Row) -> Row:
    """Return one row for an outage that happened again."""
    recovered = [row.recovered for row in (before, after) if row.recovered is not None]
    return Row(
        before.database,
        before.event,
        times=before.times + after.times,
        acknowledged=before.acknowledged + after.acknowledged,
        refused=before.refused + after.refused,
        repeated=before.repeated + after.repeated,
        lost=before.lost + after.lost,
        twice=after.twice,  # counted in the whole log each time
        recovered=max(recovered, default=None),
        slowest=max(before.slowest, after.slowest),
        livez=max(before.livez, after.livez),
        readyz=max(before.readyz, after.readyz),
        readyz_reasons=sorted({*before.readyz_reasons, *after.readyz_reasons}),
        broken=before.broken | after.broken,
    )


def fill_disks(clients: int) -> list[Row]:
    try:
        return [*fill_disk_of_sqlite(clients), *fill_disk_of_postgres(clients)]
    except subprocess.CalledProcessError:
        print("full disks are left out, because this user may not mount a file system")
        return []


def fill_disk_of_sqlite(clients: int) -> list[Row]:
    with small_disk("64m") as disk:
        settings = settings_for(f"sqlite:///{disk / 'scorelet.db'}")
        key = create_key(settings)
        outage = Outage("disk full", lambda: disk_full(disk, 2**20), 8)
        return run_outages("SQLite", settings, key, [outage], clients)


def fill_disk_of_postgres(clients: int) -> list[Row]:
    with small_disk("256m") as disk:
        server = Postgres(disk / "postgres")
        try:
            settings = settings_for(server.url)
            key = create_key(settings)
            outage = Outage("disk full", lambda: disk_full(disk, 2**20, server.start), 15)
            return run_outages("PostgreSQL", settings, key, [outage], clients)
        finally:
            server.close()


def show(rows: Sequence[Row]) -> None:
    figures = ("times", "acknowledged", "refused", "repeated", "lost", "twice", "recovered s", "slowest s", "/livez s")
    table = Table("", "", *figures, "broken", box=SIMPLE)
    for row in rows:
        counts = (row.times, row.acknowledged, row.refused, row.repeated, row.lost, row.twice)
        recovered = "-" if row.recovered is None else f"{row.recovered:.1f}"
        broken = ", ".join(f"{promise}: {count}" for promise, count in row.broken.items())
        times = (recovered, f"{row.slowest:.1f}", f"{row.livez:.2f}")
        table.add_row(row.database, row.event, *map(str, counts), *times, broken or "nothing")
    Console(width=None if sys.stdout.isatty() else 160).print(table)


if __name__ == "__main__":
    typer.run(main)
