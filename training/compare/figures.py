"""The figures of a comparison: agreement with bootstrap intervals, sizes and times, for each kind of scale.

Ordered scales have the mean over items of QWK.  Labels and grades have macro-F1 and RMSE over the rows of all items
together, because an item's few responses say little.  Seeds are averaged as figures, not as scores.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.scoring.agreement import (
    MIN_PAIRS,
    exact_agreement,
    macro_f1,
    quadratic_weighted_kappa,
    root_mean_squared_error,
)
from training.compare.results import ItemResult
from training.compare.section import HUMAN, METRIC, STUDENT, Cost, Kind, Section, TableRow

BOOTSTRAP_DRAWS = 2000
Scores = list[NDArray[np.float64]]  # item by item
Rows = list[NDArray[np.int64]]  # row numbers, item by item


@dataclass(frozen=True, slots=True)
class Entry:
    """The scores of a contestant, one list a seed, beside the human scores."""

    human: Scores
    seeds: list[Scores]


def sections(results: Sequence[ItemResult], titles: dict[str, str], draws: int = BOOTSTRAP_DRAWS) -> list[Section]:
    """Return a section for each kind of scale among the results.

    `titles` names the contestants.  A contestant without a result on every item of a section is left out of it.
    """
    by_kind = {kind: [result for result in results if _kind(result) == kind and result.ids] for kind in METRIC}
    return [_section(kind, items, titles, draws) for kind, items in by_kind.items() if items]


def _kind(result: ItemResult) -> Kind:
    kinds: dict[str, Kind] = {"continuous": "grades", "nominal": "labels"}
    return kinds.get(result.scale, "ordered")


def _section(kind: Kind, items: Sequence[ItemResult], titles: dict[str, str], draws: int) -> Section:
    entries = {name: entry for name in titles if (entry := _entry(items, name)) is not None}
    if (raters := _raters(kind, items)) is not None and kind != "labels":
        entries[HUMAN] = raters
    drawn = [_drawn_rows(kind, items, seed) for seed in range(draws)]
    resampled = {name: [_mean_figure(kind, entry, rows) for rows in drawn] for name, entry in entries.items()}
    table, timed = [], _timed(items)
    for name, entry in entries.items():
        title = titles.get(name, "the second human rater")
        row = _row(kind, items, name, title, entry, resampled[name])
        row.costs = _costs(kind, timed, name, _as_shares(items))
        if STUDENT in entries and name not in (STUDENT, HUMAN):
            row.student_less_this = _mean_figure(kind, entries[STUDENT]) - row.figure
            differences = np.subtract(resampled[STUDENT], resampled[name]).tolist()
            row.student_less_this_interval = _interval(row.student_less_this, differences)
        table.append(row)
    return Section(
        kind=kind,
        metric=_metric(kind, items),
        items=len(items),
        rows=sum(len(item.ids) for item in items),
        settings=_settings(items),
        contestants=table,
    )


def _metric(kind: Kind, items: Sequence[ItemResult]) -> str:
    """Return the name of the metric, and for grades its unit."""
    if kind != "grades":
        return METRIC[kind]
    unit = "as a share of the scale" if _as_shares(items) else f"on a scale of {items[0].span:g}"
    return f"{METRIC[kind]} {unit}"


def _settings(items: Sequence[ItemResult]) -> int:
    """Return the largest number of different settings of one part.

    Items that share a teacher depend on other settings than the rest, so each kind is counted by itself.
    """
    hashes: dict[tuple[bool, str], set[str]] = defaultdict(set)
    for item in items:
        for result in item.found.values():
            for part, settings in result.settings.items():
                hashes[item.group == item.item_id, part].add(settings)
    return max(map(len, hashes.values()), default=1)


def _entry(items: Sequence[ItemResult], name: str) -> Entry | None:
    """Return a contestant's scores with the seeds that all items have; None if an item has no scores."""
    results = [item.found[name] for item in items if name in item.found]
    if len(results) < len(items):
        return None
    seeds = set.intersection(*(set(result.seeds) for result in results))
    if not seeds or not all(result.seeds[seed].values for result in results for seed in seeds):
        return None
    shares = _as_shares(items)
    human = _scaled(items, [item.human for item in items], shares)
    machine = []
    for seed in sorted(seeds):
        values = [result.seeds[seed].values for result in results]
        machine.append(_scaled(items, values, shares))
    return Entry(human, machine)


def _raters(kind: Kind, items: Sequence[ItemResult]) -> Entry | None:
    """Return the second rater beside the first; None if a figure of the section would rest on too few pairs."""
    pairs = [item.raters for item in items if item.raters is not None]
    counts = list(map(len, pairs))
    enough = sum(counts) if kind == "grades" else min(counts, default=0)  # a mean over items rests on each item
    if len(pairs) < len(items) or enough < MIN_PAIRS:
        return None
    first = [[score for score, _ in of_item] for of_item in pairs]
    second = [[score for _, score in of_item] for of_item in pairs]
    shares = _as_shares(items)
    return Entry(_scaled(items, first, shares), [_scaled(items, second, shares)])


def _as_shares(items: Sequence[ItemResult]) -> bool:
    """Return whether grades are measured as shares of their scales, because the scales differ in span."""
    spans = {item.span for item in items}
    return len(spans) > 1 and items[0].scale == "continuous"


def _scaled(items: Sequence[ItemResult], values: Sequence[Sequence[float]], as_shares: bool) -> Scores:
    """Return values on a common scale for all items.  Labels with the same name are the same class."""
    named = [item.labels for item in items if item.labels is not None]
    if len(named) == len(items):
        return _classes(named, values)
    spans = [item.span if as_shares else 1 for item in items]
    return [np.asarray(of_item, float) / span for of_item, span in zip(values, spans, strict=True)]


