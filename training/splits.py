"""A validation part carved from train, on which every choice is made.  dev and test are only reported on."""

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from app.scoring.item import Item
from app.scoring.text import is_blank
from training.config import TrainingConfig
from training.datasets import ItemData
from training.datasets.responses import MarkedResponse

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
    marked = [row for row in data.train if not is_blank(row.text)]
    fit, validation = carve(data.item, marked, config.validation_share, config.seed)
    unlabelled = data.unlabelled if config.text.unlabelled else ()
    return Parts(
        item=data.item,
        fit=fit,
        validation=validation,
        dev=tuple(row for row in data.dev if not is_blank(row.text)),
        unlabelled=tuple(row.text for row in unlabelled if not is_blank(row.text)),
    )


def carve(
    item: Item, rows: Sequence[MarkedResponse], share: float, seed: int
) -> tuple[tuple[MarkedResponse, ...], tuple[MarkedResponse, ...]]:
    """(fit, validation), each in the rows' order.

    A learner's responses stay together where learners are known, and equal texts always do, so that validation holds
    nothing that was fitted.  Each score is drawn from alike.  Of a few rows either part may be empty.
    """
    groups = _groups(rows)
    strata: dict[int, list[list[int]]] = defaultdict(list)
    for group in groups:
        strata[_stratum(item, rows[group[0]].value)].append(group)
    drawn: set[int] = set()
    generator = random.Random(seed)
    for stratum in sorted(strata):
        candidates = strata[stratum]
        generator.shuffle(candidates)
        for group in candidates[: round(share * len(candidates))]:
            drawn.update(group)
    fit = tuple(row for number, row in enumerate(rows) if number not in drawn)
    validation = tuple(row for number, row in enumerate(rows) if number in drawn)
    return fit, validation


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
    return min(STRATA - 1, int(STRATA * (value - (item.bottom_score or 0)) / item.span))


def folded(text: str) -> str:
    """A text less case and spacing: what counts as the same response."""
    return " ".join(text.casefold().split())


def _groups(rows: Sequence[MarkedResponse]) -> list[list[int]]:
    """Row numbers that must stay together: union-find over learners and texts."""
    parent = list(range(len(rows)))

    def root(number: int) -> int:
        while parent[number] != number:
            parent[number] = parent[parent[number]]
            number = parent[number]
        return number

    first: dict[tuple[str, str], int] = {}
    for number, row in enumerate(rows):
        keys = [("text", folded(row.text))]
        if row.learner_id is not None:
            keys.append(("learner", row.learner_id))
        for key in keys:
            parent[root(number)] = root(first.setdefault(key, number))
    groups: dict[int, list[int]] = defaultdict(list)
    for number in range(len(rows)):
        groups[root(number)].append(number)
    return list(groups.values())
