"""Measure fall-back on teachers: agreement by the share of responses sent, latency, and the outcome of failures.

    python -m benchmarks.fall_back --models MODELS --responses FILE

MODELS has bundles with exported teachers (`scorelet-train run --export-teacher`), and FILE has marked responses.  The
service runs on a copy of MODELS in which every item is in mode auto and falls back on its teacher.
"""

import json
import shutil
import statistics
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
from app.scoring.live_version import activate
from app.scoring.registry import Registry, fallback_on
from app.scoring.row_files import read_rows
from app.scoring.teacher import TEACHERS_FOLDER
from benchmarks.service import quantiles, running_service
from training.data.responses import MarkedResponse, marked_from

SHARES = np.linspace(0, 1, 11)  # of responses that the teacher scores, the least confident first
PARALLEL = 8  # requests


@dataclass(frozen=True, slots=True)
class ScoredTwice:
    """A response with the human score, the student's and the teacher's, and the student's confidence."""

    human: float
    student: float
    teacher: float
    confidence: float
    sent: bool  # to the teacher, by the item's threshold
    stands: bool  # the final score, without a person


def main(
    models: Annotated[Path, typer.Option(help="Folder of bundles and teachers.")],
    responses: Annotated[Path, typer.Option(help="Marked responses.")],
    report: Annotated[Path | None, typer.Option("--json", help="Write the figures here too.")] = None,
) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        home = folder / "models"
        shutil.copytree(models, home)
        items = fall_back_everywhere(home)
        registry = Registry.from_folder(home)
        known = {name: registry.live[name].bundle.item for name in items}
        rows = [row for row in read_rows(responses) if row.fields.get("item_id") in known]
        marked = marked_from(rows, known, [])
        figures: dict[str, Any] = {"curve": measure_agreement(registry, items, marked)}
        texts = [(row.item_id, row.text) for row in marked]
        figures["at_the_threshold"] = measure_load(home, folder / "a.db", texts)
        no_queue = {"SCORELET_FALLBACK_QUEUE": "0"}
        figures["pool_full"] = measure_load(home, folder / "b.db", texts, PARALLEL * 4, **no_queue)
        figures["no_time"] = measure_load(home, folder / "c.db", texts, SCORELET_FALLBACK_TIMEOUT="0")
        shutil.rmtree(home / TEACHERS_FOLDER)
        figures["teachers_removed"] = measure_load(home, folder / "d.db", texts)
    content = json.dumps(figures, indent=2)
    print(content)
    if report:
        report.write_text(content + "\n", encoding="utf-8")


def fall_back_everywhere(home: Path) -> list[str]:
    """Put every item that has a teacher into mode auto with fall-back; return these items."""
    item_ids = []
    for item_id, live in Registry.from_folder(home).live.items():
        try:
            fallback = fallback_on(home, live.bundle.item, "unsure")
        except BadBundle:
            continue
        version = live.bundle.version
        activate(home / item_id, version, by="a benchmark", reason="to measure", mode="auto", fallback=fallback)
        item_ids.append(item_id)
    return item_ids


def measure_agreement(registry: Registry, items: Sequence[str], marked: Sequence[MarkedResponse]) -> dict[str, Any]:
    """Return mean QWK by the share of responses that the teacher scores, and figures of each item at its threshold."""
    scored = {}
    for name in items:
        rows = [row for row in marked if row.item_id == name]
        scored[name] = score_twice(registry.get(name), rows)
    curve = {}
    for share in SHARES:
        mean = np.mean([qwk_at(share, responses) for responses in scored.values()])
        curve[f"{share:.1f}"] = round(float(mean), 4)
    at_threshold = {name: item_figures(responses) for name, responses in scored.items()}
    return {"share sent: mean QWK": curve, "items": at_threshold}


def score_twice(live: LiveItem, rows: Sequence[MarkedResponse]) -> list[ScoredTwice]:
    """Score rows by the student and by the teacher; leave out rows that the student may not score."""
    scored = []
    judgements = live.judge([row.text for row in rows])
    for row, judgement in zip(rows, judgements, strict=True):
        if judgement.score is None or live.second is None:
            continue
        score = live.second.score(row.text)
        sent = live.falls_back(judgement)
        final = live.judge_again(judgement, score) if sent else judgement
        scored.append(
            ScoredTwice(
                row.value, judgement.score.value, score.value, judgement.score.confidence, sent, live.stands(final)
            )
        )
    return scored


def qwk_at(share: float, responses: Sequence[ScoredTwice]) -> float:
    """Return the QWK if the teacher scores the least confident share of the responses."""
    ranked = sorted(responses, key=lambda response: response.confidence)
    count = round(share * len(ranked))
    by_teacher = [response.teacher for response in ranked[:count]]
    by_student = [response.student for response in ranked[count:]]
    return quadratic_weighted_kappa([response.human for response in ranked], by_teacher + by_student)


def item_figures(responses: Sequence[ScoredTwice]) -> dict[str, float]:
    human = [response.human for response in responses]
    student, teacher = [response.student for response in responses], [response.teacher for response in responses]
    together = [response.teacher if response.sent else response.student for response in responses]
    return {
        "n": len(responses),
        "sent": round(statistics.fmean(response.sent for response in responses), 3),
        "student": round(quadratic_weighted_kappa(human, student), 4),
        "teacher": round(quadratic_weighted_kappa(human, teacher), 4),
        "together": round(quadratic_weighted_kappa(human, together), 4),
        "stand": round(statistics.fmean(response.stands for response in responses), 3),
    }


def measure_load(
    home: Path, database: Path, texts: Sequence[tuple[str, str]], parallel: int = PARALLEL, **settings: str
) -> dict[str, Any]:
    """Send every response by itself, `parallel` at once; return replies, outcomes and latencies."""
    with running_service(home, database, **settings) as (client, _), ThreadPoolExecutor(parallel) as pool:
        replies = list(pool.map(lambda text: send(client, *text), texts))
    statuses = Counter(str(reply.status_code) for _, reply in replies)
    predictions = [(seconds, reply.json()) for seconds, reply in replies if reply.status_code == 200]
    outcomes = Counter(f"{prediction['scored_by']}: {prediction['decision']}" for _, prediction in predictions)
    by_scorer: dict[str, list[float]] = {"student": [], "teacher": []}
    for seconds, prediction in predictions:
        by_scorer.setdefault(prediction["scored_by"], []).append(seconds)
    return {
        "replies": dict(statuses),
        "became": dict(outcomes),
        "ms": {name: quantiles(by_scorer[name]) for name in ("student", "teacher") if by_scorer[name]},
        "ms_all": quantiles([seconds for seconds, _ in predictions]),
    }


def send(client: httpx2.Client, item_id: str, response: str) -> tuple[float, httpx2.Response]:
    began = time.perf_counter()
    reply = client.post("/score", json={"item_id": item_id, "response": response})
    return time.perf_counter() - began, reply


if __name__ == "__main__":
    typer.run(main)
