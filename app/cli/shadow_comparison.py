"""Compare a version in the shadow with the live version on responses that both have scored."""

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
class Agreement:
    """Agreement of two scorers, human or machine, on responses that both scored.  None: undefined."""

    n: int
    exact: float | None = None  # share of equal scores or labels, or of grades within the item's tolerance
    qwk: float | None = None  # None for labels without an order
    distance: float | None = None  # mean absolute difference in points; None for labels without an order


@dataclass(frozen=True, slots=True)
class Comparison:
    """Agreement of the live version, the shadow version and human marks."""

    n: int
    between: Agreement
    live_with_people: Agreement
    shadow_with_people: Agreement
    live_stands: float | None  # share of scores that may stand in mode auto, by the version's own threshold
    shadow_stands: float | None


def compare(session: Session, live: Bundle, shadow: str) -> Comparison:
    """Compare the students of two versions, without teachers, on every response that both scored."""
    item = live.item
    rows = shadowed_responses(session, item.item_id, live.version, shadow)
    return Comparison(
        n=len(rows),
        between=agreement_of(item, [(row.live, row.shadow) for row in rows]),
        live_with_people=agreement_of(item, [(row.human, row.live) for row in rows]),
        shadow_with_people=agreement_of(item, [(row.human, row.shadow) for row in rows]),
        live_stands=_share([_stands(row, live.threshold) for row in rows]),
        shadow_stands=_share([row.shadow_decision == "auto" for row in rows]),
    )


def agreement_of(item: Item, pairs: Sequence[tuple[ScoreOrLabel, ScoreOrLabel]]) -> Agreement:
    """Return the agreement on pairs in which both scorers gave a valid score or label."""
    values = [(_value(item, first), _value(item, second)) for first, second in pairs]
    complete = np.array([pair for pair in values if None not in pair], float)
    if not len(complete):
        return Agreement(0)
    first_scorer, second_scorer = complete.T
    exact = exact_agreement(first_scorer, second_scorer, item.tolerance)
    if not item.is_ordered:
        return Agreement(len(complete), exact)
    qwk = quadratic_weighted_kappa(first_scorer, second_scorer)
    distance = mean_absolute_error(first_scorer, second_scorer)
    return Agreement(len(complete), exact, none_if_nan(qwk), none_if_nan(distance))


def _value(item: Item, score_or_label: ScoreOrLabel) -> float | None:
    score, label = score_or_label
    if item.labels is None:
        return None if score is None or not item.has_score(score) else item.value_of(score)
    return item.labels.index(label) if label in item.labels else None


def _stands(row: ShadowedResponse, threshold: float | None) -> bool:
    if row.live_confidence is None or row.live_flags:
        return False
    return decide(row.live_confidence, threshold, "auto") == "auto"


def _share(flags: Sequence[bool]) -> float | None:
    return sum(flags) / len(flags) if flags else None