def _classes(labels: Sequence[Sequence[str]], values: Sequence[Sequence[float]]) -> Scores:
    """Return the class of each label, numbered over all items by name."""
    numbers = {label: number for number, label in enumerate(sorted(set().union(*labels)))}
    codes = [np.array([numbers[label] for label in of_item], float) for of_item in labels]
    return [code[np.asarray(of_item, int)] for code, of_item in zip(codes, values, strict=True)]


def _drawn_rows(kind: Kind, items: Sequence[ItemResult], seed: int) -> Rows:
    """Return row numbers of each item, drawn with replacement.

    Ordered scales draw as many rows as an item has.  Labels and grades draw from the rows of all items together.
    """
    generator = np.random.default_rng(seed)
    sizes = [len(item.ids) for item in items]
    if kind != "ordered":
        shares = np.array(sizes) / sum(sizes)
        sizes = generator.multinomial(sum(sizes), shares).tolist()
    return [generator.integers(0, len(item.ids), size) for item, size in zip(items, sizes, strict=True)]


def _mean_figure(kind: Kind, entry: Entry, drawn: Rows | None = None) -> float:
    """Return the metric over items, averaged over seeds."""
    return float(np.mean([_figure(kind, entry.human, machine, drawn) for machine in entry.seeds]))


def _figure(kind: Kind, human: Scores, machine: Scores, drawn: Rows | None) -> float:
    pairs = list(zip(human, machine, strict=True))
    if drawn is not None:
        pairs = [(h[rows], m[rows]) for (h, m), rows in zip(pairs, drawn, strict=True)]
    if kind == "ordered":
        # Items with constant human scores are left out, which leaves the same items for every contestant.
        kappas = [quadratic_weighted_kappa(h, m) for h, m in pairs if np.ptp(h) > 0]
        return float(np.mean(kappas)) if kappas else 0.0
    h, m = (np.concatenate(side) for side in zip(*pairs, strict=True))
    return macro_f1(h, m) if kind == "labels" else root_mean_squared_error(h, m)


def _interval(figure: float, resampled: Sequence[float]) -> tuple[float, float]:
    """Return percentiles about the figure, corrected for bias: rows drawn twice lower the QWK of few rows."""
    low, high = np.percentile(resampled, [2.5, 97.5]) + figure - np.mean(resampled)
    return float(low), float(high)


def _row(
    kind: Kind, items: Sequence[ItemResult], name: str, title: str, entry: Entry, resampled: Sequence[float]
) -> TableRow:
    results = [item.found[name] for item in items if name in item.found]
    seconds = [result.seconds for result in results if result.seconds is not None]
    parameters = [result.parameters for result in results]
    figure = _mean_figure(kind, entry)
    return TableRow(
        name=name,
        title=title,
        figure=figure,
        interval=_interval(figure, resampled),
        seeds=[_figure(kind, entry.human, machine, None) for machine in entry.seeds],
        accuracy=None if kind == "grades" else _over_rows(entry, exact_agreement),
        macro_f1=None if kind == "grades" else _over_rows(entry, macro_f1),
        parameters=_mean(parameters) if results else None,
        minutes=_mean(seconds) / 60 if results and len(seconds) == len(results) else None,
        items=_of_items(kind, items, name, entry),
    )


def _over_rows(entry: Entry, metric: Callable[[Any, Any], float]) -> float:
    """Return the metric over the rows of all items together, averaged over seeds."""
    human = np.concatenate(entry.human)
    figures = [metric(human, np.concatenate(machine)) for machine in entry.seeds]
    return float(np.mean(figures))


def _of_items(kind: Kind, items: Sequence[ItemResult], name: str, entry: Entry) -> dict[str, float | None]:
    """Return the figure of each item; None for raters of an item with fewer than MIN_PAIRS rows."""
    figures = {item.item_id: _of_item(kind, entry, number) for number, item in enumerate(items)}
    too_few = [item.item_id for item in items if name == HUMAN and len(item.ids) < MIN_PAIRS]
    return figures | dict.fromkeys(too_few)


def _of_item(kind: Kind, entry: Entry, number: int) -> float | None:
    """Return the figure of one item; None if it is undefined, as QWK is of constant scores."""
    figures = [_figure(kind, [entry.human[number]], [machine[number]], None) for machine in entry.seeds]
    varies = len({*entry.human[number]}) > 1
    return float(np.mean(figures)) if varies or kind != "ordered" else None


def _timed(items: Sequence[ItemResult]) -> list[ItemResult]:
    """Return the items on which every timed contestant has times, because long responses cost more."""
    by_item = [{name for name, result in item.found.items() if result.timings} for item in items]
    names = set().union(*by_item)
    return [item for item, timed in zip(items, by_item, strict=True) if timed == names]


def _costs(kind: Kind, timed: Sequence[ItemResult], name: str, as_shares: bool) -> dict[str, Cost]:
    """Return a contestant's cost in each precision."""
    if not timed or name not in timed[0].found:
        return {}
    precisions = timed[0].found[name].timings
    return {precision: _cost(kind, timed, name, precision, as_shares) for precision in precisions}


def _cost(kind: Kind, timed: Sequence[ItemResult], name: str, precision: str, as_shares: bool) -> Cost:
    timings = [item.found[name].timings[precision] for item in timed]
    human = _scaled(timed, [item.human for item in timed], as_shares)
    machine = _scaled(timed, [timing.values for timing in timings], as_shares)
    figure = _figure(kind, human, machine, None)
    return Cost(
        bytes=_mean([timing.bytes for timing in timings]),
        alone_ms=_mean([timing.alone_ms for timing in timings]),
        batched_ms=_mean([timing.batched_ms for timing in timings]),
        figure=figure if np.isfinite(figure) else None,
    )


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))
