"""Reports on a few responses, scored by the tiny student (tests/tiny.py): a point a word, up to three.

Its confidence is .9094 in 1 and 2 and .9526 in 3.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from app.scoring.decision import LiveItem
from app.scoring.evidence import AttackFigures
from app.scoring.gate import Policy
from app.scoring.registry import load_item
from tests.tiny import LENIENT, write_tiny_bundle
from tests.tiny_teacher import fall_back, item_of, write_tiny_teacher
from training.data.responses import MarkedResponse
from training.evaluation.evidence import evidence_of, scored_pairs
from training.evaluation.figures import report_item
from training.evaluation.item_report import ItemReport

MIDDLE, TOP = 0.909438, 0.952569  # confidences
JUNK = {"characters": AttackFigures(n=50, accepted=0.0, unguarded=0.5, junk=True)}


def a_row(
    text: str, value: float, raters: tuple[float, float] | None = None, name: str | None = None, **groups: str
) -> MarkedResponse:
    return MarkedResponse(name or text, "heat-1", text, value, raters, None, tuple(groups.items()))


def a_live_item(
    models: Path,
    policy: Literal["unsure", "shadow"] | None = None,
    teacher: float | None = None,
    *,
    release: Policy = LENIENT,
    **differs: Any,
) -> LiveItem:
    """Return a live item; `policy`: it falls back on a teacher with the threshold `teacher`."""
    folder = write_tiny_bundle(models, policy=release, **differs)
    if policy:
        write_tiny_teacher(models, [item_of(folder)], threshold=teacher)
        fall_back(models, policy=policy)
    return load_item(models, "heat-1")


def figures_on(live: LiveItem, rows: Sequence[MarkedResponse], *, texts: bool = False) -> ItemReport:
    """Return the report of `evaluate`, with attacks of which none would stand."""
    judgements = live.judge_fully([row.text for row in rows])
    pairs = scored_pairs(live, rows, judgements)
    evidence = evidence_of(live.bundle.item, pairs).model_copy(update={"attacks": JUNK})
    return report_item(live, rows, judgements, pairs, evidence, texts)
