"""What a comparison's results come to: agreement with bootstrap intervals, sizes and times, for each kind of scale.

Ordered scales: the mean over items of QWK.  Labels and grades: macro-F1 and RMSE over the rows of all items together,
since few responses an item say little.  Seeds are averaged as figures, not as scores.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from app.scoring.agreement import (
    MIN_PAIRS,
    exact_agreement,
    macro_f1,
    quadratic_weighted_kappa,
    root_mean_squared_error,
)
from training.compare.results import ItemResult, ResultModel

RESAMPLES = 2000
STUDENT, HUMAN, CONSTANT = "student", "human", "constant"
Kind = Literal["ordered", "labels", "grades"]
METRIC: dict[Kind, str] = {"ordered": "QWK", "labels": "macro-F1", "grades": "RMSE"}
Scores = list[NDArray[np.float64]]  # item by item
Drawn = list[NDArray[np.int64]]  # row numbers, item by item


class Cost(ResultModel):
    """One precision: bytes, and milliseconds a response; means over the items that were timed."""

    bytes: float
    alone_ms: float
    batched_ms: float
    figure: float | None  # of the section's metric, on the items that were timed


class TableRow(ResultModel):
    """One contestant over all items of a section."""

    name: str
    title: str
    figure: float
    interval: tuple[float, float]  # 95 % bootstrap over rows
    seeds: list[float]
    student_less_this: float | None = None
    student_less_this_interval: tuple[float, float] | None = None
    accuracy: float | None
    macro_f1: float | None
    parameters: float | None = None  # mean over items
    minutes: float | None = None  # of training for an item
    costs: dict[str, Cost] = Field(default_factory=dict)  # by precision
    items: dict[str, float | None]


class Section(ResultModel):
    """All items on one kind of scale."""

    kind: Kind
    metric: str
    items: int
    rows: int
    settings: int  # under how many different ones results of items with a teacher of their own, or shared, were found
    contestants: list[TableRow]


@dataclass(frozen=True, slots=True)
class Entry:
    """A contestant's scores beside those that it is measured by."""

    human: Scores
    seeds: list[Scores]


def sections(results: Sequence[ItemResult], titles: dict[str, str], resamples: int = RESAMPLES) -> list[Section]:
    """Contestants that were not found on every item of a section are left out of it."""
    made = []
    for kind in METRIC:
        items = [result for result in results if _kind(result) == kind and result.ids]
        if items:
            made.append(_section(kind, items, titles, resamples))
    return made


def _kind(result: ItemResult) -> Kind:
    return "grades" if result.scale == "continuous" else "labels" if result.scale == "nominal" else "ordered"


def _section(kind: Kind, items: Sequence[ItemResult], titles: dict[str, str], resamples: int) -> Section:
    entries = {name: entry for name in titles if (entry := _entry(items, name)) is not None}
    if (raters := _raters(kind, items)) is not None and kind != "labels":
        entries[HUMAN] = raters
    drawn = [_resampled(kind, items, seed) for seed in range(resamples)]
    resampled = {name: [_mean_figure(kind, entry, own) for own in drawn] for name, entry in entries.items()}
    rows, timed = [], _timed(items)
    for name, entry in entries.items():
        title = titles.get(name, "one human rater against the other")
        row = _row(kind, items, name, title, entry, resampled[name])
        row.costs = _costs(kind, timed, name, _as_shares(items))
        if STUDENT in entries and name not in (STUDENT, HUMAN):
            row.student_less_this = _mean_figure(kind, entries[STUDENT]) - row.figure
            differences = np.subtract(resampled[STUDENT], resampled[name]).tolist()
            row.student_less_this_interval = _interval(row.student_less_this, differences)
        rows.append(row)
    metric = METRIC[kind]
    if kind == "grades":
        metric += " as a share of the scale" if _as_shares(items) else f" on a scale of {items[0].span:g}"
    count = sum(len(item.ids) for item in items)
    return Section(kind=kind, metric=metric, items=len(items), rows=count, settings=_settings(items), contestants=rows)


def _settings(items: Sequence[ItemResult]) -> int:
    """Return how many different settings of one part there are, at most.

    Items that share a teacher read other settings than the rest: each are counted by themselves.
    """
    found: dict[tuple[bool, str], set[str]] = defaultdict(set)
    for item in items:
        for own in item.found.values():
            for part, settings in own.settings.items():
                found[item.group == item.item_id, part].add(settings)
    return max(map(len, found.values()), default=1)


def _entry(items: Sequence[ItemResult], name: str) -> Entry | None:
    found = [item.found[name] for item in items if name in item.found]
    seeds = set.intersection(*(set(own.seeds) for own in found)) if found else set()
    if len(found) < len(items) or not all(own.seeds[seed].values for own in found for seed in seeds) or not seeds:
        return None
    machine = [[own.seeds[seed].values for own in found] for seed in sorted(seeds)]
    shares = _as_shares(items)
    human = _scaled(items, [item.human for item in items], shares)
    return Entry(human, [_scaled(items, values, shares) for values in machine])


def _raters(kind: Kind, items: Sequence[ItemResult]) -> Entry | None:
    """The second rater beside the first; None unless every figure of the section rests on MIN_PAIRS rows or more."""
    pairs = [item.raters for item in items if item.raters is not None]
    counts = list(map(len, pairs))
    enough = sum(counts) if kind == "grades" else min(counts, default=0)  # A mean over items rests on each of them.
    if len(pairs) < len(items) or enough < MIN_PAIRS:
        return None
    first, second = ([[pair[side] for pair in own] for own in pairs] for side in (0, 1))
    shares = _as_shares(items)
    return Entry(_scaled(items, first, shares), [_scaled(items, second, shares)])


