"""A validation part carved from train, on which every choice is made.  dev and test are only reported on."""

import random
from collections import defaultdict
from collections.abc import Sequence

from training.datasets.responses import MarkedResponse
from training.errors import TooFewRows


def carve(
    rows: Sequence[MarkedResponse], share: float, seed: int
) -> tuple[tuple[MarkedResponse, ...], tuple[MarkedResponse, ...]]:
    """(fit, validation), each in the rows' order.

    A learner's responses stay together where learners are known, and equal texts always do, so that validation holds
    nothing that was fitted.  Each score is drawn from alike.  Raises TooFewRows when a part would be empty.
    """
    groups = _groups(rows)
    by_choice: dict[int, list[list[int]]] = defaultdict(list)
    for group in groups:
        by_choice[rows[group[0]].choice].append(group)
    drawn: set[int] = set()
    generator = random.Random(seed)
    for choice in sorted(by_choice):
        candidates = by_choice[choice]
        generator.shuffle(candidates)
        for group in candidates[: round(share * len(candidates))]:
            drawn.update(group)
    fit = tuple(row for number, row in enumerate(rows) if number not in drawn)
    validation = tuple(row for number, row in enumerate(rows) if number in drawn)
    if not fit or not validation:
        raise TooFewRows(f"{len(rows)} marked responses are too few to carve a validation part from")
    return fit, validation


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
