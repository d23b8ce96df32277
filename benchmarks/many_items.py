"""Thousands of items on one machine: memory, and the latency of students that must be read first and of those at hand.

    python -m benchmarks.many_items --models MODELS --responses FILE [--items 2000] [--mib 256]

The bundles of MODELS are copied under other names until there are enough items.  A few are asked for all the time
(warm), alone at first; then, beside them, all others one after another (cold).
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
from app.scoring.release import active_bytes, item_ids
from benchmarks.service import quantiles, resident, served

WARM = 10  # items


def main(
    models: Annotated[Path, typer.Option(help="Folder of live bundles.")],
    responses: Annotated[Path, typer.Option(help="Responses, .jsonl.")],
    items: int = 2000,
    mib: Annotated[int, typer.Option(help="SCORELET_STUDENTS_MIB")] = 256,
    seconds: Annotated[int, typer.Option(help="Of the warm items alone.")] = 20,
    report: Annotated[Path | None, typer.Option("--json", help="Write the figures here too.")] = None,
) -> None:
    rows = [json.loads(line) for line in responses.read_text(encoding="utf-8").splitlines()]
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home) / "models"
        copies = copied(models, folder, items)
        texts = {item: [row["response"] for row in rows if row["item_id"] == item] for item in set(copies.values())}
        began = time.monotonic()
        with served(folder, Path(home) / "log.db", SCORELET_STUDENTS_MIB=str(mib)) as (client, process):
            found: dict[str, Any] = {"items": items, "budget MiB": mib, "seconds to start": time.monotonic() - began}
            found["MiB at start"] = resident(process)
            asked = [(name, random.choice(texts[source])) for name, source in copies.items()]  # noqa: S311  # no secret
            warm, cold = asked[:WARM], asked[WARM:]
            random.shuffle(cold)
            found["warm alone, ms"] = quantiles(ask(client, warm, seconds=seconds))
            beside: list[float] = []
            over = threading.Event()
            other = threading.Thread(target=lambda: beside.extend(ask(client, warm, until=over)))
            other.start()
            found["cold, ms"] = quantiles(ask(client, cold))
            over.set()
            other.join()
            found["warm beside cold ones, ms"] = quantiles(beside)
            found["MiB at the end"] = resident(process)
    print(json.dumps(found, indent=2))
    if report:
        report.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


def copied(models: Path, folder: Path, count: int) -> dict[str, str]:
    """Items under new names: which item each is a copy of."""
    sources, made = item_ids(models), {}
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
        made[name] = source
    return made


def ask(
    client: httpx2.Client,
    bodies: list[tuple[str, str]],
    seconds: float | None = None,
    until: threading.Event | None = None,
) -> list[float]:
    """Seconds each, one after another: once through, or again and again for so long, or until then."""
    latencies: list[float] = []
    deadline = time.monotonic() + (seconds or 0)
    while True:
        for item_id, response in bodies:
            began = time.perf_counter()
            reply = client.post("/score", json={"item_id": item_id, "response": response})
            latencies.append(time.perf_counter() - began)
            reply.raise_for_status()
        if (until is None or until.is_set()) and time.monotonic() >= deadline:
            return latencies


if __name__ == "__main__":
    typer.run(main)
