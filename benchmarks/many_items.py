"""Measure memory and latency with thousands of items, of which few are in memory.

    python -m benchmarks.many_items --models MODELS --responses FILE [--items 2000] [--mib 256]

The bundles of MODELS are copied under other names until there are enough items.  A few items are called all the time
(warm), first alone and then beside calls to all other items, one after another (cold).
"""

import json
import random
import shutil
import tempfile
import threading
import time
from pathlib import Path
from typing import Annotated, Any

import httpx2
import typer

from app.scoring.bundle import METADATA
from app.scoring.bundle_files import sha256
from app.scoring.live_version import active_bytes, item_ids
from benchmarks.service import quantiles, resident_mib, running_service

WARM = 10  # items
Calls = list[tuple[str, str]]  # item and response


def main(
    models: Annotated[Path, typer.Option(help="Folder of live bundles.")],
    responses: Annotated[Path, typer.Option(help="Responses, .jsonl.")],
    items: int = 2000,
    mib: Annotated[int, typer.Option(help="SCORELET_STUDENTS_MIB")] = 256,
    seconds: Annotated[int, typer.Option(help="Seconds of calls to the warm items alone.")] = 20,
    report: Annotated[Path | None, typer.Option("--json", help="Write the figures here too.")] = None,
) -> None:
    rows = [json.loads(line) for line in responses.read_text(encoding="utf-8").splitlines()]
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home) / "models"
        copies = copy_items(models, folder, items)
        calls = choose_calls(rows, copies)
        warm, cold = calls[:WARM], calls[WARM:]
        random.shuffle(cold)
        began = time.monotonic()
        with running_service(folder, Path(home) / "log.db", SCORELET_STUDENTS_MIB=str(mib)) as (client, process):
            figures: dict[str, Any] = {"items": items, "budget MiB": mib, "seconds to start": time.monotonic() - began}
            figures["MiB at start"] = resident_mib(process)
            alone = send(client, warm, seconds=seconds)
            figures["warm alone, ms"] = quantiles(alone)
            cold_latencies, warm_latencies = send_side_by_side(client, cold, warm)
            figures["cold, ms"] = quantiles(cold_latencies)
            figures["warm beside cold ones, ms"] = quantiles(warm_latencies)
            figures["MiB at the end"] = resident_mib(process)
    text = json.dumps(figures, indent=2)
    print(text)
    if report:
        report.write_text(text + "\n", encoding="utf-8")


def copy_items(models: Path, folder: Path, count: int) -> dict[str, str]:
    """Copy items under new names; return the source of each copy."""
    sources, copies = item_ids(models), {}
    for number in range(count):
        source = sources[number % len(sources)]
        name = f"{source}-copy-{number}"
        active = json.loads(active_bytes(models / source))
        target = folder / name / active["version"]
        shutil.copytree(models / source / active["version"], target)
        bundle = json.loads((target / METADATA).read_text(encoding="utf-8"))
        bundle["item"]["item_id"] = name
        content = json.dumps(bundle).encode()
        (target / METADATA).write_bytes(content)
        active |= {"metadata_sha256": sha256(content), "fallback": None}
        (folder / name / "ACTIVE").write_text(json.dumps(active), encoding="utf-8")
        copies[name] = source
    return copies


def choose_calls(rows: list[dict[str, str]], copies: dict[str, str]) -> Calls:
    """Return a call to each copy, with a random response to its source."""
    texts: dict[str, list[str]] = {source: [] for source in copies.values()}
    for row in rows:
        if row["item_id"] in texts:
            texts[row["item_id"]].append(row["response"])
    return [(name, random.choice(texts[source])) for name, source in copies.items()]  # noqa: S311


def send_side_by_side(client: httpx2.Client, cold: Calls, warm: Calls) -> tuple[list[float], list[float]]:
    """Return the seconds of each cold call, and of the warm calls that were sent meanwhile."""
    warm_latencies: list[float] = []
    over = threading.Event()
    thread = threading.Thread(target=lambda: warm_latencies.extend(send(client, warm, until=over)))
    thread.start()
    cold_latencies = send(client, cold)
    over.set()
    thread.join()
    return cold_latencies, warm_latencies


def send(client: httpx2.Client, calls: Calls, seconds: float = 0, until: threading.Event | None = None) -> list[float]:
    """Send calls one after another, at least once, and again for `seconds` or until an event; return their seconds."""
    latencies: list[float] = []
    deadline = time.monotonic() + seconds
    while True:
        for item_id, response in calls:
            began = time.perf_counter()
            reply = client.post("/score", json={"item_id": item_id, "response": response})
            latencies.append(time.perf_counter() - began)
            reply.raise_for_status()
        if (until is None or until.is_set()) and time.monotonic() >= deadline:
            return latencies


if __name__ == "__main__":
    typer.run(main)
