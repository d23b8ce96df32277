"""Results of comparisons, written by hand."""

from collections.abc import Sequence

import numpy as np

from app.scoring.scale import ScaleKind
from training.compare.figures import sections
from training.compare.results import ContestantResult, ItemResult, Seed, Timing
from training.compare.section import STUDENT, Section, TableRow

Values = Sequence[float]
FEW = 200  # bootstrap draws, enough for tests
TITLES = {STUDENT: "the student", "teacher": "its teacher"}
AGREED, NO_RELATION = ([0, 1, 2, 3] * 5, [0, 1, 2, 3] * 5), ([0, 0, 2, 2] * 5, [0, 2, 0, 2] * 5)  # QWK 1 and 0


def outcome(*seeds: Values, parameters: int = 100, seconds: float | None = 120, timed: Values = ()) -> ContestantResult:
    """Return a contestant's scores, seed by seed; `timed`: its scores at the timing."""
    timing = Timing(bytes=1000, alone_ms=0.5, batched_ms=0.25, values=list(timed))
    return ContestantResult(
        key="any",
        settings={"split": "any"},
        parameters=parameters,
        seconds=seconds,
        seeds={number: Seed(values=list(values), predictions=[]) for number, values in enumerate(seeds)},
        timings={"float32": timing} if timed else {},
    )


def result(
    item_id: str,
    human: Values,
    scale: ScaleKind = "points",
    *,
    span: float = 3,
    raters: list[tuple[float, float]] | None = None,
    labels: list[str] | None = None,
    **contestants: ContestantResult,
) -> ItemResult:
    return ItemResult(
        item_id=item_id,
        scale=scale,
        span=0 if scale == "nominal" else span,
        group=item_id,
        labels=labels,
        train=50,
        ids=[f"{item_id}-{number}" for number in range(len(human))],
        human=list(human),
        raters=raters,
        found=contestants,
    )


def two_items() -> list[ItemResult]:
    return [
        result("heat-1", AGREED[0], student=outcome(AGREED[1])),
        result("heat-2", NO_RELATION[0], student=outcome(NO_RELATION[1])),
    ]


def double_scored(times: int) -> list[ItemResult]:
    """Return two items of 4 * `times` rows with two raters, whose QWK is 1 on the first item and 0 on the second."""
    pairs: dict[str, list[tuple[float, float]]] = {
        "heat-1": [(0, 0), (1, 1), (2, 2), (3, 3)] * times,
        "heat-2": [(0, 0), (0, 2), (2, 0), (2, 2)] * times,
    }
    human = {item_id: [first for first, _ in of_item] for item_id, of_item in pairs.items()}
    return [result(name, human[name], raters=of_item, student=outcome(human[name])) for name, of_item in pairs.items()]


def only(results: Sequence[ItemResult]) -> Section:
    [section] = sections(results, TITLES, FEW)
    return section


def row_of(section: Section, name: str = STUDENT) -> TableRow:
    [row] = [row for row in section.contestants if row.name == name]
    return row


def noisy(rows: int, seed: int = 0, kinds: int = 4) -> tuple[list[int], list[int]]:
    """Return human scores, and machine scores that are often off by one."""
    generator = np.random.default_rng(seed)
    human = generator.integers(0, kinds, rows)
    return human.tolist(), np.clip(human + generator.integers(-1, 2, rows), 0, kinds - 1).tolist()
