"""Teachers of the example rows.  They need torch, and the rows themselves do not."""

from collections.abc import Sequence
from pathlib import Path

from app.scoring.item import Item
from tests.training.example_rows import ITEM, marked
from training.config import TrainingConfig
from training.data.responses import MarkedResponse
from training.data.splits import carve
from training.data.targets import Example, targets
from training.teacher.ensemble import FineTuned, fine_tuned


def examples(rows: Sequence[MarkedResponse], item: Item = ITEM, context: str = "") -> list[Example]:
    values = targets(item, [row.value for row in rows])
    return [Example(context, row.text, float(value)) for row, value in zip(rows, values, strict=True)]


def a_teacher(
    config: TrainingConfig, cache: Path, *, rows: int = 120, item: Item = ITEM, context: str = ""
) -> FineTuned:
    fit, validation = carve(item, marked(rows, item=item), 0.3, seed=0)
    of = [examples(part, item, context) for part in (fit, validation)]
    return fine_tuned(item, of[0], of[1], config.teacher, config.seed, cache, "test")
