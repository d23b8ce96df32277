"""Choices made inside train, each against the way it was made before, on synthetic scores whose truth is known.

    python -m benchmarks.choices [--part a] [--seed 1] [--items 1000]

a  cuts, placed with and without unlabelled responses of weaker learners
b  cuts and threshold of items that share a teacher, by agreement over and within items
c  the search for a threshold, by the lower bound of each place and by one limit for all
d  parts of a learning curve, where learners wrote equal texts
p  what prediction sets and intervals from a few responses hold

benchmarks/synthetic.py says how scores are made.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Annotated, NamedTuple

import numpy as np
import typer
from numpy.typing import NDArray
from scipy.stats import binom

from app.scoring.agreement import exact_agreement, quadratic_weighted_kappa
from app.scoring.bundle import Head, Interval, PredictionSet
from app.scoring.decoding import decode
from benchmarks.synthetic import HALF, ITEM, NULL, TRUE, Floats, Pattern, logits, raters, scored, true_agreement
from training.calibration.confidence import COVERAGE, choose_interval, choose_set
from training.calibration.cuts_and_target import choose_cuts
from training.calibration.threshold import MIN_ACCEPTED, choose_threshold
from training.common.within_items import qwk_within
from training.data.responses import MarkedResponse
from training.data.splits import carve, folded
from training.evaluation.coverage import agreement_of_first
from training.pipeline.learning_curve import drawn

NOISE, NEW = 0.7, 2000  # of the machine; responses that judge a choice
SIZES, TARGET, LEVEL = (60, 120, 250, 500, 1000), 0.8, 0.05
RESAMPLES = 200
Cuts = tuple[float, ...] | None


def machine(outputs: Floats, cuts: Cuts) -> Floats:
    return np.array([score.value for score in decode(outputs, ITEM, Head(cuts=cuts))], float)


def weaker_unlabelled(items: int, seed: int, weaker: float) -> dict[str, float]:
    """Return mean QWK by where the cuts come from; 360 + 40 marked and 600 unlabelled responses an item."""
    found: dict[str, list[float]] = defaultdict(list)
    for number in range(items):
        generator = np.random.default_rng([seed, number])
        marked, new = generator.standard_normal(400), generator.standard_normal(NEW)
        bias = 0.2 * generator.standard_normal()
        human = raters(marked)
        held = logits(marked[360:], NOISE, 0, generator, bias)
        others = logits(generator.standard_normal(600) - weaker, NOISE, 0, generator, bias)
        outputs = logits(new, NOISE, 0, generator, bias)
        both = np.concatenate([held, others])
        # As if all these had the raters' mean: the shift that the cuts were given before.
        as_marked = [human.mean()] * len(both)
        [before] = choose_cuts(ITEM, [human.tolist()], [as_marked], [both])
        [after] = choose_cuts(ITEM, [human.tolist()], [human[360:].tolist()], [held])
        for name, cuts in (("before", before), ("after", after)):
            found[name].append(quadratic_weighted_kappa(raters(new), machine(outputs, cuts)))
    return {name: float(np.mean(own)) for name, own in found.items()}


def shared(groups: int, seed: int, apart: float, noise: float) -> dict[str, list[float]]:
    """Return QWK within items of all, and of accepted, new scores; NaN where no threshold was found.

    Twelve items a group, 40 unfitted responses each; their means are `apart` (a standard deviation); .60 is asked.
    """
    found: dict[str, list[float]] = defaultdict(list)
    for number in range(groups):
        generator = np.random.default_rng([seed, number])
        means = apart * generator.standard_normal(12)
        old, new = ([mean + generator.standard_normal(rows) for mean in means] for rows in (40, 400))
        held, fresh = (
            [logits(own, noise, mean, generator) for own, mean in zip(worth, means, strict=True)]
            for worth in (old, new)
        )
        human, humans = [raters(own) for own in old], np.concatenate([raters(own) for own in new])
        lists = [own.tolist() for own in human]
        pooled = [np.concatenate(human).tolist()]
        [together] = choose_cuts(ITEM, pooled, pooled, [np.concatenate(held)])
        for name, cuts in (("before", [together] * 12), ("after", choose_cuts(ITEM, lists, lists, held))):
            heads = [Head(cuts=own) for own in cuts]
            of_old, of_new = (
                [score for own, head in zip(outputs, heads, strict=True) for score in decode(own, ITEM, head)]
                for outputs in (held, fresh)
            )
            numbers = np.repeat(np.arange(12), 40)
            threshold = choose_threshold(
                [score.confidence for score in of_old],
                np.concatenate(human),
                [score.value for score in of_old],
                0.6,
                ordered=True,
                items=numbers.tolist() if name == "after" else None,
            )
            given = np.array([score.value for score in of_new], float)
            of_items = np.repeat(np.arange(12), 400)
            sure = np.array([score.confidence for score in of_new]) >= (2 if threshold is None else threshold)
            found[f"{name}, all"].append(qwk_within(humans, given, of_items.tolist()))
            found[f"{name}, accepted"].append(qwk_within(humans[sure], given[sure], of_items[sure].tolist()))
            found[f"{name}, share"].append(float(sure.mean()))
    return found


def pointwise(human: Floats, given: Floats, target: float, ordered: bool) -> tuple[float, int]:
    """Return the most standard errors (bootstrap) that a place is above the target by, and the last above by 1.645.

    The surest come first.  The rule before took the last place whose own one-sided 95 % bound reached the target.
    """
    generator, n = np.random.default_rng(0), len(human)
    samples = (np.sort(generator.integers(0, n, n)) for _ in range(RESAMPLES))
    # A resample's place is where the responses up to the place end in it.
    curves = np.full((RESAMPLES, n), np.nan)
    for number, rows in enumerate(samples):
        own = agreement_of_first(human[rows], given[rows], ordered=ordered)
        ends = np.searchsorted(rows, np.arange(n), side="right")
        curves[number, ends > 0] = own[ends[ends > 0] - 1]
    with np.errstate(invalid="ignore", divide="ignore"):
        errors = (agreement_of_first(human, given, ordered=ordered) - target) / curves.std(axis=0)
    errors[: MIN_ACCEPTED - 1] = np.nan
    errors = np.where(np.isnan(errors), -np.inf, errors)
    passed = np.flatnonzero(errors >= 1.6448536)
    return float(errors.max()), int(passed[-1]) + 1 if len(passed) else 0


class Found(NamedTuple):
    n: int  # responses of the item
    errors: float  # the most standard errors that a place is above the target by
    before: int  # responses accepted; 0 where there is no threshold
    after: int


def searches(pattern: Pattern, ordered: bool, items: int, seed: int, target: float) -> list[Found]:
    """Return a search of each item, their sizes by turns."""
    found = []
    for number in range(items):
        n = SIZES[number % len(SIZES)]
        generator = np.random.default_rng([seed, number, int(ordered)])
        ranks = np.sort(generator.random(n))
        human, given = scored(pattern, target, ordered, ranks, generator)
        threshold = choose_threshold(1 - ranks, human, given, target, ordered=ordered)
        accepted = 0 if threshold is None else int((1 - ranks >= threshold).sum())
        found.append(Found(n, *pointwise(human, given, target, ordered), accepted))
    return found


def most_powerful(n: int, target: float) -> float:
    """Return how often the most powerful test at LEVEL finds a share of equal scores that is .05 above the target."""
    k = int(binom.ppf(1 - LEVEL, n, target))
    gamma = (LEVEL - binom.sf(k, n, target)) / binom.pmf(k, n, target)
    return float(binom.sf(k, n, target + 0.05) + gamma * binom.pmf(k, n, target + 0.05))


def some_rows(seed: int) -> list[MarkedResponse]:
    """Return 600 rows of 300 learners; every other text is one of forty that many wrote."""
    generator = np.random.default_rng(seed)
    common = generator.random(600) < 0.5
    texts = [f"common {generator.integers(40)}" if own else f"text {number}" for number, own in enumerate(common)]
    return [
        MarkedResponse(str(number), "synthetic", text, int(generator.integers(4)), None, f"learner {number // 2}", ())
        for number, text in enumerate(texts)
    ]


def repeated(rows: Sequence[MarkedResponse]) -> float:
    """Return the share of rows whose text is one of the common ones."""
    return sum(row.text.startswith("common") for row in rows) / len(rows)


def held(n: int, draws: int, seed: int) -> tuple[float, float, float, float]:
    """Return the share of new human scores in sets, and of grades in intervals: each before and after."""
    counts = np.zeros(4)
    for number in range(draws):
        generator = np.random.default_rng([seed, n, number])
        worth = generator.standard_normal(n + 100)
        human, outputs = raters(worth).astype(int), logits(worth, NOISE, 0, generator)
        p = np.exp(outputs)[np.arange(n + 100), human]
        found = choose_set(human[:n], np.exp(outputs[:n]))
        # Before, the rank was no more than there are: the least probability, and the largest residual.
        rank = min(n, int(np.ceil((n + 1) * COVERAGE)))
        before = PredictionSet(coverage=COVERAGE, least=float(np.sort(-p[:n])[rank - 1] * -1))
        residuals = np.abs(generator.standard_normal(n + 100))
        interval: Interval = choose_interval((residuals[:n] * 0.1 + 0.5).tolist(), np.tile([0.5, 0.01], (n, 1)))
        counts += [
            (p[n:] >= before.least).mean(),
            (p[n:] >= found.least).mean(),
            (residuals[n:] <= np.sort(residuals[:n])[rank - 1]).mean(),
            (residuals[n:] <= (np.inf if interval.deviations is None else interval.deviations)).mean(),
        ]
    return tuple((counts / draws).tolist())


def print_a(items: int, seed: int) -> None:
    for weaker in (0.0, 0.5, 1.0, 2.0):
        found = weaker_unlabelled(min(items, 200), seed, weaker)
        print(f"a  unlabelled {weaker:.1f} SD weaker: QWK {found['before']:.3f} before, {found['after']:.3f} after")


def print_b(items: int, seed: int) -> None:
    for apart in (0.0, 1.0, 2.0):
        found = shared(min(items, 60), seed, apart, 1.6)
        for way in ("before", "after"):
            share, accepted = np.array(found[f"{way}, share"]), np.array(found[f"{way}, accepted"])
            within = accepted[share > 0]
            print(
                f"b  items {apart:.0f} SD apart, {way}: QWK within items {np.mean(found[f'{way}, all']):.3f}; "
                f"threshold in {np.mean(share > 0):.0%} of groups, within items then "
                f"{within.mean() if len(within) else float('nan'):.3f} (.60 asked), accepted {share.mean():.0%}"
            )


def print_c(items: int, seed: int) -> None:
    """Print each of `items` null items, and as many true ones, by kind and pattern; and a few of HALF."""
    limits: dict[bool, float] = {}
    for truth, patterns in (("null", NULL), ("true", TRUE)):
        every: list[Found] = []
        for ordered in (True, False):
            for pattern in patterns:
                found = searches(pattern, ordered, items // (2 * len(patterns)), seed, TARGET)
                if pattern.name == "flat" and truth == "null":
                    # The standard errors that the rule before would have had to ask for, to err in one item of twenty.
                    limits[ordered] = float(np.quantile([own.errors for own in found], 1 - LEVEL, method="higher"))
                _print_cell(f"{_kind(ordered)}, {truth}, {pattern.name}", found, limits[ordered])
                every += found
        before, after = (np.mean([getattr(own, rule) > 0 for own in every]) for rule in ("before", "after"))
        print(f"c  all {len(every)} {truth} items: threshold in {before:.3f} before, {after:.3f} after", flush=True)
    bounds = [most_powerful(n, TARGET) for n in SIZES]
    print(f"c  labels, true, flat: no rule that errs in 5 % can find more than {np.mean(bounds):.3f}; by n ", end="")
    print(", ".join(f"{n}: {bound:.3f}" for n, bound in zip(SIZES, bounds, strict=True)))
    for ordered in (True, False):
        found = searches(HALF, ordered, items // 5, seed, TARGET)
        _print_cell(f"{_kind(ordered)}, {HALF.name}", found, limits[ordered])
        print(f"c  {_kind(ordered)}, {HALF.name}: accepted below the target {_wrong(HALF, ordered, found)}")


def _kind(ordered: bool) -> str:
    return "scores" if ordered else "labels"


def _print_cell(title: str, found: Sequence[Found], limit: float) -> None:
    before, after = (np.array([getattr(own, rule) > 0 for own in found]) for rule in ("before", "after"))
    held_to = np.array([own.errors > limit for own in found])
    sizes = np.array([own.n for own in found])
    by_size = ", ".join(f"{n}: {before[sizes == n].mean():.3f} {after[sizes == n].mean():.3f}" for n in SIZES)
    print(
        f"c  {title}: threshold in {before.mean():.3f} before, {after.mean():.3f} after "
        f"({held_to.mean():.3f} by the rule before, held to 5 %); by n {by_size}",
        flush=True,
    )


def _wrong(pattern: Pattern, ordered: bool, found: Sequence[Found]) -> str:
    """Return the share of items whose accepted responses truly agree less than asked."""
    figure = quadratic_weighted_kappa if ordered else exact_agreement
    shares = np.linspace(0.01, 1, 100)
    truth = np.array([true_agreement(pattern, TARGET, ordered, share, figure) for share in shares])
    wrong = []
    for rule in ("before", "after"):
        accepted: NDArray[np.float64] = np.array([getattr(own, rule) / own.n for own in found])
        wrong.append(float(((np.interp(accepted, shares, truth) < TARGET) & (accepted > 0)).mean()))
    return f"{wrong[0]:.3f} before, {wrong[1]:.3f} after"


def print_d(_: int, seed: int) -> None:
    rows = some_rows(seed)
    print(f"d  {len(rows)} rows, {repeated(rows):.0%} of texts that many wrote")
    for share in (0.25, 0.5):
        before, after = carve(ITEM, rows, share, seed)[1], drawn(rows, share, seed)
        for name, part in (("before", before), ("after", after)):
            different = len({folded(row.text) for row in part})
            print(f"d  {share:.0%} {name}: {len(part)} rows, {repeated(part):.0%} such texts, {different} different")


def print_p(items: int, seed: int) -> None:
    for n in (1, 2, 4, 6, 8, 9, 12, 19, 50):
        sets, new_sets, intervals, new_intervals = held(n, items, seed)
        print(
            f"p  {n:2} responses: sets hold {sets:.3f} before, {new_sets:.3f} after; "
            f"intervals {intervals:.3f} before, {new_intervals:.3f} after"
        )


PARTS = {"a": print_a, "b": print_b, "c": print_c, "d": print_d, "p": print_p}


def main(
    part: Annotated[list[str] | None, typer.Option()] = None,
    seed: Annotated[int, typer.Option()] = 1,
    items: Annotated[int, typer.Option()] = 1000,
) -> None:
    for name in part or PARTS:
        PARTS[name](items, seed)


if __name__ == "__main__":
    typer.run(main)
