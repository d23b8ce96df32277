"""What generated feedback costs the scores beside it: latencies, tokens a second, memory, and where the queue ends.

    python -m benchmarks.feedback_load --models MODELS --responses FILE

MODELS has live bundles and a live feedback model; FILE has responses (.jsonl: item_id, response).  The service runs as
it would at a school, on SQLite in a temporary folder, and is asked over HTTP on 127.0.0.1.
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

from benchmarks.service import quantiles, resident, served, until

PLAIN, PARALLEL = 200, 50  # requests one after another; requests for feedback at once
PATIENCE = 600  # seconds for all texts


def main(
    models: Annotated[Path, typer.Option(help="Folder of bundles with a live feedback model.")],
    responses: Annotated[Path, typer.Option(help="Responses, .jsonl.")],
    report: Annotated[Path | None, typer.Option("--json", help="Write the figures here too.")] = None,
) -> None:
    rows = [json.loads(line) for line in responses.read_text(encoding="utf-8").splitlines()]
    with tempfile.TemporaryDirectory() as temporary:
        database = Path(temporary) / "scores.db"
        with served(models, database) as (client, process):
            found = measured(client, process, rows)
        found |= of_texts(database)
    print(json.dumps(found, indent=2))
    if report:
        report.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


def measured(client: httpx2.Client, process: int, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    several = list(islice(cycle(rows), PLAIN))
    ask(client, several[0], feedback=False)
    found: dict[str, Any] = {"ms_without_feedback": quantiles([ask(client, row, False)[0] for row in several])}
    with ThreadPoolExecutor(PARALLEL) as pool:
        together = [pool.submit(ask, client, row, False) for row in islice(cycle(rows), PARALLEL)]
    found["ms_of_50_at_once_without_feedback"] = quantiles([future.result()[0] for future in together])
    found["mib_without_model"] = resident(process)
    first = ask(client, several[0], True)[1]["prediction_id"]
    until(lambda: _is_settled(client, first), PATIENCE)  # the language model is loaded
    with ThreadPoolExecutor(PARALLEL) as pool:
        wanted = list(islice(cycle(rows), PARALLEL))
        began = time.monotonic()
        asked = [pool.submit(ask, client, row, True) for row in wanted]
        beside: list[float] = []
        while not all(future.done() for future in asked) or len(beside) < PLAIN:
            beside.append(ask(client, several[len(beside) % PLAIN], False)[0])
        replies = [future.result() for future in asked]
    found["ms_of_50_at_once_with_feedback"] = quantiles([seconds for seconds, _ in replies])
    found["ms_without_feedback_while_texts_are_written"] = quantiles(beside)
    found["replies_of_50_at_once"] = dict(Counter(told_as(reply) for _, reply in replies))
    pending = [reply["prediction_id"] for _, reply in replies if reply["feedback_withheld"] == "pending"]
    until(lambda: _is_settled(client, pending[-1]), PATIENCE)
    found["seconds_until_all_texts_were_written"] = round(time.monotonic() - began, 1)
    found["mib_service"] = resident(process)
    found["mib_language_model"] = sum(map(resident, children(process)))
    found["ms_with_feedback"] = quantiles([ask(client, row, True)[0] for row in several[:20]])
    return found


def ask(client: httpx2.Client, row: dict[str, Any], feedback: bool) -> tuple[float, dict[str, Any]]:
    """Seconds, and the reply."""
    body = {"item_id": row["item_id"], "response": row["response"], "feedback": feedback}
    began = time.perf_counter()
    reply = client.post("/score", json=body)
    seconds = time.perf_counter() - began
    reply.raise_for_status()
    found: dict[str, Any] = reply.json()
    return seconds, found


def told_as(reply: dict[str, Any]) -> str:
    feedback = reply["feedback"]
    return str(reply["feedback_withheld"] or f"{feedback['source']}, {feedback['instead_because']}")


def of_texts(database: Path) -> dict[str, Any]:
    """What the database says of all texts that were written."""
    with closing(sqlite3.connect(database)) as connection:
        rows = connection.execute(
            "SELECT feedback, feedback_withheld, tokens, seconds FROM generated_feedback"
        ).fetchall()
    said = Counter(
        withheld or (json.loads(feedback)["instead_because"] or "shown") for feedback, withheld, _, _ in rows
    )
    tokens, seconds = sum(row[2] for row in rows), sum(row[3] for row in rows)
    return {
        "texts": len(rows),
        "became": dict(said),
        "tokens_a_text": round(tokens / len(rows), 1),
        "seconds_a_text": round(seconds / len(rows), 2),
        "tokens_a_second_prompt_included": round(tokens / seconds, 1),
    }


def children(process: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{process}/task").iterdir():
        found += [int(child) for child in (task / "children").read_text().split()]
    return found


def _is_settled(client: httpx2.Client, prediction_id: str) -> bool:
    return bool(client.get(f"/predictions/{prediction_id}").json()["feedback_withheld"] != "pending")


if __name__ == "__main__":
    typer.run(main)
