"""The scores of a contestant, or of the second rater, beside the human scores of all items of a section."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.scoring.agreement import MIN_PAIRS
from training.compare.results import ItemResult
from training.compare.section import Kind

Scores = list[NDArray[np.float64]]  # item by item


@dataclass(frozen=True, slots=True)
class Entry:
    """The scores of a contestant, one list a seed, beside the human scores."""

    human: Scores
    seeds: list[Scores]


def contestant_entry(items: Sequence[ItemResult], name: str) -> Entry | None:
    """Return a contestant's scores with the seeds that all items have; None if an item has no scores."""
    results = [item.found[name] for item in items if name in item.found]
    if len(results) < len(items):
        return None
    seeds = set.intersection(*(set(result.seeds) for result in results))
    if not seeds or not all(result.seeds[seed].values for result in results for seed in seeds):
        return None
    shares = are_shares(items)
    human = scaled(items, [item.human for item in items], shares)
    machine = []
    for seed in sorted(seeds):
        values = [result.seeds[seed].values for result in results]
        machine.append(scaled(items, values, shares))
    return Entry(human, machine)


def raters_entry(kind: Kind, items: Sequence[ItemResult]) -> Entry | None:
    """Return the second rater beside the first; None if a figure of the section would rest on too few pairs."""
    pairs = [item.raters for item in items if item.raters is not None]
    counts = list(map(len, pairs))
    enough = sum(counts) if kind == "grades" else min(counts, default=0)  # a mean over items rests on each item
    if len(pairs) < len(items) or enough < MIN_PAIRS:
        return None
    sides = [tuple(zip(*of_item, strict=True)) for of_item in pairs]
    first, second = [side[0] for side in sides], [side[1] for side in sides]
    shares = are_shares(items)
    return Entry(scaled(items, first, shares), [scaled(items, second, shares)])


def are_shares(items: Sequence[ItemResult]) -> bool:
    """Return whether grades are measured as shares of their scales, because the scales differ in span."""
    spans = {item.span for item in items}
    return len(spans) > 1 and items[0].scale == "continuous"


def scaled(items: Sequence[ItemResult], values: Sequence[Sequence[float]], as_shares: bool) -> Scores:
    """Return values on a common scale for all items.  Labels with the same name are the same class."""
    named = [item.labels for item in items if item.labels is not None]
    if len(named) == len(items):
        return _classes(named, values)
    spans = [item.span if as_shares else 1 for item in items]
    return [np.asarray(of_item, float) / span for of_item, span in zip(values, spans, strict=True)]


def _classes(labels: Sequence[Sequence[str]], values: Sequence[Sequence[float]]) -> Scores:
    """Return the class of each label, numbered over all items by name."""
    numbers = {label: number for number, label in enumerate(sorted(set().union(*labels)))}
    codes = [np.array(list(map(numbers.__getitem__, of_item)), float) for of_item in labels]
    return [code[np.asarray(of_item, int)] for code, of_item in zip(codes, values, strict=True)]
