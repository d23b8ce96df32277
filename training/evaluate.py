"""Agreement of active bundles with human scores, measured through app.scoring on a file of responses.  No torch."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.scoring.agreement import Agreement
from app.scoring.errors import BadRows, RowError
from app.scoring.item import Item
from app.scoring.judgement import Judgement
from app.scoring.registry import Registry
from app.scoring.rows import read_rows
from app.scoring.table import check_rows, judge_rows, write_table
from training.datasets.responses import MarkedResponse, marked_from
from training.measure import agreement_on


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One item: agreement on all that a model scored, and on what was accepted without a reviewer."""

    item: Item
    bundle_version: str
    responses: int
    not_scorable: int
    agreement: Agreement | None
    accepted: Agreement | None

    def as_dict(self) -> dict[str, Any]:
        return {
            "item_id": self.item.item_id,
            "bundle_version": self.bundle_version,
            "responses": self.responses,
            "not_scorable": self.not_scorable,
            "agreement": self.agreement and self.agreement.model_dump(),
            "accepted": self.accepted and self.accepted.model_dump(),
        }


def evaluate(models: Path, responses: Path, predictions: Path | None, items: Sequence[str] = ()) -> list[Evaluation]:
    """One evaluation an item in the file, or of those named; rows as scored go to `predictions`.  Raises BadRows."""
    registry = Registry.from_folder(models)
    rows = [row for row in read_rows(responses) if not items or row.fields.get("item_id") in items]
    check_rows(registry, rows)
    errors: list[RowError] = []
    marked = marked_from(rows, {name: live.bundle.item for name, live in registry.live.items()}, errors)
    if errors:
        raise BadRows(errors)
    judgements = judge_rows(registry, rows)
    if predictions:
        write_table(predictions, registry, rows, judgements)
    ids = dict.fromkeys(row.item_id for row in marked)
    return [_of_item(registry, item_id, list(zip(marked, judgements, strict=True))) for item_id in ids]


def write_json(path: Path, evaluations: Sequence[Evaluation]) -> None:
    path.write_text(json.dumps([e.as_dict() for e in evaluations], indent=2) + "\n", encoding="utf-8")


def _of_item(registry: Registry, item_id: str, pairs: Sequence[tuple[MarkedResponse, Judgement]]) -> Evaluation:
    bundle = registry.get(item_id).bundle
    own = [(row, judgement) for row, judgement in pairs if row.item_id == item_id]
    scored = [(row, j.score, j.decision) for row, j in own if j.score is not None]
    accepted = [(row, score) for row, score, decision in scored if decision == "auto"]
    return Evaluation(
        item=bundle.item,
        bundle_version=bundle.version,
        responses=len(own),
        not_scorable=len(own) - len(scored),
        agreement=agreement_on(bundle.item, [row for row, _, _ in scored], [score for _, score, _ in scored]),
        accepted=agreement_on(bundle.item, [row for row, _ in accepted], [score for _, score in accepted]),
    )
