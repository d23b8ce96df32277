"""Compare choices made inside train with the rules that they replaced, on synthetic scores of known truth.

    python -m benchmarks.choices [--part a] [--seed 1] [--items 1000]

a  cuts: with unlabelled responses of weaker learners (before), and without them (after)
b  cuts and threshold of items that share a teacher: by agreement over all items (before), and within items (after)
c  the search for a threshold: a lower bound at each place (before), and one limit for all places (after)
d  parts of a learning curve where learners wrote equal texts: without such texts (before), and with them (after)
p  coverage of prediction sets and intervals from a few responses

benchmarks/synthetic.py makes the scores, and benchmarks/threshold_search.py is part c.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Annotated, NamedTuple

import numpy as np
import typer

from app.scoring.agreement import quadratic_weighted_kappa
from app.scoring.bundle import Head
from app.scoring.decoding import Score, decode
from benchmarks.synthetic import ITEM, Floats, logits, raters
from benchmarks.threshold_search import RULES, print_searches
from training.calibration.confidence import COVERAGE, choose_interval, choose_set
from training.calibration.cuts_and_target import choose_cuts
from training.calibration.threshold import choose_threshold
from training.common.within_items import qwk_within
from training.data.responses import MarkedResponse
from training.data.splits import carve, folded
from training.pipeline.learning_curve import drawn

NOISE = 0.7  # of the machine
NEW = 2000  # responses that evaluate a choice
GROUP_SIZE, OLD_ROWS, NEW_ROWS = (
    12,
    40,
    400,
)  # items that share a teacher; rows of each item
Cuts = tuple[float, ...] | None


def machine(outputs: Floats, cuts: Cuts) -> Floats:
    return np.array([score.value for score in decode(outputs, ITEM, Head(cuts=cuts))], float)


def weaker_unlabelled(items: int, seed: int, weaker: float) -> dict[str, float]:
    """Return mean QWK by rule, with 360 + 40 marked and 600 unlabelled responses an item.

    The unlabelled responses are `weaker` standard deviations below the marked ones.
    """
    figures: dict[str, list[float]] = defaultdict(list)
    for number in range(items):
        generator = np.random.default_rng([seed, number])
        marked, new = generator.standard_normal(400), generator.standard_normal(NEW)
        bias = 0.2 * generator.standard_normal()
        human = raters(marked)
        held_out = logits(marked[360:], NOISE, 0, generator, bias)
        unlabelled = logits(generator.standard_normal(600) - weaker, NOISE, 0, generator, bias)
        outputs = logits(new, NOISE, 0, generator, bias)
        mixed = np.concatenate([held_out, unlabelled])
        # The rule before shifted the cuts as if all these responses had the raters' mean.
        as_marked = [human.mean()] * len(mixed)
        [before] = choose_cuts(ITEM, [human.tolist()], [as_marked], [mixed])
        [after] = choose_cuts(ITEM, [human.tolist()], [human[360:].tolist()], [held_out])
        for rule, cuts in zip(RULES, (before, after), strict=True):
            qwk = quadratic_weighted_kappa(raters(new), machine(outputs, cuts))
            figures[rule].append(qwk)
    return {rule: float(np.mean(of_items)) for rule, of_items in figures.items()}


class Group(NamedTuple):
    """Items that share a teacher: the raters' scores and the machine's outputs, on old and on new responses."""

    human: list[Floats]
    outputs: list[Floats]
    new_human: list[Floats]
    new_outputs: list[Floats]


class GroupFigures(NamedTuple):
    """QWK within items of all new scores and of accepted new scores, and the accepted share."""

    all: float
    accepted: float  # NaN without a threshold
    share: float


def draw_group(generator: np.random.Generator, apart: float, noise: float) -> Group:
    """Draw a group whose items' means are `apart` (a standard deviation)."""
    means = apart * generator.standard_normal(GROUP_SIZE)
    old = [mean + generator.standard_normal(OLD_ROWS) for mean in means]
    new = [mean + generator.standard_normal(NEW_ROWS) for mean in means]
    outputs, new_outputs = (
        [logits(worth, noise, mean, generator) for worth, mean in zip(worths, means, strict=True)]
        for worths in (old, new)
    )
    return Group(list(map(raters, old)), outputs, list(map(raters, new)), new_outputs)


def shared(groups: int, seed: int, apart: float, noise: float) -> dict[str, list[GroupFigures]]:
    """Return the figures of each group, by rule."""
    figures: dict[str, list[GroupFigures]] = defaultdict(list)
    for number in range(groups):
        group = draw_group(np.random.default_rng([seed, number]), apart, noise)
        pooled = [np.concatenate(group.human).tolist()]
        [one_for_all] = choose_cuts(ITEM, pooled, pooled, [np.concatenate(group.outputs)])
        by_item = [human.tolist() for human in group.human]
        figures["before"].append(group_figures(group, [one_for_all] * GROUP_SIZE, within=False))
        figures["after"].append(group_figures(group, choose_cuts(ITEM, by_item, by_item, group.outputs), within=True))
    return figures


