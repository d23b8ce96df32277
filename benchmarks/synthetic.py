"""Synthetic raters and machines for benchmarks/choices.py, by an ordinal probit model, so that true agreement is known.

A response has a worth x, normal around its item's mean.  The rater's score is the number of CUTS below x.  A machine
sees x + noise · e, with e standard normal, and gives the probabilities of the scores by Bayes' rule.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import norm

from app.scoring.agreement import quadratic_weighted_kappa
from app.scoring.item import Item

Floats = NDArray[np.float64]
ITEM = Item(item_id="synthetic", prompt="A question.", scale="points", max_score=3)
CUTS = norm.ppf([0.25, 0.5, 0.75])
KNOWN = 200_000  # responses that a true agreement is computed from
STEEP = 1.2  # the noise grows by exp(STEEP) from the most confident response to the least
TILT = 0.12  # exact agreement falls by 2 TILT from the most confident response to the least


def raters(worth: Floats) -> Floats:
    return np.searchsorted(CUTS, worth).astype(float)


def logits(worth: Floats, noise: float, mean: float, generator: np.random.Generator, bias: float = 0.0) -> Floats:
    """Return log probabilities (responses, 4) by a machine that knows the item's mean, but not its own bias."""
    perceived = worth + noise * generator.standard_normal(len(worth)) + bias
    share = 1 / (1 + noise**2)
    middle, deviation = mean + share * (perceived - mean), np.sqrt(1 - share)
    standardised = (CUTS - middle[:, None]) / deviation
    below = norm.cdf(standardised)
    padded = np.pad(below, ((0, 0), (1, 1)), constant_values=((0, 0), (0, 1)))
    probabilities = np.diff(padded, axis=1)
    return np.log(np.maximum(probabilities, 1e-12))


def both(noise: Floats, generator: np.random.Generator) -> tuple[Floats, Floats]:
    """Return scores of a rater and a machine, equally distributed; `noise` (responses) sets their differences."""
    worth = generator.standard_normal(len(noise))
    correlation = 1 / np.sqrt(1 + noise**2)
    residual = np.sqrt(1 - correlation**2) * generator.standard_normal(len(noise))
    return raters(worth), raters(correlation * worth + residual)


@dataclass(frozen=True)
class Pattern:
    """Agreement as a function of the rank of a response's confidence: 0 is the most confident, 1 the least.

    The agreement of all responses up to rank `share` is the target plus `above`.
    """

    name: str
    slope: float  # 1: confidence is informative; 0: uninformative; -1: misleading
    above: float
    share: float = 1.0


NULL = (Pattern("flat", 0, 0.0), Pattern("confidence tells", 1, 0.0, 0.02), Pattern("confidence misleads", -1, 0.0))
TRUE = (Pattern("flat", 0, 0.05), Pattern("confidence tells", 1, 0.05))
HALF = Pattern("surest half", 1, 0.05, 0.5)


@cache
def _level(pattern: Pattern, target: float, ordered: bool) -> float:
    """Return the noise, or the share of equal scores, at the middle rank, so that the pattern has its agreement."""
    if not ordered:
        return target + pattern.above - pattern.slope * TILT * (1 - pattern.share)
    ranks = np.linspace(0, pattern.share, KNOWN)

    def excess(logarithm: float) -> float:
        noise = np.exp(logarithm + pattern.slope * STEEP * (ranks - 0.5))
        human, machine = both(noise, np.random.default_rng(0))
        return quadratic_weighted_kappa(human, machine) - target - pattern.above

    return float(np.exp(brentq(excess, -5, 1.5, xtol=1e-4)))


def scored(
    pattern: Pattern, target: float, ordered: bool, ranks: Floats, generator: np.random.Generator
) -> tuple[Floats, Floats]:
    """Return human and machine scores of responses with the given ranks of confidence."""
    level = _level(pattern, target, ordered)
    if ordered:
        noise = level * np.exp(pattern.slope * STEEP * (ranks - 0.5))
        return both(noise, generator)
    probability = level + pattern.slope * TILT * (1 - 2 * ranks)
    equal = generator.random(len(ranks)) < probability
    return np.ones(len(ranks)), equal.astype(float)


def true_agreement(
    pattern: Pattern, target: float, ordered: bool, share: float, figure: Callable[[Floats, Floats], float]
) -> float:
    """Return the agreement of all responses up to rank `share`."""
    ranks = np.linspace(0, share, KNOWN)
    human, machine = scored(pattern, target, ordered, ranks, np.random.default_rng(1))
    return figure(human, machine)
