"""Synthetic raters and machines for benchmarks/choices.py: ordinal probit, so that every true agreement is known.

A response has a worth x, normal about its item's mean.  The rater's score is the number of CUTS below x.  A machine
sees x + noise · e, e standard normal, and gives the probabilities of the scores that follow for it by Bayes' rule.
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
KNOWN = 200_000  # responses by which a true agreement is computed
STEEP = 1.2  # the noise grows by exp(STEEP) from the surest response to the least sure
TILT = 0.12  # exact agreement falls by twice this from the surest to the least sure


def raters(worth: Floats) -> Floats:
    return np.searchsorted(CUTS, worth).astype(float)


def logits(worth: Floats, noise: float, mean: float, generator: np.random.Generator, bias: float = 0.0) -> Floats:
    """Return (responses, 4): log probabilities by a machine that knows the item's mean, but not its bias."""
    seen = worth + noise * generator.standard_normal(len(worth)) + bias
    share = 1 / (1 + noise**2)
    middle, deviation = mean + share * (seen - mean), np.sqrt(1 - share)
    below = norm.cdf((CUTS - middle[:, None]) / deviation)
    padded = np.hstack([np.zeros((len(seen), 1)), below, np.ones((len(seen), 1))])
    return np.log(np.maximum(np.diff(padded, axis=1), 1e-12))


def both(noise: Floats, generator: np.random.Generator) -> tuple[Floats, Floats]:
    """Return a rater's and a machine's scores, each as often; they differ as the noise of each response says."""
    worth = generator.standard_normal(len(noise))
    r = 1 / np.sqrt(1 + noise**2)
    return raters(worth), raters(r * worth + np.sqrt(1 - r**2) * generator.standard_normal(len(noise)))


@dataclass(frozen=True)
class Pattern:
    """How agreement depends on the rank u of a response's confidence, 0 the surest, 1 the least sure.

    The agreement of all responses up to rank `share` is the target and `above`.
    """

    name: str
    slope: float  # 1: confidence tells; 0: it tells nothing; -1: it misleads
    above: float
    share: float = 1.0


NULL = (Pattern("flat", 0, 0.0), Pattern("confidence tells", 1, 0.0, 0.02), Pattern("confidence misleads", -1, 0.0))
TRUE = (Pattern("flat", 0, 0.05), Pattern("confidence tells", 1, 0.05))
HALF = Pattern("surest half", 1, 0.05, 0.5)


@cache
def _level(pattern: Pattern, target: float, ordered: bool) -> float:
    """Return the noise, or share of equal scores, at the middle rank by which the pattern has its agreement."""
    if not ordered:
        return target + pattern.above - pattern.slope * TILT * (1 - pattern.share)
    ranks = np.linspace(0, pattern.share, KNOWN)

    def over(logarithm: float) -> float:
        noise = np.exp(logarithm + pattern.slope * STEEP * (ranks - 0.5))
        return quadratic_weighted_kappa(*both(noise, np.random.default_rng(0))) - target - pattern.above

    return float(np.exp(brentq(over, -5, 1.5, xtol=1e-4)))


def scored(
    pattern: Pattern, target: float, ordered: bool, ranks: Floats, generator: np.random.Generator
) -> tuple[Floats, Floats]:
    """Return human and machine scores of responses of these ranks."""
    level = _level(pattern, target, ordered)
    if ordered:
        return both(level * np.exp(pattern.slope * STEEP * (ranks - 0.5)), generator)
    equal = generator.random(len(ranks)) < level + pattern.slope * TILT * (1 - 2 * ranks)
    return np.ones(len(ranks)), equal.astype(float)


def true_agreement(
    pattern: Pattern, target: float, ordered: bool, share: float, figure: Callable[[Floats, Floats], float]
) -> float:
    """Return the agreement of all responses up to a rank."""
    return figure(*scored(pattern, target, ordered, np.linspace(0, share, KNOWN), np.random.default_rng(1)))
