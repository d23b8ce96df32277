"""What generated feedback costs the scores beside it: latencies, tokens a second, memory, and where the queue ends.

    python -m benchmarks.feedback_load --models MODELS --responses FILE

MODELS has live bundles and a live feedback model; FILE has responses (.jsonl: item_id, response).  The service runs as
it would at a school, on SQLite in a temporary folder, and is asked over HTTP on 127.0.0.1.
"""

import json
import os
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from itertools import cycle, islice
from pathlib import Path
from typing import Annotated, Any

import httpx2
import numpy as np
import typer

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


@contextmanager
def served(models: Path, database: Path) -> Iterator[tuple[httpx2.Client, int]]:
    """A client of a running service, and its process id."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = {"SCORELET_MODELS_DIR": str(models), "SCORELET_DATABASE_URL": f"sqlite:///{database}"}
    program = [str(Path(sys.executable).parent / "scorelet")]
    environment = os.environ | settings
    subprocess.run([*program, "db", "upgrade"], env=environment, check=True)  # noqa: S603  # our own program
    silent = subprocess.DEVNULL
    service = subprocess.Popen([*program, "serve", "--port", str(port)], env=environment, stdout=silent, stderr=silent)  # noqa: S603
    try:
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as client:
            _until(lambda: _is_ready(client), 60)
            yield client, service.pid
    finally:
        service.terminate()
        service.wait(30)


def measured(client: httpx2.Client, process: int, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    several = list(islice(cycle(rows), PLAIN))
    ask(client, several[0], feedback=False)
    found: dict[str, Any] = {"ms_without_feedback": quantiles([ask(client, row, False)[0] for row in several])}
    found["mib_without_model"] = resident(process)
    first = ask(client, several[0], True)[1]["prediction_id"]
    _until(lambda: _is_settled(client, first), PATIENCE)  # the language model is loaded
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
    _until(lambda: _is_settled(client, pending[-1]), PATIENCE)
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


def quantiles(seconds: Sequence[float]) -> dict[str, float]:
    half, most, top = np.quantile(seconds, (0.5, 0.95, 1)) * 1000
    return {"n": len(seconds), "median": round(half, 2), "p95": round(most, 2), "max": round(top, 2)}


def resident(process: int) -> float:
    """MiB."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return round(int(line.split()[1]) / 1024, 1)
    return 0.0


def children(process: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{process}/task").iterdir():
        found += [int(child) for child in (task / "children").read_text().split()]
    return found


def _is_ready(client: httpx2.Client) -> bool:
    try:
        return client.get("/readyz").status_code == 200
    except httpx2.TransportError:
        return False


def _is_settled(client: httpx2.Client, prediction_id: str) -> bool:
    return bool(client.get(f"/predictions/{prediction_id}").json()["feedback_withheld"] != "pending")


def _until(holds: Any, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.1)


if __name__ == "__main__":
    typer.run(main)
