"""Figures of a few responses to the tiny student (tests/tiny.py): so many points as words, up to three.

It is .9094 sure of 1 and 2 and .9526 of 3.
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
from training.evaluation.evidence import evidence_of, pairs_of
from training.evaluation.figures import ItemReport, figures_of

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
    """`policy`: with a teacher behind, whose threshold is `teacher`."""
    folder = write_tiny_bundle(models, policy=release, **differs)
    if policy:
        write_tiny_teacher(models, [item_of(folder)], threshold=teacher)
        fall_back(models, policy=policy)
    return load_item(models, "heat-1")


def figures_on(live: LiveItem, rows: Sequence[MarkedResponse], *, texts: bool = False) -> ItemReport:
    """As `evaluate` measures them, but for the attacks, of which none would stand."""
    judged = live.judge_fully([row.text for row in rows])
    found = pairs_of(live, rows, judged)
    evidence = evidence_of(live.bundle.item, found).model_copy(update={"attacks": JUNK})
    return figures_of(live, rows, judged, found, evidence, texts)
