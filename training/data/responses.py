"""Marked and unlabelled responses, from train.*, dev.* and unlabelled.* in every format of app/scoring/row_files.py."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from app.scoring.errors import BadRows, BadText, RowError
from app.scoring.files.options import DEFAULT_OPTIONS, GROUP, ReadOptions, as_shown, is_missing, plain_name
from app.scoring.item import Item, is_name
from app.scoring.row_files import WITH_HEADER, Row, RowFile, read_file, require_columns, require_rows, safe_description
from training.data.human_scores import RATERS, human_raters, human_value, no_rating

OPTIONAL = ("id", "learner_id", *RATERS)


@dataclass(frozen=True, slots=True)
class MarkedResponse:
    """A response with its human score as a value: the index of a score or label, or a grade."""

    id: str
    item_id: str
    text: str
    value: int | float
    raters: tuple[float, float] | None  # the two raters' values, if both scored
    learner_id: str | None
    groups: tuple[tuple[str, str], ...]  # (column less its prefix, value)
    missing: tuple[str, ...] = field(default=(), repr=False, compare=False)  # empty optional columns


@dataclass(frozen=True, slots=True)
class UnlabelledResponse:
    """A response without a human score."""

    id: str
    item_id: str
    text: str
    learner_id: str | None


def read_marked(
    path: Path, items: Mapping[str, Item], errors: list[RowError], notes: list[str], reading: ReadOptions
) -> tuple[MarkedResponse, ...]:
    """Return the marked responses in the order of the file.

    Bad rows are appended to `errors`, notes on the file to `notes`.
    """
    read = _read(path, errors, notes, reading)
    if read is None:
        return ()
    try:
        refuse_machine_scores(read, reading)
    except BadRows as error:
        errors += error.errors
        return ()
    return marked_from(read.rows, items, errors, reading)


def refuse_machine_scores(read: RowFile, reading: ReadOptions) -> None:
    """Raise BadRows for a file that scorelet wrote, whose `score` and `label` are a machine's.

    The file may be read if the user names the column with the human score.
    """
    if read.is_ours and reading.score_column in ("", "score", "label"):
        reason = (
            "scorelet wrote this file, so its score and label are a machine's; if input_score holds the human scores, "
            "add `--score-column input_score`"
        )
        raise BadRows([RowError(read.path, 1, reason, "machine_scores")])


def marked_from(
    rows: Sequence[Row], items: Mapping[str, Item], errors: list[RowError], reading: ReadOptions = DEFAULT_OPTIONS
) -> tuple[MarkedResponse, ...]:
    """Return the marked responses of rows already read.  Bad rows are appended to `errors`."""
    if not _have_columns(rows, ["item_id", "response", *_score_columns(rows, items, reading)], errors):
        return ()
    marked: list[MarkedResponse] = []
    for row, item_id, response_id in _identified(rows, items, errors):
        try:
            marked.append(_marked(row, items[item_id], response_id, reading))
        except BadText as error:
            errors.append(row.error_of(error))
    return tuple(marked)


def _score_columns(rows: Sequence[Row], items: Mapping[str, Item], reading: ReadOptions) -> list[str]:
    """Return the columns of human scores that the items in the file need, `label` last."""
    fields = rows[0].fields if rows else {}
    item_ids = {item_id for row in rows if (item_id := _item_id(row)) is not None and item_id in items}
    labelled = [items[item_id].labels is not None for item_id in sorted(item_ids)]
    columns = dict.fromkeys(reading.human(fields, labelled=is_labelled) for is_labelled in labelled)
    return sorted(columns, key=lambda name: name == "label")


def _marked(row: Row, item: Item, response_id: str, reading: ReadOptions) -> MarkedResponse:
    """Return the row as a marked response.  Raises BadText."""
    column = reading.human(row.fields, labelled=item.labels is not None)
    return MarkedResponse(
        id=response_id,
        item_id=item.item_id,
        text=row.response(item.format),
        value=human_value(row, column, item),
        raters=human_raters(row, item),
        learner_id=learner_of(row),
        groups=tuple(_groups(row, reading)),
        missing=tuple(_missing(row, item, reading)),
    )


def _groups(row: Row, reading: ReadOptions) -> Iterator[tuple[str, str]]:
    """Yield column, less its prefix, and value of each group that the row names."""
    for name, value in row.fields.items():
        if name.startswith(GROUP) and not is_missing(value, words=not reading.keep_na):
            yield name.removeprefix(GROUP), as_shown(value).strip()


def read_unlabelled(
    path: Path, items: Mapping[str, Item], errors: list[RowError], notes: list[str], reading: ReadOptions
) -> tuple[UnlabelledResponse, ...]:
    """Return the unlabelled responses in the order of the file.

    Bad rows are appended to `errors`, notes on the file to `notes`.
    """
    read = _read(path, errors, notes, reading)
    if read is None or not _have_columns(read.rows, ["item_id", "response"], errors):
        return ()
    unlabelled: list[UnlabelledResponse] = []
    for row, item_id, response_id in _identified(read.rows, items, errors):
        try:
            text = row.response(items[item_id].format)
            unlabelled.append(UnlabelledResponse(response_id, item_id, text, learner_of(row)))
        except BadText as error:
            errors.append(row.error_of(error))
    return tuple(unlabelled)


def _read(path: Path, errors: list[RowError], notes: list[str], reading: ReadOptions) -> RowFile | None:
    try:
        read = read_file(path, reading)
        if path.suffix.lower() in WITH_HEADER:  # without rows a wrong header would pass unseen
            require_rows(read)
    except BadRows as error:
        errors += error.errors
        return None
    notes += read.notes
    return read


def _have_columns(rows: Sequence[Row], names: Sequence[str], errors: list[RowError]) -> bool:
    try:
        require_columns(rows, names)
    except BadRows as error:
        errors += error.errors
        return False
    return True


def _item_id(row: Row) -> str | None:
    try:
        return row.item_id()
    except BadText:
        return None


def _identified(rows: Sequence[Row], items: Mapping[str, Item], errors: list[RowError]) -> list[tuple[Row, str, str]]:
    """Return row, item id and response id of each row with a known item and a new id.

    All other rows are appended to `errors`.
    """
    identified: list[tuple[Row, str, str]] = []
    first: dict[str, tuple[int, str | None]] = {}  # line and item of the first row with an id
    for row in rows:
        item_id, response_id = _item_id(row), row_id(row)
        if item_id is None or item_id not in items:
            if is_missing(row.fields.get("item_id"), words=False):
                errors.append(row.error("'item_id' is missing", code="missing", column="item_id"))
                continue
            errors.append(_unknown_item(row, item_id))
        elif response_id in first:
            errors.append(_repeated_id(row, response_id, item_id, *first[response_id]))
        else:
            identified.append((row, item_id, response_id))
        first.setdefault(response_id, (row.line, item_id))
    return identified


def _unknown_item(row: Row, item_id: str | None) -> RowError:
    written = row.fields.get("item_id") if item_id is None else item_id
    shown = _shown(written)
    return row.error(f"the items file has no item {shown}", code="unknown_item", item_id=shown)


def _repeated_id(row: Row, response_id: str, item_id: str, line: int, first_item: str | None) -> RowError:
    reason = f"line {line} has the id {response_id!r} already"
    if first_item != item_id:
        reason += ", for another item; if the id is the learner's, name the column learner_id"
    return row.error(reason, code="id_twice", id=response_id, first_line=line, other_item=first_item != item_id)


def row_id(row: Row) -> str:
    """Return the id of the row, or its place in the file if it has none."""
    value = row.fields.get("id")
    return row.place if is_missing(value) else as_shown(value)


def learner_of(row: Row) -> str | None:
    """Return the learner's id, alike for all its spellings; None if the row names no learner."""
    value = row.fields.get("learner_id")
    return None if is_missing(value) else plain_name(value)


def _missing(row: Row, item: Item, reading: ReadOptions) -> list[str]:
    """Return the optional columns that are empty in the row."""
    return [name for name in row.fields if _is_empty(row, name, item, reading)]


def _is_empty(row: Row, name: str, item: Item, reading: ReadOptions) -> bool:
    """Return whether a column is optional and empty in the row."""
    value = row.fields[name]
    if name in RATERS:
        return no_rating(row, name, item)
    if name in OPTIONAL:
        return is_missing(value)
    return name.startswith(GROUP) and is_missing(value, words=not reading.keep_na)


def _shown(item_id: object) -> str:
    """Return an id for an error message, which never shows text that a learner may have written."""
    return repr(item_id) if isinstance(item_id, str) and is_name(item_id) else safe_description(item_id)
