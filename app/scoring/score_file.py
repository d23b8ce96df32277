"""Score files of responses for `scorelet score` and `scorelet-train evaluate`, and write tables of scores."""

import csv
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from app.scoring.decision import Judgement
from app.scoring.errors import BadRows, BadText, ItemNotReady, RowError, UnknownItem
from app.scoring.files.output import GUARDED, ORIGIN_MARK, RAW, CannotWrite, guarded
from app.scoring.item import Item
from app.scoring.registry import Registry
from app.scoring.row_files import FORMATS, Row, require_columns
from app.scoring.scale import whole_if_whole

COLUMNS = (
    "id",
    "item_id",
    "score",
    "label",
    "expected_score",
    "confidence",
    "decision",
    "condition",
    "bundle_version",
    "scored_by",
    "flags",
    "prediction_set",
    ORIGIN_MARK,
)
RESPONSES_PER_STEP = 256  # of the progress bar


def check_rows(registry: Registry, rows: Sequence[Row]) -> None:
    """Raise BadRows with every row whose item cannot be scored or whose response is not text."""
    require_columns(rows, ("item_id", "response"))
    errors: list[RowError] = []
    for row in rows:
        try:
            row.response(registry.get(row.item_id()).bundle.item.format)
        except (BadText, UnknownItem, ItemNotReady) as error:
            errors.append(row.error_of(error))
    if errors:
        raise BadRows(errors)


def judge_rows(
    registry: Registry, rows: Sequence[Row], advance: Callable[[int], object] = lambda _: None
) -> list[Judgement]:
    """Return the judgement of each row, in order.

    Args:
        registry: the live items.
        rows: rows that passed `check_rows`.
        advance: called with the number of rows that each step finished.
    """
    numbers: dict[str, list[int]] = defaultdict(list)
    for number, row in enumerate(rows):
        numbers[row.item_id()].append(number)
    judged: dict[int, Judgement] = {}
    for item_id, places in numbers.items():
        live = registry.get(item_id)
        for start in range(0, len(places), RESPONSES_PER_STEP):
            step = places[start : start + RESPONSES_PER_STEP]
            texts = [rows[number].response(live.bundle.item.format) for number in step]
            judged.update(zip(step, live.judge_fully(texts), strict=True))
            advance(len(step))
    return [judged[number] for number in range(len(rows))]


def check_name(path: Path | None) -> None:
    """Raise CannotWrite, before the work, if the name of the output ends in another format than .csv."""
    if path is not None and path.suffix.lower() in FORMATS and path.suffix.lower() != ".csv":
        raise CannotWrite(f"{path}: scores are written as CSV: choose a name in .csv", code="no_csv", path=path)


def write_table(
    path: Path, registry: Registry, rows: Sequence[Row], judgements: Iterable[Judgement], *, raw: bool = False
) -> None:
    """Write a CSV file with COLUMNS and the columns of the input.

    A column of the input whose name is in COLUMNS becomes `input_<name>`.  A guard keeps spreadsheets from running
    texts as formulas; readers of scorelet remove it.  With `raw`, texts get no guard.
    """
    renamed = _input_columns(rows)
    names = [*COLUMNS, *renamed.values()]
    mark = {ORIGIN_MARK: RAW if raw else GUARDED}
    # Columns that are only copied may hold characters that UTF-8 cannot encode.  They are escaped, not lost.
    with path.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(_cells(names, raw=raw))
        for row, judgement in zip(rows, judgements, strict=True):
            bundle = registry.get(row.item_id()).bundle
            cells = {"id": row.fields.get("id"), "item_id": bundle.item.item_id, "bundle_version": bundle.version}
            cells |= dict(_scored(bundle.item, judgement)) | mark
            cells |= {renamed[name]: value for name, value in row.fields.items() if name in renamed}
            writer.writerow(_cells([cells.get(name, "") for name in names], raw=raw))


def _input_columns(rows: Sequence[Row]) -> dict[str, str]:
    """Return the columns of the input, without ids, and their names in the output."""
    names = {name: None for row in rows for name in row.fields if name not in ("id", "item_id")}
    renamed: dict[str, str] = {}
    for name in names:
        free = name
        while free in COLUMNS or free in renamed.values() or (free != name and free in names):
            free = f"input_{free}"
        renamed[name] = free
    return renamed


def _cells(values: Sequence[object], *, raw: bool) -> list[object]:
    """Return the cells of a line, with guards on texts unless `raw`."""
    if raw:
        return list(values)
    return [guarded(value) if isinstance(value, str) else value for value in values]


def _scored(item: Item, judgement: Judgement) -> Iterator[tuple[str, Any]]:
    yield "decision", judgement.decision
    yield "condition", judgement.condition
    yield "scored_by", judgement.scored_by
    yield "flags", " ".join(judgement.flags)
    if (value := judgement.value) is not None:
        points = item.score(value)
        yield "score", None if points is None else whole_if_whole(points)
        yield "label", item.label(value)
    if score := judgement.score:
        yield "expected_score", score.expected
        yield "confidence", score.confidence
        if score.prediction_set is not None:
            names = item.named(score.prediction_set)
            yield "prediction_set", "|".join(map(str, names))
