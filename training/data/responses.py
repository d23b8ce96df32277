"""Marked and unlabelled responses from train.*, dev.* and unlabelled.*, in every format of app/scoring/row_files.py."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from app.scoring.errors import BadRows, BadText, RowError
from app.scoring.files.options import DEFAULT_OPTIONS, GROUP, ReadOptions, as_shown, is_missing, plain_name
from app.scoring.item import Item, is_name
from app.scoring.row_files import WITH_HEADER, Row, RowFile, read_file, require_columns, require_rows, safe_description

RATERS = ("score_1", "score_2")
OPTIONAL = ("id", "learner_id", *RATERS)


@dataclass(frozen=True, slots=True)
class MarkedResponse:
    """A response with its human score as a value: the index of a score or label, or a grade."""

    id: str
    item_id: str
    text: str
    value: int | float
    raters: tuple[float, float] | None  # two raters' values, where there are two
    learner_id: str | None
    groups: tuple[tuple[str, str], ...]  # (column less its prefix, value)
    missing: tuple[str, ...] = field(default=(), repr=False, compare=False)  # optional columns that hold nothing


@dataclass(frozen=True, slots=True)
class UnlabelledResponse:
    id: str
    item_id: str
    text: str
    learner_id: str | None


def read_marked(
    path: Path, items: Mapping[str, Item], errors: list[RowError], notes: list[str], reading: ReadOptions
) -> tuple[MarkedResponse, ...]:
    """Return marked responses in the file's order.  Faults are appended to errors, findings to notes."""
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
    """Raise BadRows for a file that scorelet wrote: its `score` and `label` are a machine's.

    It may be read once a person names the column with the human score.
    """
    if read.is_ours and reading.score_column in ("", "score", "label"):
        reason = (
            "scorelet wrote this file, so its score and label are a machine's; if input_score has the human scores, "
            "say `--score-column input_score`"
        )
        raise BadRows([RowError(read.path, 1, reason, "machine_scores")])


def marked_from(
    rows: Sequence[Row], items: Mapping[str, Item], errors: list[RowError], reading: ReadOptions = DEFAULT_OPTIONS
) -> tuple[MarkedResponse, ...]:
    """Return marked responses from rows already read."""
    fields = rows[0].fields if rows else {}
    asked = {item_id for row in rows if (item_id := _item_id(row)) is not None and item_id in items}
    wanted = {reading.human(fields, labelled=items[item_id].labels is not None): None for item_id in sorted(asked)}
    names = sorted(wanted, key=lambda name: name == "label")
    if not _have_columns(rows, ["item_id", "response", *names], errors):
        return ()
    marked: list[MarkedResponse] = []
    for row, item_id, own_id in _identified(rows, items, errors):
        item = items[item_id]
        try:
            marked.append(
                MarkedResponse(
                    id=own_id,
                    item_id=item_id,
                    text=row.response(item.format),
                    value=_given(row, reading.human(row.fields, labelled=item.labels is not None), item),
                    raters=_raters(row, item),
                    learner_id=learner_of(row),
                    groups=tuple(
                        (name.removeprefix(GROUP), as_shown(value).strip())
                        for name, value in row.fields.items()
                        if name.startswith(GROUP) and not is_missing(value, words=not reading.keep_na)
                    ),
                    missing=tuple(_missing(row, item, reading)),
                )
            )
        except BadText as error:
            errors.append(row.error_of(error))
    return tuple(marked)


def read_unlabelled(
    path: Path, items: Mapping[str, Item], errors: list[RowError], notes: list[str], reading: ReadOptions
) -> tuple[UnlabelledResponse, ...]:
    """Return unlabelled responses in the file's order.  Faults are appended to errors, findings to notes."""
    read = _read(path, errors, notes, reading)
    if read is None or not _have_columns(read.rows, ["item_id", "response"], errors):
        return ()
    unlabelled: list[UnlabelledResponse] = []
    for row, item_id, own_id in _identified(read.rows, items, errors):
        try:
            text = row.response(items[item_id].format)
            unlabelled.append(UnlabelledResponse(own_id, item_id, text, learner_of(row)))
        except BadText as error:
            errors.append(row.error_of(error))
    return tuple(unlabelled)


