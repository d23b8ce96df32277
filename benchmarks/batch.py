"""Compare POST /score/batch of 1,000 responses, log included, with a Python loop over the same students.

    python -m benchmarks.batch --models MODELS --responses FILE

The loop has no HTTP, no log and no conditions: it calls a student for one response after another.  Times are by the
clock and by the processor; a busy machine disturbs the latter less.
"""

import json
import os
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

os.environ["TOKENIZERS_PARALLELISM"] = "false"  # as in the service, where threads for a few words do not pay

from app.scoring.decision import Scorer
from app.scoring.registry import Registry
from benchmarks.service import own_cpu_seconds, running_service

SIZE = 1000
NAMES = ("loop", "batch", "loop, by processor", "batch, by processor")
Bodies = Sequence[dict[str, str]]


def main(
    models: Annotated[Path, typer.Option(help="Folder of live bundles.")],
    responses: Annotated[Path, typer.Option(help="Responses, .jsonl.")],
    rounds: int = 5,
    report: Annotated[Path | None, typer.Option("--json", help="Write the figures here too.")] = None,
) -> None:
    rows = [json.loads(line) for line in responses.read_text(encoding="utf-8").splitlines()]
    bodies = [{"item_id": row["item_id"], "response": row["response"]} for row in rows]
    starts = range(0, len(bodies) - SIZE + 1, SIZE)
    batches = [bodies[start:][:SIZE] for start in starts] or [bodies]
    rates: dict[str, list[float]] = {name: [] for name in NAMES}  # responses a second
    live = Registry.from_folder(models).live
    students = {item_id: item.source.take() for item_id, item in live.items()}
    with tempfile.TemporaryDirectory() as home, running_service(models, Path(home) / "log.db") as (client, process):
        for number in range(rounds + 1):
            batch = batches[number % len(batches)]
            by_loop = score_in_a_loop(students, batch)
            began, used = time.perf_counter(), own_cpu_seconds(process)
            reply = client.post("/score/batch", json={"responses": batch})
            by_batch = time.perf_counter() - began, own_cpu_seconds(process) - used
            reply.raise_for_status()
            if number == 0:
                continue  # the first round warms up
            seconds = (by_loop[0], by_batch[0], by_loop[1], by_batch[1])
            for name, taken in zip(NAMES, seconds, strict=True):
                rates[name].append(len(batch) / taken)
    show(rates)
    if report:
        report.write_text(json.dumps(rates, indent=2) + "\n", encoding="utf-8")


def score_in_a_loop(students: Mapping[str, Scorer], batch: Bodies) -> tuple[float, float]:
    """Score each response by itself, and return the seconds by the clock and by the processor."""
    began, used = time.perf_counter(), time.process_time()
    for body in batch:
        student = students[body["item_id"]]
        student.score_read(student.read([body["response"]]))
    return time.perf_counter() - began, time.process_time() - used


def show(rates: Mapping[str, Sequence[float]]) -> None:
    table = Table("", "responses a second", "of the loop", box=SIMPLE)
    medians = {name: statistics.median(of_rounds) for name, of_rounds in rates.items()}
    for name, median in medians.items():
        loop = medians["loop, by processor" if "processor" in name else "loop"]
        table.add_row(name, f"{median:,.0f}", f"{median / loop:.2f}")
    Console(width=120).print(table)


if __name__ == "__main__":
    typer.run(main)
