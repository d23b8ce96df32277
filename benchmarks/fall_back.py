"""What falling back on teachers brings and costs: agreement against the share sent, latency, what becomes of failures.

    python -m benchmarks.fall_back --models MODELS --responses FILE

MODELS has bundles and their exported teachers (`scorelet-train run --export-teacher`), FILE marked responses.  Nothing
in MODELS is changed: the service runs on a copy in which every item is in mode auto and falls back.
"""

import json
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import httpx2
import numpy as np
import typer

from app.scoring.agreement import quadratic_weighted_kappa
from app.scoring.decision import LiveItem
from app.scoring.errors import BadBundle
from app.scoring.registry import Registry, fallback_on
from app.scoring.release import activate
from app.scoring.row_files import read_rows
from app.scoring.teacher import TEACHERS_FOLDER
from benchmarks.service import quantiles, served
from training.data.responses import MarkedResponse, marked_from

SHARES = np.linspace(0, 1, 11)
PARALLEL = 8


@dataclass(frozen=True, slots=True)
class Second:
    """One response that the student scored: both scores, and how sure the student was."""

    human: float
    student: float
    teacher: float
    confidence: float
    sent: bool
    stands: bool


def main(
    models: Annotated[Path, typer.Option(help="Folder of bundles and teachers.")],
    responses: Annotated[Path, typer.Option(help="Marked responses.")],
    report: Annotated[Path | None, typer.Option("--json", help="Write the figures here too.")] = None,
) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        home = Path(temporary) / "models"
        shutil.copytree(models, home)
        items = falling_back(home)
        registry = Registry.from_folder(home)
        known = {name: registry.live[name].bundle.item for name in items}
        rows = [row for row in read_rows(responses) if row.fields.get("item_id") in known]
        marked = marked_from(rows, known, [])
        found: dict[str, Any] = {"curve": curve(registry, items, marked)}
        texts = [(row.item_id, row.text) for row in marked]
        found["at_the_threshold"] = under_load(home, Path(temporary) / "a.db", texts)
        full = Path(temporary) / "b.db"
        found["pool_full"] = under_load(home, full, texts, PARALLEL * 4, SCORELET_FALLBACK_QUEUE="0")
        found["no_time"] = under_load(home, Path(temporary) / "c.db", texts, SCORELET_FALLBACK_TIMEOUT="0")
        shutil.rmtree(home / TEACHERS_FOLDER)
        found["teachers_removed"] = under_load(home, Path(temporary) / "d.db", texts)
    print(json.dumps(found, indent=2))
    if report:
        report.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


def falling_back(home: Path) -> list[str]:
    """Every item that has a teacher, live in mode auto with it."""
    made = []
    for item_id, live in Registry.from_folder(home).live.items():
        try:
            fallback = fallback_on(home, live.bundle.item, "unsure")
        except BadBundle:
            continue
        version = live.bundle.version
        activate(home / item_id, version, by="a benchmark", reason="to measure", mode="auto", fallback=fallback)
        made.append(item_id)
    return made


def curve(registry: Registry, items: Sequence[str], marked: Sequence[MarkedResponse]) -> dict[str, Any]:
    """Mean QWK over the items where the least sure share of the responses is the teacher's; and at the threshold."""
    both = {name: seconds(registry.get(name), [row for row in marked if row.item_id == name]) for name in items}
    at = {}
    for share in SHARES:
        figures = []
        for own in both.values():
            ranked = sorted(own, key=lambda second: second.confidence)
            count = round(share * len(ranked))
            machine = [second.teacher for second in ranked[:count]] + [second.student for second in ranked[count:]]
            figures.append(quadratic_weighted_kappa([second.human for second in ranked], machine))
        at[f"{share:.1f}"] = round(float(np.mean(figures)), 4)
    rows = {}
    for name, own in both.items():
        human, final = [s.human for s in own], [s.teacher if s.sent else s.student for s in own]
        rows[name] = {
            "n": len(own),
            "sent": round(float(np.mean([s.sent for s in own])), 3),
            "student": round(quadratic_weighted_kappa(human, [s.student for s in own]), 4),
            "teacher": round(quadratic_weighted_kappa(human, [s.teacher for s in own]), 4),
            "together": round(quadratic_weighted_kappa(human, final), 4),
            "stand": round(float(np.mean([s.stands for s in own])), 3),
        }
    return {"share sent: mean QWK": at, "items": rows}


def seconds(live: LiveItem, rows: Sequence[MarkedResponse]) -> list[Second]:
    found = []
    for row, own in zip(rows, live.judge([row.text for row in rows]), strict=True):
        if own.score is None or live.second is None:
            continue
        score = live.second.score(row.text)
        sent = live.falls_back(own)
        stands = live.stands(live.judge_again(own, score) if sent else own)
        found.append(Second(row.value, own.score.value, score.value, own.score.confidence, sent, stands))
    return found


def under_load(
    home: Path, database: Path, texts: Sequence[tuple[str, str]], parallel: int = PARALLEL, **settings: str
) -> dict[str, Any]:
    """Every response by itself, so many at once."""
    with served(home, database, **settings) as (client, _), ThreadPoolExecutor(parallel) as pool:
        replies = list(pool.map(lambda own: ask(client, *own), texts))
    status = Counter(str(reply.status_code) for _, reply in replies)
    given = [(spent, reply.json()) for spent, reply in replies if reply.status_code == 200]
    became = Counter(f"{reply['scored_by']}: {reply['decision']}" for _, reply in given)
    by = {name: [spent for spent, reply in given if reply["scored_by"] == name] for name in ("student", "teacher")}
    latency = {name: quantiles(spent) for name, spent in by.items() if spent}
    return {"replies": dict(status), "became": dict(became), "ms": latency, "ms_all": quantiles([s for s, _ in given])}


def ask(client: httpx2.Client, item_id: str, response: str) -> tuple[float, httpx2.Response]:
    began = time.perf_counter()
    reply = client.post("/score", json={"item_id": item_id, "response": response})
    return time.perf_counter() - began, reply


if __name__ == "__main__":
    typer.run(main)
