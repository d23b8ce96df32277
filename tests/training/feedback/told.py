"""Raters' feedback that follows from the response, so that a model can learn it."""

import json
from pathlib import Path
from typing import Any

from app.scoring.item import Item
from training.data.responses import MarkedResponse
from training.feedback.data import MarkedFeedback

ITEM = Item(item_id="heat-1", prompt="Why?", scale="points", max_score=2, references=("Warm air is light.",))
OTHER = Item(item_id="cold-2", prompt="How?", scale="continuous", min_score=0, max_score=1)
SAID = ("Wrong: heat is not named here.", "Partly right: say why it rises.", "Correct and complete: well done.")


def told(number: int, item: Item = ITEM) -> MarkedFeedback:
    score = number % 3
    response = " ".join([*("warm", "air", "rises")[: score + 1], f"word{number}"])
    value = score / 2 if item.is_continuous else score
    feedback = SAID[score] if number % 4 == 0 else f"{SAID[score][:-1]}, learner {number}."
    marked = MarkedResponse(f"{item.item_id}-{number}", item.item_id, response, value, None, None, ())
    return MarkedFeedback(item, marked, feedback)


def write_data(folder: Path, rows: int = 90, dev: int = 12) -> Path:
    """Write items.jsonl, train.jsonl and dev.jsonl of both items."""
    folder.mkdir(exist_ok=True)
    items = [item.model_dump(exclude_none=True) for item in (ITEM, OTHER)]
    (folder / "items.jsonl").write_text("\n".join(map(json.dumps, items)))
    parts = {"train": range(rows), "dev": range(rows, rows + dev)}
    for name, numbers in parts.items():
        lines = [as_row(told(number, item)) for number in numbers for item in (ITEM, OTHER)]
        (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return folder


def as_row(row: MarkedFeedback) -> dict[str, Any]:
    return {
        "id": row.marked.id,
        "item_id": row.item.item_id,
        "response": row.marked.text,
        "score": row.marked.value,
        "feedback": row.feedback,
    }
