"""What is in a data set, and what is suspicious about it, before hours are spent on it."""

import itertools
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from app.scoring.agreement import quadratic_weighted_kappa
from app.scoring.item import Item
from app.scoring.text import is_blank
from training.datasets import DataSet, ItemData
from training.datasets.responses import MarkedResponse
from training.splits import folded


@dataclass(frozen=True, slots=True)
class ItemSummary:
    """Counts of one item.  Texts are compared without case and spacing."""

    item_id: str
    scale: str
    train: int
    dev: int
    unlabelled: int
    distribution: dict[str, int]  # marked responses in train for each score, label or quarter of the grades
    human_qwk: float | None  # of the two raters in train, where there are two
    blank: int  # in train
    duplicates: int  # rows of train whose text stands in an earlier row
    conflicts: int  # texts that stand in train with different scores
    leaks: int  # rows of dev whose text or learner stands in train
    seen: int  # rows of dev whose text stands in unlabelled: a student sees it, though no human score

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def summarise(data: DataSet) -> list[ItemSummary]:
    """One summary an item, in the order of the items file."""
    return [_summary(data.of(item_id)) for item_id in data.items]


def _summary(data: ItemData) -> ItemSummary:
    item, train = data.item, data.train
    scores: dict[str, set[float]] = defaultdict(set)
    for row in train:
        scores[folded(row.text)].add(row.value)
    unlabelled = {folded(row.text) for row in data.unlabelled}
    learners = {row.learner_id for row in train} - {None}
    return ItemSummary(
        item_id=item.item_id,
        scale=item.scale,
        train=len(train),
        dev=len(data.dev),
        unlabelled=len(data.unlabelled),
        distribution=_distribution(item, [row.value for row in train]),
        human_qwk=_human_qwk(train),
        blank=sum(is_blank(row.text) for row in train),
        duplicates=len(train) - len(scores),
        conflicts=sum(len(values) > 1 for values in scores.values()),
        seen=sum(folded(row.text) in unlabelled for row in data.dev),
        leaks=sum(folded(row.text) in scores or row.learner_id in learners for row in data.dev),
    )


def _distribution(item: Item, values: Sequence[float]) -> dict[str, int]:
    if not item.is_continuous:
        names = [item.label(value) or str(value) for value in range(item.choices)]
        return {name: sum(value == number for value in values) for number, name in enumerate(names)}
    counts, edges = np.histogram(values, bins=4, range=(item.bottom_score or 0, item.top_score or 0))
    names = [f"{low:g}-{high:g}" for low, high in itertools.pairwise(edges)]
    return dict(zip(names, map(int, counts), strict=True))


def _human_qwk(rows: Iterable[MarkedResponse]) -> float | None:
    pairs = [row.raters for row in rows if row.raters is not None]
    if not pairs:
        return None
    qwk = quadratic_weighted_kappa([a for a, _ in pairs], [b for _, b in pairs])
    return None if np.isnan(qwk) else qwk
