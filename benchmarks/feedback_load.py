"""Measure the cost of generated feedback to scores: latencies, tokens a second, memory, and the limit of the queue.

    python -m benchmarks.feedback_load --models MODELS --responses FILE

MODELS has live bundles and a live feedback model; FILE has responses (.jsonl: item_id, response).  The service runs as
a school would run it, on SQLite in a temporary folder, and is called over HTTP on 127.0.0.1.
"""

import json
import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import cycle, islice
from pathlib import Path
from typing import Annotated, Any

import httpx2
import typer

from benchmarks.service import quantiles, resident_mib, running_service, wait_until

SINGLE, PARALLEL = 200, 50  # requests one after another; requests for feedback at once
WRITING_LIMIT = 600  # seconds for all texts
Rows = Sequence[dict[str, Any]]


def main(
    models: Annotated[Path, typer.Option(help="Folder of bundles with a live feedback model.")],
    responses: Annotated[Path, typer.Option(help="Responses, .jsonl.")],
    report: Annotated[Path | None, typer.Option("--json", help="Write the figures here too.")] = None,
) -> None:
    rows = [json.loads(line) for line in responses.read_text(encoding="utf-8").splitlines()]
    with tempfile.TemporaryDirectory() as temporary:
        database = Path(temporary) / "scores.db"
        with running_service(models, database) as (client, process):
            figures = measure(client, process, rows)
        figures |= count_texts(database)
    content = json.dumps(figures, indent=2)
    print(content)
    if report:
        report.write_text(content + "\n", encoding="utf-8")


def measure(client: httpx2.Client, process: int, rows: Rows) -> dict[str, Any]:
    """Return latencies and memory without feedback, beside feedback and with feedback."""
    several, parallel = list(islice(cycle(rows), SINGLE)), list(islice(cycle(rows), PARALLEL))
    send(client, several[0], feedback=False)
    figures: dict[str, Any] = {"ms_without_feedback": quantiles(latencies(client, several, feedback=False))}
    figures["ms_of_50_at_once_without_feedback"] = quantiles(parallel_latencies(client, parallel))
    figures["mib_without_model"] = resident_mib(process)
    _, first = send(client, several[0], feedback=True)
    wait_until(lambda: _is_settled(client, first), WRITING_LIMIT)  # the language model is loaded
    figures |= measure_beside_feedback(client, several, parallel)
    figures["mib_service"] = resident_mib(process)
    figures["mib_language_model"] = sum(map(resident_mib, children_of(process)))
    figures["ms_with_feedback"] = quantiles(latencies(client, several[:20], feedback=True))
    return figures


def measure_beside_feedback(client: httpx2.Client, several: Rows, parallel: Rows) -> dict[str, Any]:
    """Request many texts at once, and score other responses while the texts are written."""
    with ThreadPoolExecutor(PARALLEL) as pool:
        began = time.monotonic()
        futures = [pool.submit(send, client, row, True) for row in parallel]
        beside: list[float] = []
        while len(beside) < SINGLE or not all(future.done() for future in futures):
            seconds, _ = send(client, several[len(beside) % SINGLE], feedback=False)
            beside.append(seconds)
        replies = [future.result() for future in futures]
    outcomes = Counter(outcome_of(reply) for _, reply in replies)
    pending = [reply for _, reply in replies if reply["feedback_withheld"] == "pending"]
    wait_until(lambda: _is_settled(client, pending[-1]), WRITING_LIMIT)
    return {
        "ms_of_50_at_once_with_feedback": quantiles([seconds for seconds, _ in replies]),
        "ms_without_feedback_while_texts_are_written": quantiles(beside),
        "replies_of_50_at_once": dict(outcomes),
        "seconds_until_all_texts_were_written": round(time.monotonic() - began, 1),
    }


def latencies(client: httpx2.Client, rows: Rows, *, feedback: bool) -> list[float]:
    """Return the seconds of each request, one after another."""
    return [send(client, row, feedback)[0] for row in rows]


def parallel_latencies(client: httpx2.Client, rows: Rows) -> list[float]:
    """Return the seconds of each request without feedback, all at once."""
    with ThreadPoolExecutor(PARALLEL) as pool:
        futures = [pool.submit(send, client, row, False) for row in rows]
    return [future.result()[0] for future in futures]


def send(client: httpx2.Client, row: dict[str, Any], feedback: bool) -> tuple[float, dict[str, Any]]:
    """Return the seconds of a request, and the reply."""
    body = {"item_id": row["item_id"], "response": row["response"], "feedback": feedback}
    began = time.perf_counter()
    reply = client.post("/score", json=body)
    seconds = time.perf_counter() - began
    reply.raise_for_status()
    prediction: dict[str, Any] = reply.json()
    return seconds, prediction


def outcome_of(reply: dict[str, Any]) -> str:
    feedback = reply["feedback"]
    return str(reply["feedback_withheld"] or f"{feedback['source']}, {feedback['instead_because']}")


def count_texts(database: Path) -> dict[str, Any]:
    """Return figures of all generated texts in the database."""
    with closing(sqlite3.connect(database)) as connection:
        query = "SELECT feedback, feedback_withheld, tokens, seconds FROM generated_feedback"
        rows = connection.execute(query).fetchall()
    outcomes: Counter[str] = Counter()
    for feedback, withheld, _, _ in rows:
        outcomes[withheld or json.loads(feedback)["instead_because"] or "shown"] += 1
    tokens, seconds = sum(row[2] for row in rows), sum(row[3] for row in rows)
    return {
        "texts": len(rows),
        "became": dict(outcomes),
        "tokens_a_text": round(tokens / len(rows), 1),
        "seconds_a_text": round(seconds / len(rows), 2),
        "tokens_a_second_prompt_included": round(tokens / seconds, 1),
    }


def children_of(process: int) -> list[int]:
    """Return the ids of a process's children."""
    lists = [(task / "children").read_text().split() for task in Path(f"/proc/{process}/task").iterdir()]
    return [int(child) for children in lists for child in children]


def _is_settled(client: httpx2.Client, prediction: dict[str, Any]) -> bool:
    reply = client.get(f"/predictions/{prediction['prediction_id']}")
    return bool(reply.json()["feedback_withheld"] != "pending")


if __name__ == "__main__":
    typer.run(main)
