"""Parts of an item's rows.  All choices are made on a validation part of train; dev and test are only reported on.

The folds are ours, and not scikit-learn's StratifiedGroupKFold: learners and equal texts are two kinds of groups, and
students that are trained again must have the folds that they had.
"""

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from app.scoring.item import Item
from app.scoring.text import is_blank
from training.config import TrainingConfig
from training.data import ItemData
from training.data.responses import MarkedResponse

Rows = tuple[MarkedResponse, ...]
GRADE_STRATA = 4  # bands of equal width; validation rows are drawn alike from each


@dataclass(frozen=True, slots=True)
class Parts:
    """An item's rows by their use.  Blank responses are in no part: a rule answers them, and no model does."""

    item: Item
    fit: tuple[MarkedResponse, ...]
    validation: tuple[MarkedResponse, ...]
    dev: tuple[MarkedResponse, ...]
    unlabelled: tuple[str, ...]

    @property
    def marked(self) -> tuple[MarkedResponse, ...]:
        """Return the marked rows that are not blank: those to fit, then those to validate on."""
        return (*self.fit, *self.validation)


def split(data: ItemData, config: TrainingConfig) -> Parts:
    """Return the parts of one item's rows."""
    return split_together([data], config)[0]


def split_together(members: Sequence[ItemData], config: TrainingConfig) -> tuple[Parts, ...]:
    """Return the parts of items that learn together, in order."""
    items = [data.item for data in members]
    marked = [_not_blank(data.train) for data in members]
    carved = _carve(items, marked, config.validation_share, config.seed)
    return tuple(_parts(data, fit, validation, config) for data, (fit, validation) in zip(members, carved, strict=True))


def _not_blank(rows: Rows) -> Rows:
    return tuple(row for row in rows if not is_blank(row.text))


def _parts(data: ItemData, fit: Rows, validation: Rows, config: TrainingConfig) -> Parts:
    """Return the parts; unlabelled text that equals a validation text is left out, so that no student reads it."""
    held_out = {folded(row.text) for row in validation}
    unlabelled: list[str] = []
    if config.text.unlabelled:
        texts = [row.text for row in data.unlabelled]
        unlabelled = [text for text in texts if not is_blank(text) and folded(text) not in held_out]
    return Parts(data.item, fit, validation, _not_blank(data.dev), tuple(unlabelled))


def carve(item: Item, rows: Sequence[MarkedResponse], share: float, seed: int) -> tuple[Rows, Rows]:
    """Return (fit, validation), each in the rows' order.

    A learner's responses stay together where learners are known, and equal texts always do.  Validation therefore holds
    nothing that is fitted: a text that several learners wrote is fitted if the text of one of them is.  The share is
    drawn from each score alike.  Of a few rows either part may be empty.
    """
    return _carve([item], [rows], share, seed)[0]


def _carve(
    items: Sequence[Item], rows: Sequence[Sequence[MarkedResponse]], share: float, seed: int
) -> list[tuple[Rows, Rows]]:
    """Return (fit, validation) of each item; a learner's responses to all of them stay together."""
    places = [(number, row) for number, item_rows in enumerate(rows) for row in item_rows]
    drawn = _drawn(items, places, share, seed)
    fitted = {(number, folded(row.text)) for place, (number, row) in enumerate(places) if place not in drawn}
    # Equal texts of learners on both sides are fitted.
    validation = [(number, folded(row.text)) not in fitted for number, row in places]
    carved: list[tuple[list[MarkedResponse], list[MarkedResponse]]] = [([], []) for _ in items]
    for (number, row), is_validation in zip(places, validation, strict=True):
        carved[number][is_validation].append(row)
    return [(tuple(fit), tuple(validated)) for fit, validated in carved]


def _drawn(items: Sequence[Item], places: Sequence[tuple[int, MarkedResponse]], share: float, seed: int) -> set[int]:
    """Return the places that are drawn for validation, about the same share of every stratum of every item."""
    drawn: set[int] = set()
    generators = [random.Random(seed) for _ in items]
    small: list[list[int]] = []  # row groups of strata too small to give a group of their own
    strata = _strata(items, places)
    for number, stratum in sorted(strata):
        candidates = strata[number, stratum]
        generators[number].shuffle(candidates)
        wanted = round(share * len(candidates))
        for row_group in candidates[:wanted]:
            drawn.update(row_group)
        if wanted == 0:
            small += candidates
    random.Random(seed).shuffle(small)
    wanted = int(share * len(small))
    for row_group in small[:wanted]:
        drawn.update(row_group)
    return drawn


def _strata(
    items: Sequence[Item], places: Sequence[tuple[int, MarkedResponse]]
) -> dict[tuple[int, int], list[list[int]]]:
    """Return the row groups by item number and by the score, or band of grades, of their first row."""
    strata: dict[tuple[int, int], list[list[int]]] = defaultdict(list)
    # A text that many learners write would tie all of them together, and none of them would be drawn.
    for row_group in _row_groups([row for _, row in places], texts_join_learners=False):
        number, first = places[row_group[0]]
        strata[number, _stratum(items[number], first.value)].append(row_group)
    return strata


def folds(rows: Sequence[MarkedResponse], count: int, seed: int) -> list[set[int]]:
    """Return row numbers in `count` folds of about equal size.

    A learner's responses and equal texts stay together, as in `carve`.
    """
    row_groups = _row_groups(rows)
    random.Random(seed).shuffle(row_groups)
    fold_rows: list[set[int]] = [set() for _ in range(count)]
    for row_group in sorted(row_groups, key=len, reverse=True):
        min(fold_rows, key=len).update(row_group)
    return fold_rows


def _stratum(item: Item, value: float) -> int:
    if not item.is_continuous:
        return int(value)
    return min(GRADE_STRATA - 1, int(GRADE_STRATA * item.share(value)))


def folded(text: str) -> str:
    """Return a text without case and extra spacing.  Responses with the same folded text count as equal."""
    return " ".join(text.casefold().split())


def _row_groups(rows: Sequence[MarkedResponse], *, texts_join_learners: bool = True) -> list[list[int]]:
    """Return groups of row numbers that must stay together: union-find over learners and texts."""
    parent = list(range(len(rows)))

    def root(number: int) -> int:
        while parent[number] != number:
            parent[number] = parent[parent[number]]
            number = parent[number]
        return number

    first: dict[tuple[str, ...], int] = {}
    for number, row in enumerate(rows):
        keys: list[tuple[str, ...]] = [] if row.learner_id is None else [("learner", row.learner_id)]
        if texts_join_learners or not keys:
            keys.append(("text", row.item_id, folded(row.text)))
        for key in keys:
            parent[root(number)] = root(first.setdefault(key, number))
    row_groups: dict[int, list[int]] = defaultdict(list)
    for number in range(len(rows)):
        row_groups[root(number)].append(number)
    return list(row_groups.values())
