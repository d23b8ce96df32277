"""POST /score/batch of 1,000 responses, with a durable log, against the same students called in a Python loop.

    python -m benchmarks.batch --models MODELS --responses FILE

The loop has no HTTP, no log and no conditions: a student's `score` for one response after another.  By the clock, and
by the processor time that each takes, which a busy machine leaves alone.
"""

import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

os.environ["TOKENIZERS_PARALLELISM"] = "false"  # as in the service, where threads for a few words do not pay

from app.scoring.registry import Registry
from benchmarks.service import served

SIZE = 1000
NAMES = ("loop", "batch", "loop, by processor", "batch, by processor")


def main(
    models: Annotated[Path, typer.Option(help="Folder of live bundles.")],
    responses: Annotated[Path, typer.Option(help="Responses, .jsonl.")],
    rounds: int = 5,
    report: Annotated[Path | None, typer.Option("--json", help="Write the figures here too.")] = None,
) -> None:
    rows = [json.loads(line) for line in responses.read_text(encoding="utf-8").splitlines()]
    bodies = [{"item_id": row["item_id"], "response": row["response"]} for row in rows]
    batches = [bodies[start : start + SIZE] for start in range(0, len(bodies) - SIZE + 1, SIZE)] or [bodies]
    found: dict[str, list[float]] = {
        name: [] for name in ("loop", "batch", "loop, by processor", "batch, by processor")
    }
    live = Registry.from_folder(models).live
    students = {item_id: own.source.take() for item_id, own in live.items()}
    with tempfile.TemporaryDirectory() as home, served(models, Path(home) / "log.db") as (client, process):
        for number in range(rounds + 1):
            batch = batches[number % len(batches)]
            began, used = time.perf_counter(), time.process_time()
            for own in batch:
                student = students[own["item_id"]]
                student.score_read(student.read([own["response"]]))
            loop, loop_used = time.perf_counter() - began, time.process_time() - used
            began, used = time.perf_counter(), processor(process)
            reply = client.post("/score/batch", json={"responses": batch})
            whole, whole_used = time.perf_counter() - began, processor(process) - used
            reply.raise_for_status()
            if number:  # the first warms up
                for name, seconds in zip(found, (loop, whole, loop_used, whole_used), strict=True):
                    found[name].append(len(batch) / seconds)
    table = Table("", "responses a second", "of the loop", box=SIMPLE)
    medians = {name: statistics.median(own) for name, own in found.items()}
    for name, median in medians.items():
        of = medians["loop, by processor" if "processor" in name else "loop"]
        table.add_row(name, f"{median:,.0f}", f"{median / of:.2f}")
    Console(width=120).print(table)
    if report:
        report.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


def processor(process: int) -> float:
    """Seconds of processor time that it has had so far."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    typer.run(main)