def _read(path: Path, errors: list[RowError], notes: list[str], reading: ReadOptions) -> RowFile | None:
    try:
        read = read_file(path, reading)
        if path.suffix.lower() in WITH_HEADER:  # without rows its names may be wrong; JSON is plainly empty
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
    """Return the rows whose item is known and whose id, if any, is new.  The others are appended to errors."""
    good: list[tuple[Row, str, str]] = []
    first: dict[str, tuple[int, str | None]] = {}  # the line and item of an id
    for row in rows:
        item_id, own_id = _item_id(row), row_id(row)
        if item_id is None or item_id not in items:
            if is_missing(row.fields.get("item_id"), words=False):
                errors.append(row.error("'item_id' is missing", code="missing", column="item_id"))
                continue
            named = _shown(row.fields.get("item_id") if item_id is None else item_id)
            reason = f"item_id {named} is not in the items file"
            errors.append(row.error(reason, code="unknown_item", item_id=named))
        elif own_id in first:
            errors.append(_twice(row, own_id, item_id, *first[own_id]))
        else:
            good.append((row, item_id, own_id))
        first.setdefault(own_id, (row.line, item_id))
    return good


def _twice(row: Row, own_id: str, item_id: str, line: int, other: str | None) -> RowError:
    reason = f"id {own_id!r} stands already on line {line}"
    if other != item_id:
        reason += ", for another item; if it is the learner's, name the column learner_id"
    return row.error(reason, code="id_twice", id=own_id, first_line=line, other_item=other != item_id)


def row_id(row: Row) -> str:
    """Return the id in the row, or else the place of the row."""
    value = row.fields.get("id")
    return row.place if is_missing(value) else as_shown(value)


def learner_of(row: Row) -> str | None:
    """Return the learner in the form in which the spellings of one id are equal, or None where the row names none."""
    value = row.fields.get("learner_id")
    return None if is_missing(value) else plain_name(value)


def _missing(row: Row, item: Item, reading: ReadOptions) -> list[str]:
    """Return the optional columns of the row that hold nothing."""
    return [
        name
        for name, value in row.fields.items()
        if (name in OPTIONAL and (_no_rating(row, name, item) if name in RATERS else is_missing(value)))
        or (name.startswith(GROUP) and is_missing(value, words=not reading.keep_na))
    ]


def _shown(item_id: object) -> str:
    """Return an id as an error may name it.  A text that may be a learner's words is not shown."""
    return repr(item_id) if isinstance(item_id, str) and is_name(item_id) else safe_description(item_id)


def _raters(row: Row, item: Item) -> tuple[float, float] | None:
    if any(_no_rating(row, name, item) for name in RATERS):
        return None
    return _given(row, "score_1", item), _given(row, "score_2", item)


def _no_rating(row: Row, name: str, item: Item) -> bool:
    """Return whether a rater gave nothing.  A word for a missing value, spelt as a label, is that label: None."""
    value = row.fields.get(name)
    is_label = isinstance(value, str) and item.labels is not None and value.strip() in item.labels
    return is_missing(value) and not is_label


def _given(row: Row, name: str, item: Item) -> int | float:
    """Return the value of a score or label."""
    if item.labels is None:
        return _number(row, name, item)
    label = row.fields.get(name)
    index = _label(as_shown(label), item.labels) if isinstance(label, str | int | float) else None
    if index is None:
        reason = f"{name!r} must be one of {list(item.labels)}, not {safe_description(label)}"
        raise BadText(reason, code="bad_label", column=name, labels=item.labels)
    return index


def _label(given: str, labels: Sequence[str]) -> int | None:
    """Return the index of a label.  Case and outer spaces do not matter unless two labels differ in nothing else."""
    if given in labels:
        return labels.index(given)
    plain = [plain_name(label) for label in labels]
    return plain.index(plain_name(given)) if plain.count(plain_name(given)) == 1 else None


def _number(row: Row, name: str, item: Item) -> int | float:
    """Return the value of points or a grade of the item's scale."""
    number = row.number(name)
    if number is None or not item.has_score(number):
        bottom, top = item.bottom_score, item.top_score
        reason = (
            f"{name!r} must be {item.number_kind} from {bottom} to {top}, not {safe_description(row.fields.get(name))}"
        )
        raise BadText(reason, code="bad_score", column=name, low=bottom, high=top)
    return number if item.is_continuous else item.value_of(number)
