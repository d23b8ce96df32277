"""Compare the search for a threshold with the rule before it, on synthetic items: part c of benchmarks/choices.py.

Null items have exactly the target agreement, so a threshold on them is an error.  True items have more.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import binom

from app.scoring.agreement import exact_agreement, quadratic_weighted_kappa
from benchmarks.synthetic import HALF, NULL, TRUE, Floats, Pattern, scored, true_agreement
from training.calibration.threshold import MIN_ACCEPTED, choose_threshold
from training.evaluation.coverage import agreement_of_first

SIZES, TARGET, LEVEL = (60, 120, 250, 500, 1000), 0.8, 0.05
RESAMPLES = 200
ONE_SIDED_95 = 1.6448536  # standard errors
RULES = ("before", "after")


def pointwise(human: Floats, machine: Floats, target: float, ordered: bool) -> tuple[float, int]:
    """Return the rule before: the most standard errors above the target, and the number of accepted responses.

    Responses stand from the most confident to the least.  The rule took the last place whose one-sided 95 % bound
    (bootstrap) reached the target.
    """
    generator, n = np.random.default_rng(0), len(human)
    samples = (np.sort(generator.integers(0, n, n)) for _ in range(RESAMPLES))
    curves = np.full((RESAMPLES, n), np.nan)
    for number, rows in enumerate(samples):
        curve = agreement_of_first(human[rows], machine[rows], ordered=ordered)
        # A place corresponds to the last row of the resample that is at or before it.
        ends = np.searchsorted(rows, np.arange(n), side="right")
        reached = ends > 0
        curves[number, reached] = curve[ends[reached] - 1]
    agreement = agreement_of_first(human, machine, ordered=ordered)
    with np.errstate(invalid="ignore", divide="ignore"):
        errors = (agreement - target) / curves.std(axis=0)
    errors[: MIN_ACCEPTED - 1] = np.nan
    errors = np.where(np.isnan(errors), -np.inf, errors)
    passed = np.flatnonzero(errors >= ONE_SIDED_95)
    return float(errors.max()), int(passed[-1]) + 1 if len(passed) else 0


class Search(NamedTuple):
    """The search for a threshold on one item, by both rules."""

    n: int  # responses of the item
    errors: float  # the most standard errors of a place above the target
    before: int  # accepted responses; 0 without a threshold
    after: int


def searches(pattern: Pattern, ordered: bool, items: int, seed: int, target: float) -> list[Search]:
    """Return a search per item; SIZES take turns."""
    results = []
    for number in range(items):
        n = SIZES[number % len(SIZES)]
        generator = np.random.default_rng([seed, number, int(ordered)])
        ranks = np.sort(generator.random(n))
        human, machine = scored(pattern, target, ordered, ranks, generator)
        threshold = choose_threshold(1 - ranks, human, machine, target, ordered=ordered)
        accepted = 0 if threshold is None else int((1 - ranks >= threshold).sum())
        errors, before = pointwise(human, machine, target, ordered)
        results.append(Search(n, errors, before, accepted))
    return results


def share_with_threshold(results: Sequence[Search], rule: str) -> float:
    return float(np.mean([getattr(search, rule) > 0 for search in results]))


def most_powerful(n: int, target: float) -> float:
    """Return the power of the most powerful test at LEVEL for a share of equal scores .05 above the target."""
    k = int(binom.ppf(1 - LEVEL, n, target))
    gamma = (LEVEL - binom.sf(k, n, target)) / binom.pmf(k, n, target)
    return float(binom.sf(k, n, target + 0.05) + gamma * binom.pmf(k, n, target + 0.05))


def print_searches(items: int, seed: int) -> None:
    """Print thresholds on `items` null items, on as many true items, and on a few items of HALF."""
    limits: dict[bool, float] = {}  # by whether the items are ordered
    for truth, patterns in (("null", NULL), ("true", TRUE)):
        every: list[Search] = []
        for ordered in (True, False):
            for pattern in patterns:
                results = searches(pattern, ordered, items // (2 * len(patterns)), seed, TARGET)
                if pattern.name == "flat" and truth == "null":
                    limits[ordered] = limit_of_rule_before(results)
                _print_cell(f"{_kind(ordered)}, {truth}, {pattern.name}", results, limits[ordered])
                every += results
        before, after = (share_with_threshold(every, rule) for rule in RULES)
        print(f"c  all {len(every)} {truth} items: threshold in {before:.3f} before, {after:.3f} after", flush=True)
    power = {n: most_powerful(n, TARGET) for n in SIZES}
    mean_power = np.mean(list(power.values()))
    print(f"c  labels, true, flat: no rule that errs in 5 % can find more than {mean_power:.3f}; by n ", end="")
    print(", ".join(f"{n}: {share:.3f}" for n, share in power.items()))
    for ordered in (True, False):
        results = searches(HALF, ordered, items // 5, seed, TARGET)
        _print_cell(f"{_kind(ordered)}, {HALF.name}", results, limits[ordered])
        wrong = ", ".join(f"{wrong_share(HALF, ordered, results, rule):.3f} {rule}" for rule in RULES)
        print(f"c  {_kind(ordered)}, {HALF.name}: accepted below the target {wrong}")


def limit_of_rule_before(results: Sequence[Search]) -> float:
    """Return the standard errors that the rule before should have asked for, to err in one null item of twenty."""
    errors = [search.errors for search in results]
    return float(np.quantile(errors, 1 - LEVEL, method="higher"))


def _kind(ordered: bool) -> str:
    return "scores" if ordered else "labels"


def _print_cell(title: str, results: Sequence[Search], limit: float) -> None:
    by_size = []
    for n in SIZES:
        of_size = [search for search in results if search.n == n]
        before, after = (share_with_threshold(of_size, rule) for rule in RULES)
        by_size.append(f"{n}: {before:.3f} {after:.3f}")
    before, after = (share_with_threshold(results, rule) for rule in RULES)
    at_limit = np.mean([search.errors > limit for search in results])
    print(
        f"c  {title}: threshold in {before:.3f} before, {after:.3f} after "
        f"({at_limit:.3f} by the rule before, held to 5 %); by n {', '.join(by_size)}",
        flush=True,
    )


def wrong_share(pattern: Pattern, ordered: bool, results: Sequence[Search], rule: str) -> float:
    """Return the share of items whose accepted responses truly agree less than the target."""
    figure = quadratic_weighted_kappa if ordered else exact_agreement
    shares = np.linspace(0.01, 1, 100)
    truth = [true_agreement(pattern, TARGET, ordered, share, figure) for share in shares]
    accepted = np.array([getattr(search, rule) / search.n for search in results])
    too_low = np.interp(accepted, shares, truth) < TARGET
    return float(np.mean(too_low & (accepted > 0)))
