"""The figures of a comparison: agreement with bootstrap intervals, sizes and times, for each kind of scale.

Ordered scales have the mean over items of QWK.  Labels and grades have macro-F1 and RMSE over the rows of all items
together, because an item's few responses say little.  Seeds are averaged as figures, not as scores.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
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
from training.compare.entries import Entry, Scores, are_shares, contestant_entry, raters_entry, scaled
from training.compare.results import ItemResult
from training.compare.section import HUMAN, METRIC, STUDENT, Cost, Kind, Section, TableRow

BOOTSTRAP_DRAWS = 2000
Rows = list[NDArray[np.int64]]  # row numbers, item by item


def sections(results: Sequence[ItemResult], titles: dict[str, str], draws: int = BOOTSTRAP_DRAWS) -> list[Section]:
    """Return a section for each kind of scale among the results.

    `titles` names the contestants.  A contestant without a result on every item of a section is left out of it.
    """
    by_kind: dict[Kind, list[ItemResult]] = {kind: [] for kind in METRIC}
    for result in results:
        if result.ids:
            by_kind[_kind(result)].append(result)
    return [_section(kind, items, titles, draws) for kind, items in by_kind.items() if items]


def _kind(result: ItemResult) -> Kind:
    kinds: dict[str, Kind] = {"continuous": "grades", "nominal": "labels"}
    return kinds.get(result.scale, "ordered")


def _section(kind: Kind, items: Sequence[ItemResult], titles: dict[str, str], draws: int) -> Section:
    entries = {name: entry for name in titles if (entry := contestant_entry(items, name)) is not None}
    if (raters := raters_entry(kind, items)) is not None and kind != "labels":
        entries[HUMAN] = raters
    drawn = [_drawn_rows(kind, items, seed) for seed in range(draws)]
    resampled = {name: _resampled(kind, entry, drawn) for name, entry in entries.items()}
    table, timed = [], _timed(items)
    for name, entry in entries.items():
        title = titles.get(name, "the second human rater")
        row = _row(kind, items, name, title, entry, resampled[name])
        row.costs = _costs(kind, timed, name, are_shares(items))
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
    unit = "as a share of the scale" if are_shares(items) else f"on a scale of {items[0].span:g}"
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


def _resampled(kind: Kind, entry: Entry, drawn: Sequence[Rows]) -> list[float]:
    """Return the figure on each draw of rows."""
    return [_mean_figure(kind, entry, rows) for rows in drawn]


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
    timed = bool(results) and len(seconds) == len(results)
    parameters = _mean([result.parameters for result in results]) if results else None
    accuracy, f1 = (
        (None, None) if kind == "grades" else (_over_rows(entry, exact_agreement), _over_rows(entry, macro_f1))
    )
    minutes = _mean(seconds) / 60 if timed else None
    figure = _mean_figure(kind, entry)
    return TableRow(
        name=name,
        title=title,
        figure=figure,
        interval=_interval(figure, resampled),
        seeds=[_figure(kind, entry.human, machine, None) for machine in entry.seeds],
        accuracy=accuracy,
        macro_f1=f1,
        parameters=parameters,
        minutes=minutes,
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
    by_item = [_timed_names(item) for item in items]
    names = set().union(*by_item)
    return [item for item, timed in zip(items, by_item, strict=True) if timed == names]


def _timed_names(item: ItemResult) -> set[str]:
    return {name for name, result in item.found.items() if result.timings}


def _costs(kind: Kind, timed: Sequence[ItemResult], name: str, as_shares: bool) -> dict[str, Cost]:
    """Return a contestant's cost in each precision."""
    if not timed or name not in timed[0].found:
        return {}
    precisions = timed[0].found[name].timings
    return {precision: _cost(kind, timed, name, precision, as_shares) for precision in precisions}


def _cost(kind: Kind, timed: Sequence[ItemResult], name: str, precision: str, as_shares: bool) -> Cost:
    timings = [item.found[name].timings[precision] for item in timed]
    human = scaled(timed, [item.human for item in timed], as_shares)
    machine = scaled(timed, [timing.values for timing in timings], as_shares)
    figure = _figure(kind, human, machine, None)
    return Cost(
        bytes=_mean([timing.bytes for timing in timings]),
        alone_ms=_mean([timing.alone_ms for timing in timings]),
        batched_ms=_mean([timing.batched_ms for timing in timings]),
        figure=figure if np.isfinite(figure) else None,
    )


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))
