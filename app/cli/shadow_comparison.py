"""A version in the shadow against the live one, on what both have scored: for whoever decides which is to be live."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sqlalchemy.orm import Session

from app.scoring.agreement import exact_agreement, mean_absolute_error, none_if_nan, quadratic_weighted_kappa
from app.scoring.bundle import Bundle
from app.scoring.decision import decide
from app.scoring.item import Item
from app.storage.queries import ScoreOrLabel, ShadowedResponse, shadowed_responses


@dataclass(frozen=True, slots=True)
class Closeness:
    """How near two givers of scores are, on what both gave one; None where that is not defined."""

    n: int
    same: float | None = None  # share of the same score or label, or of grades within the item's tolerance
    qwk: float | None = None  # None for labels without an order
    distance: float | None = None  # mean absolute, in points; None for labels without an order


@dataclass(frozen=True, slots=True)
class Comparison:
    n: int
    between: Closeness
    live_with_people: Closeness
    shadow_with_people: Closeness
    live_stands: float | None  # share of scores that may stand, each by its own threshold, were both in mode auto
    shadow_stands: float | None


def compare(session: Session, live: Bundle, shadow: str) -> Comparison:
    """Of all responses that `live` has scored and `shadow` beside it: what the students said, no teacher."""
    item = live.item
    rows = shadowed_responses(session, item.item_id, live.version, shadow)
    return Comparison(
        n=len(rows),
        between=closeness(item, [(row.live, row.shadow) for row in rows]),
        live_with_people=closeness(item, [(row.human, row.live) for row in rows]),
        shadow_with_people=closeness(item, [(row.human, row.shadow) for row in rows]),
        live_stands=_share([_stands(row, live.threshold) for row in rows]),
        shadow_stands=_share([row.shadow_decision == "auto" for row in rows]),
    )


def closeness(item: Item, pairs: Sequence[tuple[ScoreOrLabel, ScoreOrLabel]]) -> Closeness:
    values = [(_value(item, one), _value(item, other)) for one, other in pairs]
    both = np.array([pair for pair in values if None not in pair], float)
    if not len(both):
        return Closeness(0)
    one, other = both.T
    same = exact_agreement(one, other, item.tolerance)
    if not item.is_ordered:
        return Closeness(len(both), same)
    return Closeness(
        len(both), same, none_if_nan(quadratic_weighted_kappa(one, other)), none_if_nan(mean_absolute_error(one, other))
    )


def _value(item: Item, given: ScoreOrLabel) -> float | None:
    score, label = given
    if item.labels is None:
        return None if score is None or not item.has_score(score) else item.value_of(score)
    return item.labels.index(label) if label in item.labels else None


def _stands(row: ShadowedResponse, threshold: float | None) -> bool:
    if row.live_confidence is None or row.live_flags:
        return False
    return decide(row.live_confidence, threshold, "auto") == "auto"


def _share(stand: Sequence[bool]) -> float | None:
    return sum(stand) / len(stand) if stand else None