def group_figures(group: Group, cuts: Sequence[Cuts], *, within: bool) -> GroupFigures:
    """Choose a threshold for a QWK of .60, over all items or `within` items, and apply it to the new responses."""
    items, new_items = np.repeat(np.arange(GROUP_SIZE), OLD_ROWS), np.repeat(np.arange(GROUP_SIZE), NEW_ROWS)
    scores, new_scores = decode_items(group.outputs, cuts), decode_items(group.new_outputs, cuts)
    threshold = choose_threshold(
        [score.confidence for score in scores],
        np.concatenate(group.human),
        [score.value for score in scores],
        0.6,
        ordered=True,
        items=items.tolist() if within else None,
    )
    human = np.concatenate(group.new_human)
    values = np.array([score.value for score in new_scores], float)
    confidence = np.array([score.confidence for score in new_scores])
    accepted = confidence >= (2 if threshold is None else threshold)
    return GroupFigures(
        qwk_within(human, values, new_items.tolist()),
        qwk_within(human[accepted], values[accepted], new_items[accepted].tolist()),
        float(accepted.mean()),
    )


def decode_items(outputs: Sequence[Floats], cuts: Sequence[Cuts]) -> list[Score]:
    """Return the scores of all items, one item after another."""
    scores: list[Score] = []
    for of_item, item_cuts in zip(outputs, cuts, strict=True):
        scores += decode(of_item, ITEM, Head(cuts=item_cuts))
    return scores


def some_rows(seed: int) -> list[MarkedResponse]:
    """Return 600 rows of 300 learners; half of the texts are among forty common ones."""
    generator = np.random.default_rng(seed)
    is_common = generator.random(600) < 0.5
    texts = [
        f"common {generator.integers(40)}" if common else f"text {number}" for number, common in enumerate(is_common)
    ]
    return [
        MarkedResponse(str(number), "synthetic", text, int(generator.integers(4)), None, f"learner {number // 2}", ())
        for number, text in enumerate(texts)
    ]


def repeated(rows: Sequence[MarkedResponse]) -> float:
    """Return the share of rows with a common text."""
    return sum(row.text.startswith("common") for row in rows) / len(rows)


def coverage(n: int, draws: int, seed: int) -> tuple[float, float, float, float]:
    """Return the coverage of sets (before, after) and of intervals (before, after) on new responses."""
    shares = np.zeros(4)
    for number in range(draws):
        generator = np.random.default_rng([seed, n, number])
        worth = generator.standard_normal(n + 100)
        human, outputs = raters(worth).astype(int), logits(worth, NOISE, 0, generator)
        probabilities = np.exp(outputs)
        of_human = probabilities[np.arange(n + 100), human]
        chosen = choose_set(human[:n], probabilities[:n])
        residuals = np.abs(generator.standard_normal(n + 100))
        grades, outputs_of_grades = residuals[:n] * 0.1 + 0.5, np.tile([0.5, 0.01], (n, 1))
        deviations = choose_interval(grades.tolist(), outputs_of_grades).deviations
        # The rule before capped the rank at n: the least probability, and the largest residual.
        rank = min(n, int(np.ceil((n + 1) * COVERAGE)))
        least_before = -np.sort(-of_human[:n])[rank - 1]
        shares += [
            np.mean(of_human[n:] >= least_before),
            np.mean(of_human[n:] >= chosen.least),
            np.mean(residuals[n:] <= np.sort(residuals[:n])[rank - 1]),
            np.mean(residuals[n:] <= (np.inf if deviations is None else deviations)),
        ]
    return tuple((shares / draws).tolist())


def print_a(items: int, seed: int) -> None:
    for weaker in (0.0, 0.5, 1.0, 2.0):
        qwk = weaker_unlabelled(min(items, 200), seed, weaker)
        print(f"a  unlabelled {weaker:.1f} SD weaker: QWK {qwk['before']:.3f} before, {qwk['after']:.3f} after")


def print_b(items: int, seed: int) -> None:
    for apart in (0.0, 1.0, 2.0):
        figures = shared(min(items, 60), seed, apart, 1.6)
        for rule in RULES:
            groups = figures[rule]
            with_threshold = [group for group in groups if group.share > 0]
            qwk, share = np.mean([group.all for group in groups]), np.mean([group.share for group in groups])
            accepted = np.mean([group.accepted for group in with_threshold]) if with_threshold else float("nan")
            print(
                f"b  items {apart:.0f} SD apart, {rule}: QWK within items {qwk:.3f}; "
                f"threshold in {len(with_threshold) / len(groups):.0%} of groups, QWK within items then {accepted:.3f} "
                f"(.60 asked), accepted {share:.0%}"
            )


def print_d(_: int, seed: int) -> None:
    rows = some_rows(seed)
    print(f"d  {len(rows)} rows, {repeated(rows):.0%} with a common text")
    for share in (0.25, 0.5):
        parts = (carve(ITEM, rows, share, seed)[1], drawn(rows, share, seed))
        for rule, part in zip(RULES, parts, strict=True):
            different = len({folded(row.text) for row in part})
            print(f"d  {share:.0%} {rule}: {len(part)} rows, {repeated(part):.0%} common texts, {different} different")


def print_p(items: int, seed: int) -> None:
    for n in (1, 2, 4, 6, 8, 9, 12, 19, 50):
        sets, new_sets, intervals, new_intervals = coverage(n, items, seed)
        print(
            f"p  {n:2} responses: sets hold {sets:.3f} before, {new_sets:.3f} after; "
            f"intervals {intervals:.3f} before, {new_intervals:.3f} after"
        )


PARTS = {"a": print_a, "b": print_b, "c": print_searches, "d": print_d, "p": print_p}


def main(
    part: Annotated[list[str] | None, typer.Option(help="a, b, c, d or p; default: all.")] = None,
    seed: Annotated[int, typer.Option()] = 1,
    items: Annotated[int, typer.Option(help="Items, or draws, of each part.")] = 1000,
) -> None:
    for name in part or PARTS:
        PARTS[name](items, seed)


if __name__ == "__main__":
    typer.run(main)