def _as_shares(items: Sequence[ItemResult]) -> bool:
    """Whether grades are measured as shares of their scales, because these differ in span."""
    return len({item.span for item in items}) > 1 and items[0].scale == "continuous"


def _scaled(items: Sequence[ItemResult], values: Sequence[Sequence[float]], as_shares: bool) -> Scores:
    """As figures over all items take them.  A label counts as the same wherever its name is."""
    named = [item.labels for item in items if item.labels is not None]
    if len(named) == len(items):
        classes = sorted({label for own in named for label in own})
        codes = [np.array([classes.index(label) for label in own], float) for own in named]
        return [code[np.asarray(own, int)] for code, own in zip(codes, values, strict=True)]
    spans = [item.span if as_shares else 1 for item in items]
    return [np.asarray(own, float) / span for own, span in zip(values, spans, strict=True)]


def _resampled(kind: Kind, items: Sequence[ItemResult], seed: int) -> Drawn:
    """Row numbers of each item drawn with replacement; as many as it has, or as fall to it from all rows."""
    generator = np.random.default_rng(seed)
    sizes = [len(item.ids) for item in items]
    if kind != "ordered":
        sizes = generator.multinomial(sum(sizes), np.array(sizes) / sum(sizes)).tolist()
    return [generator.integers(0, len(item.ids), size) for item, size in zip(items, sizes, strict=True)]


def _mean_figure(kind: Kind, entry: Entry, drawn: Drawn | None = None) -> float:
    """The metric over items, averaged over seeds."""
    return float(np.mean([_figure(kind, entry.human, machine, drawn) for machine in entry.seeds]))


def _figure(kind: Kind, human: Scores, machine: Scores, drawn: Drawn | None) -> float:
    pairs = list(zip(human, machine, strict=True))
    if drawn is not None:
        pairs = [(h[rows], m[rows]) for (h, m), rows in zip(pairs, drawn, strict=True)]
    if kind == "ordered":
        defined = [quadratic_weighted_kappa(h, m) for h, m in pairs if np.ptp(h) > 0]  # the same items for everyone
        return float(np.mean(defined)) if defined else 0.0  # nothing is earned where no human score ever differs
    h, m = (np.concatenate(side) for side in zip(*pairs, strict=True))
    return macro_f1(h, m) if kind == "labels" else root_mean_squared_error(h, m)


def _interval(figure: float, resampled: Sequence[float]) -> tuple[float, float]:
    """Percentiles about the figure, less the bias that resampling shows: QWK of few rows drawn twice is too low."""
    low, high = np.percentile(resampled, [2.5, 97.5]) + figure - np.mean(resampled)
    return float(low), float(high)


def _row(
    kind: Kind, items: Sequence[ItemResult], name: str, title: str, entry: Entry, resampled: Sequence[float]
) -> TableRow:
    found = [item.found[name] for item in items if name in item.found]
    seconds = [own.seconds for own in found if own.seconds is not None]
    figure = _mean_figure(kind, entry)
    return TableRow(
        name=name,
        title=title,
        figure=figure,
        interval=_interval(figure, resampled),
        seeds=[_figure(kind, entry.human, machine, None) for machine in entry.seeds],
        accuracy=None if kind == "grades" else _over_rows(entry, exact_agreement),
        macro_f1=None if kind == "grades" else _over_rows(entry, macro_f1),
        parameters=float(np.mean([own.parameters for own in found])) if found else None,
        minutes=float(np.mean(seconds)) / 60 if found and len(seconds) == len(found) else None,
        items=_of_items(kind, items, name, entry),
    )


def _over_rows(entry: Entry, metric: Callable[[Any, Any], float]) -> float:
    """Of all items' rows together, averaged over seeds."""
    human = np.concatenate(entry.human)
    return float(np.mean([metric(human, np.concatenate(machine)) for machine in entry.seeds]))


def _of_items(kind: Kind, items: Sequence[ItemResult], name: str, entry: Entry) -> dict[str, float | None]:
    """The figure of each item; of raters None where an item has fewer than MIN_PAIRS rows."""
    found = {item.item_id: _of_item(kind, entry, number) for number, item in enumerate(items)}
    too_few = [item.item_id for item in items if name == HUMAN and len(item.ids) < MIN_PAIRS]
    return found | dict.fromkeys(too_few)


def _of_item(kind: Kind, entry: Entry, number: int) -> float | None:
    """None where the metric is undefined, as QWK is of scores that never differ."""
    figures = [_figure(kind, [entry.human[number]], [machine[number]], None) for machine in entry.seeds]
    varies = len({*entry.human[number]}) > 1
    return float(np.mean(figures)) if varies or kind != "ordered" else None


def _timed(items: Sequence[ItemResult]) -> list[ItemResult]:
    """Those on which everyone who has times has them: long responses cost more, so others are no comparison."""
    names = {name for item in items for name, found in item.found.items() if found.timings}
    return [item for item in items if all(name in item.found and item.found[name].timings for name in names)]


def _costs(kind: Kind, timed: Sequence[ItemResult], name: str, as_shares: bool) -> dict[str, Cost]:
    costs = {}
    for precision in timed[0].found[name].timings if timed and name in timed[0].found else ():
        timings = [item.found[name].timings[precision] for item in timed]
        machine = _scaled(timed, [timing.values for timing in timings], as_shares)
        figure = _figure(kind, _scaled(timed, [item.human for item in timed], as_shares), machine, None)
        costs[precision] = Cost(
            bytes=float(np.mean([timing.bytes for timing in timings])),
            alone_ms=float(np.mean([timing.alone_ms for timing in timings])),
            batched_ms=float(np.mean([timing.batched_ms for timing in timings])),
            figure=figure if np.isfinite(figure) else None,
        )
    return costs
