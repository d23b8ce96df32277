"""Live bundles measured on a file of marked responses, through the code that serves.  No torch."""

from collections.abc import Sequence
from pathlib import Path

from app.scoring.active import item_ids
from app.scoring.errors import BadRows, RowError
from app.scoring.judgement import Judgement
from app.scoring.registry import Registry
from app.scoring.rows import read_rows
from app.scoring.table import check_rows, judge_rows, write_table
from training.attacks import attacks, good_responses
from training.config import Phrases
from training.datasets.responses import MarkedResponse, marked_from
from training.errors import UnknownItems
from training.evaluation.figures import ItemFigures, figures_of
from training.evidence import attacked, evidence_of, pairs_of

TRIED, SEED = 50, 0  # attacks of a kind


def evaluate(
    models: Path, responses: Path, predictions: Path | None, items: Sequence[str] = (), *, texts: bool = False
) -> list[ItemFigures]:
    """One an item in the file, or of those named; rows as scored go to `predictions`.  Raises BadRows.

    `texts`: whether the worst disagreements show what learners wrote.
    """
    if not item_ids(models):
        raise UnknownItems(f"no items in {models}, the folder of bundles")
    registry = Registry.from_folder(models)
    read = read_rows(responses)
    if not read:
        raise UnknownItems(f"{responses} has no responses")
    named = {own for row in read if isinstance(own := row.fields.get("item_id"), str)}
    if missing := sorted(set(items) - named):
        raise UnknownItems(f"{responses} has no response to {', '.join(missing)}")
    rows = [row for row in read if not items or row.fields.get("item_id") in items]
    check_rows(registry, rows)
    errors: list[RowError] = []
    marked = marked_from(rows, {name: live.bundle.item for name, live in registry.live.items()}, errors)
    if errors:
        raise BadRows(errors)
    judgements = judge_rows(registry, rows)
    if predictions:
        write_table(predictions, registry, rows, judgements)
    by_item: dict[str, list[tuple[MarkedResponse, Judgement]]] = {row.item_id: [] for row in marked}
    for row, judgement in zip(marked, judgements, strict=True):
        by_item[row.item_id].append((row, judgement))
    good = {
        item_id: good_responses(registry.get(item_id).bundle.item, [row for row, _ in own])
        for item_id, own in by_item.items()
    }
    return [_of_item(registry, item_id, own, good, texts) for item_id, own in by_item.items()]


def _of_item(
    registry: Registry,
    item_id: str,
    own: Sequence[tuple[MarkedResponse, Judgement]],
    good: dict[str, list[str]],
    texts: bool,
) -> ItemFigures:
    live = registry.get(item_id)
    rows, judged = [row for row, _ in own], [judgement for _, judgement in own]
    found = pairs_of(live, rows, judged)
    others = [text for name, written in good.items() if name != item_id for text in written]
    phrases = Phrases.kept_in(live.bundle.provenance.config)
    tried = attacks(live.bundle.item, good[item_id], others, phrases, TRIED, SEED)
    evidence = evidence_of(live.bundle.item, found).model_copy(update={"attacks": attacked(live, tried)})
    return figures_of(live, rows, judged, found, evidence, texts)
