"""Evaluation of live bundles on a file of marked responses, through the code that serves, without torch."""

from collections.abc import Sequence
from pathlib import Path

from app.scoring.decision import Judgement
from app.scoring.errors import BadRows, BadText, RowError
from app.scoring.files.options import DEFAULT_OPTIONS, ReadOptions
from app.scoring.live_version import item_ids
from app.scoring.registry import Registry
from app.scoring.row_files import Row, read_file, require_rows
from app.scoring.score_file import check_rows, judge_rows, write_table
from training.common.progress import note
from training.config import Phrases
from training.data.responses import MarkedResponse, marked_from, refuse_machine_scores
from training.errors import UnknownItems
from training.evaluation.attacks import attacks, good_responses
from training.evaluation.evidence import attacked, evidence_of, scored_pairs
from training.evaluation.figures import report_item
from training.evaluation.item_report import ItemReport

ATTACKS_OF_A_KIND, ATTACK_SEED = 50, 0
Judged = tuple[MarkedResponse, Judgement]


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
    """Return a report on each item of a file of responses, or on the named items alone.

    `predictions`: the table to write, with every row as scored and its cells unescaped if `raw`; `texts`: whether the
    worst disagreements show the responses.  Raises UnknownItems if there are no bundles or a named item has no
    response, and BadRows for rows that cannot be read.
    """
    if not item_ids(models):
        raise UnknownItems(f"no bundles in {models}; train an item first, or name another folder", code="no_bundles")
    registry = Registry.from_folder(models)
    rows = _read_rows(responses, items, reading)
    _note_unknown_items(registry, rows)
    check_rows(registry, rows)
    errors: list[RowError] = []
    known_items = {name: live.bundle.item for name, live in registry.live.items()}
    marked = marked_from(rows, known_items, errors, reading)
    if errors:
        raise BadRows(errors)
    judgements = judge_rows(registry, rows)
    if predictions:
        write_table(predictions, registry, rows, judgements, raw=raw)
    return _reports(registry, list(zip(marked, judgements, strict=True)), texts)


def _read_rows(responses: Path, items: Sequence[str], reading: ReadOptions) -> list[Row]:
    """Return the rows of the named items, or all rows, and write notes on the file to stderr."""
    read = read_file(responses, reading)
    refuse_machine_scores(read, reading)
    require_rows(read)
    ids = [_item_id(row) for row in read.rows]
    if missing := sorted(set(items) - set(ids)):
        raise UnknownItems(
            f"{responses} has no response to {', '.join(missing)}; its column item_id names the item of each response",
            code="no_response",
            items=missing,
        )
    note(read.notes)
    return [row for row, item_id in zip(read.rows, ids, strict=True) if not items or item_id in items]


def _note_unknown_items(registry: Registry, rows: Sequence[Row]) -> None:
    """Say how to leave out rows of items that have no bundle."""
    ids = {_item_id(row) for row in rows} - {""}
    known = registry.live.keys() | registry.refused.keys()
    if ids & known and ids - known:
        note(["some responses belong to items without a student: --item evaluates the named items alone"])


def _item_id(row: Row) -> str:
    """Return the id of the row's item, or an empty string if the row names none."""
    try:
        return row.item_id()
    except BadText:
        return ""


def _reports(registry: Registry, judged: Sequence[Judged], texts: bool) -> list[ItemReport]:
    """Return a report on each item, in the order of the file."""
    by_item: dict[str, list[Judged]] = {row.item_id: [] for row, _ in judged}
    for row, judgement in judged:
        by_item[row.item_id].append((row, judgement))
    good = {item_id: _good_responses(registry, item_id, of_item) for item_id, of_item in by_item.items()}
    return [_report(registry, item_id, of_item, good, texts) for item_id, of_item in by_item.items()]


def _good_responses(registry: Registry, item_id: str, judged: Sequence[Judged]) -> list[str]:
    return good_responses(registry.get(item_id).bundle.item, [row for row, _ in judged])


def _report(
    registry: Registry, item_id: str, judged: Sequence[Judged], good: dict[str, list[str]], texts: bool
) -> ItemReport:
    live = registry.get(item_id)
    rows, judgements = [row for row, _ in judged], [judgement for _, judgement in judged]
    pairs = scored_pairs(live, rows, judgements)
    other_texts = [text for name, responses in good.items() if name != item_id for text in responses]
    phrases = Phrases.kept_in(live.bundle.provenance.config)
    tried = attacks(live.bundle.item, good[item_id], other_texts, phrases, ATTACKS_OF_A_KIND, ATTACK_SEED)
    evidence = evidence_of(live.bundle.item, pairs).model_copy(update={"attacks": attacked(live, tried)})
    return report_item(live, rows, judgements, pairs, evidence, texts)
