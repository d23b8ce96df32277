"""A validation part carved from train, on which every choice is made.  dev and test are only reported on."""

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
STRATA = 4  # bands of equal width that grades are drawn from alike


@dataclass(frozen=True, slots=True)
class Parts:
    """An item's rows by what they are for.  Blank responses are in none: a rule answers them, no model does."""

    item: Item
    fit: tuple[MarkedResponse, ...]
    validation: tuple[MarkedResponse, ...]
    dev: tuple[MarkedResponse, ...]
    unlabelled: tuple[str, ...]

    @property
    def marked(self) -> tuple[MarkedResponse, ...]:
        return (*self.fit, *self.validation)


def split(data: ItemData, config: TrainingConfig) -> Parts:
    """The parts of one item's rows."""
    return split_together([data], config)[0]


def split_together(members: Sequence[ItemData], config: TrainingConfig) -> tuple[Parts, ...]:
    """The parts of items that learn together, in order."""
    marked = [[row for row in data.train if not is_blank(row.text)] for data in members]
    carved = _carve([data.item for data in members], marked, config.validation_share, config.seed)
    return tuple(_parts(data, fit, validation, config) for data, (fit, validation) in zip(members, carved, strict=True))


def _parts(data: ItemData, fit: Rows, validation: Rows, config: TrainingConfig) -> Parts:
    """Text that stands in validation too is not labelled: what is chosen there is for what no student has read."""
    held = {folded(row.text) for row in validation}
    unlabelled = [row.text for row in data.unlabelled if not is_blank(row.text)] if config.text.unlabelled else []
    return Parts(
        item=data.item,
        fit=fit,
        validation=validation,
        dev=tuple(row for row in data.dev if not is_blank(row.text)),
        unlabelled=tuple(text for text in unlabelled if folded(text) not in held),
    )


def carve(item: Item, rows: Sequence[MarkedResponse], share: float, seed: int) -> tuple[Rows, Rows]:
    """(fit, validation), each in the rows' order.

    A learner's responses stay together where learners are known, and equal texts always do, so that validation holds
    nothing that was fitted: a text that several learners wrote goes where one of them is fitted.  Each score is drawn
    from alike.  Of a few rows either part may be empty.
    """
    return _carve([item], [rows], share, seed)[0]


def _carve(
    items: Sequence[Item], rows: Sequence[Sequence[MarkedResponse]], share: float, seed: int
) -> list[tuple[Rows, Rows]]:
    """The same item by item; a learner's responses to all of them stay together."""
    every = [(number, row) for number, own in enumerate(rows) for row in own]
    strata: dict[tuple[int, int], list[list[int]]] = defaultdict(list)
    # A text that many learners write would tie all of them together, and none of them be drawn.
    for group in _groups([row for _, row in every], texts_join_learners=False):
        number, first = every[group[0]]
        strata[number, _stratum(items[number], first.value)].append(group)
    drawn: set[int] = set()
    generators = [random.Random(seed) for _ in items]
    small: list[list[int]] = []  # of strata too small to give a group of their own
    for number, stratum in sorted(strata):
        candidates = strata[number, stratum]
        generators[number].shuffle(candidates)
        wanted = round(share * len(candidates))
        drawn.update(row for group in candidates[:wanted] for row in group)
        small += candidates if wanted == 0 else ()
    random.Random(seed).shuffle(small)
    drawn.update(row for group in small[: int(share * len(small))] for row in group)
    fitted = {(number, folded(row.text)) for place, (number, row) in enumerate(every) if place not in drawn}
    drawn = {place for place in drawn if (every[place][0], folded(every[place][1].text)) not in fitted}
    carved = []
    for number in range(len(items)):
        own = [(row, place in drawn) for place, (of_item, row) in enumerate(every) if of_item == number]
        fit, validation = (tuple(row for row, is_drawn in own if is_drawn is wanted) for wanted in (False, True))
        carved.append((fit, validation))
    return carved


def folds(rows: Sequence[MarkedResponse], count: int, seed: int) -> list[set[int]]:
    """Row numbers in `count` parts of about equal size; what `carve` keeps together stays together."""
    groups = _groups(rows)
    random.Random(seed).shuffle(groups)
    made: list[set[int]] = [set() for _ in range(count)]
    for group in sorted(groups, key=len, reverse=True):
        min(made, key=len).update(group)
    return made


def _stratum(item: Item, value: float) -> int:
    if not item.is_continuous:
        return int(value)
    return min(STRATA - 1, int(STRATA * item.share(value)))


def folded(text: str) -> str:
    """A text less case and spacing: what counts as the same response."""
    return " ".join(text.casefold().split())


def _groups(rows: Sequence[MarkedResponse], *, texts_join_learners: bool = True) -> list[list[int]]:
    """Row numbers that must stay together: union-find over learners and texts."""
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
    groups: dict[int, list[int]] = defaultdict(list)
    for number in range(len(rows)):
        groups[root(number)].append(number)
    return list(groups.values())
