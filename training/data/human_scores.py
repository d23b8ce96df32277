"""Human scores in rows of marked responses: scores, labels and grades as values of the item's scale."""

from collections.abc import Sequence

from app.scoring.errors import BadText
from app.scoring.files.options import as_shown, is_missing, plain_name
from app.scoring.item import Item
from app.scoring.row_files import Row, safe_description

RATERS = ("score_1", "score_2")


def human_raters(row: Row, item: Item) -> tuple[float, float] | None:
    """Return the values of two raters; None if either gave no score.  Raises BadText."""
    if any(no_rating(row, name, item) for name in RATERS):
        return None
    return human_value(row, "score_1", item), human_value(row, "score_2", item)


def no_rating(row: Row, name: str, item: Item) -> bool:
    """Return whether a rater gave no score.  A word for a missing value, such as None, may be a label of the item."""
    value = row.fields.get(name)
    is_label = isinstance(value, str) and item.labels is not None and value.strip() in item.labels
    return is_missing(value) and not is_label


def human_value(row: Row, name: str, item: Item) -> int | float:
    """Return the value of a score or label.  Raises BadText."""
    if item.labels is None:
        return _number(row, name, item)
    label = row.fields.get(name)
    index = _label(as_shown(label), item.labels) if isinstance(label, str | int | float) else None
    if index is None:
        reason = f"{name!r} is {safe_description(label)}: write one of {list(item.labels)}"
        raise BadText(reason, code="bad_label", column=name, labels=item.labels)
    return index


def _label(written: str, labels: Sequence[str]) -> int | None:
    """Return the index of a label; None if there is no such label.

    Case and outer spaces do not matter unless two labels differ in nothing else.
    """
    if written in labels:
        return labels.index(written)
    plain, name = [plain_name(label) for label in labels], plain_name(written)
    return plain.index(name) if plain.count(name) == 1 else None


def _number(row: Row, name: str, item: Item) -> int | float:
    """Return the value of points or a grade.  Raises BadText for a number that the item's scale does not have."""
    number = row.number(name)
    if number is None or not item.has_score(number):
        bottom, top = item.bottom_score, item.top_score
        written = safe_description(row.fields.get(name))
        reason = f"{name!r} is {written}: write {item.number_kind} from {bottom} to {top}"
        raise BadText(reason, code="bad_score", column=name, low=bottom, high=top)
    return number if item.is_continuous else item.value_of(number)
