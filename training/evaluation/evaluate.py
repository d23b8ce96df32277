"""Live bundles measured on a file of marked responses, through the code that serves.  No torch."""

from collections.abc import Sequence
from pathlib import Path

from app.scoring.decision import Judgement
from app.scoring.errors import BadRows, BadText, RowError
from app.scoring.files.options import DEFAULT_OPTIONS, ReadOptions
from app.scoring.registry import Registry
from app.scoring.release import item_ids
from app.scoring.row_files import Row, read_file, require_rows
from app.scoring.score_file import check_rows, judge_rows, write_table
from training.common.progress import note
from training.config import Phrases
from training.data.responses import MarkedResponse, marked_from, refuse_machine_scores
from training.errors import UnknownItems
from training.evaluation.attacks import attacks, good_responses
from training.evaluation.evidence import attacked, evidence_of, pairs_of
from training.evaluation.figures import ItemReport, figures_of

TRIED, SEED = 50, 0  # attacks of a kind


def evaluate(
    models: Path,
    responses: Path,
    predictions: Path | None,
    items: Sequence[str] = (),
    *,
    texts: bool = False,
    raw: bool = False,
    reading: ReadOptions = DEFAULT_OPTIONS,
) -> list[ItemReport]:
    """One an item in the file, or of those named; rows as scored go to `predictions`.  Raises BadRows.

    `texts`: whether the worst disagreements show what learners wrote.
    """
    if not item_ids(models):
        raise UnknownItems(f"no items in {models}, the folder of bundles", code="no_bundles")
    registry = Registry.from_folder(models)
    rows = _rows_of(responses, items, reading)
    check_rows(registry, rows)
    errors: list[RowError] = []
    marked = marked_from(rows, {name: live.bundle.item for name, live in registry.live.items()}, errors, reading)
    if errors:
        raise BadRows(errors)
    judgements = judge_rows(registry, rows)
    if predictions:
        write_table(predictions, registry, rows, judgements, raw=raw)
    by_item: dict[str, list[tuple[MarkedResponse, Judgement]]] = {row.item_id: [] for row in marked}
    for row, judgement in zip(marked, judgements, strict=True):
        by_item[row.item_id].append((row, judgement))
    good = {
        item_id: good_responses(registry.get(item_id).bundle.item, [row for row, _ in own])
        for item_id, own in by_item.items()
    }
    return [_of_item(registry, item_id, own, good, texts) for item_id, own in by_item.items()]


def _rows_of(responses: Path, items: Sequence[str], reading: ReadOptions) -> list[Row]:
    """Return the rows of the items named, or of all.  Notes on the file go to stderr."""
    read = read_file(responses, reading)
    refuse_machine_scores(read, reading)
    require_rows(read)
    ids = [_item_id(row) for row in read.rows]
    if missing := sorted(set(items) - set(ids)):
        raise UnknownItems(f"{responses} has no response to {', '.join(missing)}", code="no_response", items=missing)
    note(read.notes)
    return [row for row, item_id in zip(read.rows, ids, strict=True) if not items or item_id in items]


def _item_id(row: Row) -> str:
    """Return the id of the row's item, or nothing where the row names none."""
    try:
        return row.item_id()
    except BadText:
        return ""


def _of_item(
    registry: Registry,
    item_id: str,
    own: Sequence[tuple[MarkedResponse, Judgement]],
    good: dict[str, list[str]],
    texts: bool,
) -> ItemReport:
    live = registry.get(item_id)
    rows, judged = [row for row, _ in own], [judgement for _, judgement in own]
    found = pairs_of(live, rows, judged)
    others = [text for name, written in good.items() if name != item_id for text in written]
    phrases = Phrases.kept_in(live.bundle.provenance.config)
    tried = attacks(live.bundle.item, good[item_id], others, phrases, TRIED, SEED)
    evidence = evidence_of(live.bundle.item, found).model_copy(update={"attacks": attacked(live, tried)})
    return figures_of(live, rows, judged, found, evidence, texts)
