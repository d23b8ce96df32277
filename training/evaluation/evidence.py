"""The evidence of a student on marked responses: agreement, its figures, and the shares of flagged responses.

Training and evaluation both measure here.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from app.scoring.agreement import Agreement, equal_scores, interval_coverage, none_if_nan
from app.scoring.bundle import Head
from app.scoring.decision import Judgement, LiveItem, LoadedStudent
from app.scoring.decoding import Score, decode, softmax
from app.scoring.evidence import (
    Accepted,
    AttackFigures,
    Evidence,
    GroupFigures,
    by_group,
    difference_of_standardised_means,
    expected_calibration_error,
    recalls,
)
from app.scoring.item import Item
from app.scoring.live_version import Active
from app.scoring.student import Student
from training.data.responses import MarkedResponse
from training.evaluation.agreement import agreement_on
from training.evaluation.attacks import JUNK


@dataclass(frozen=True, slots=True)
class Pair:
    """A marked response and its machine score."""

    row: MarkedResponse
    score: Score
    stands: bool  # whether the score would stand without a person


def scored_pairs(live: LiveItem, rows: Sequence[MarkedResponse], judgements: Sequence[Judgement]) -> list[Pair]:
    """Return a pair for each row that a model scored."""
    return [
        Pair(row, judgement.score, live.stands(judgement))
        for row, judgement in zip(rows, judgements, strict=True)
        if judgement.score is not None
    ]


def on_trial(student: Student) -> LiveItem:
    """Return a student as the service would hold it, before anyone has released it."""
    bundle = student.bundle
    active = Active(
        version=bundle.version,
        mode="suggest",
        by="scorelet-train",
        at=bundle.provenance.created_at,
        reason="on trial",
        metadata_sha256=student.metadata_sha256,
        gate=bundle.gate,
    )
    return LiveItem(bundle, LoadedStudent(student), active)


@dataclass(frozen=True, slots=True)
class Measured:
    """All figures of a student on marked responses."""

    agreement: Agreement | None
    evidence: Evidence
    flagged: dict[str, float]  # share of responses with each condition or flag


def measured(student: Student, rows: Sequence[MarkedResponse], tried: Mapping[str, Sequence[str]]) -> Measured:
    """Return the figures of a student on marked rows and on attacks, `tried`, by kind."""
    live, item = on_trial(student), student.bundle.item
    judgements = live.judge([row.text for row in rows])
    pairs = scored_pairs(live, rows, judgements)
    evidence = evidence_of(item, pairs).model_copy(update={"attacks": attacked(live, tried)})
    if pairs:
        before = expected_calibration_error(uncalibrated(student, pairs), correct(item, pairs))
        evidence = evidence.model_copy(update={"ece_uncalibrated": before})
    return Measured(agreement_of(item, pairs), evidence, flagged(judgements))


def uncalibrated(student: Student, pairs: Sequence[Pair]) -> list[float]:
    """Return the network's uncalibrated probability of each score given."""
    item, outputs = student.bundle.item, student.network.outputs([pair.row.text for pair in pairs])
    if item.is_continuous:
        head = Head(cuts=None, interval=student.bundle.head.interval)
        return [score.confidence for score in decode(outputs, item, head)]
    chosen = [int(pair.score.value) for pair in pairs]
    return [float(row[choice]) for row, choice in zip(softmax(outputs), chosen, strict=True)]


def correct(item: Item, pairs: Sequence[Pair]) -> list[bool]:
    """Return whether each machine score equals the human one, within the item's tolerance."""
    human, machine = _values(pairs)
    return equal_scores(human, machine, item.tolerance).tolist() if pairs else []


def agreement_of(item: Item, pairs: Sequence[Pair]) -> Agreement | None:
    """Return the agreement of machine with human scores; None without pairs."""
    return agreement_on(item, [pair.row for pair in pairs], [pair.score for pair in pairs])


def evidence_of(item: Item, pairs: Sequence[Pair]) -> Evidence:
    """Return the evidence without attacks and without the calibration error before calibration."""
    if not pairs:
        return Evidence(n=0)
    human, machine = _values(pairs)
    accepted = [pair for pair in pairs if pair.stands]
    confidence = [pair.score.confidence for pair in pairs]
    return Evidence(
        n=len(pairs),
        ece=expected_calibration_error(confidence, correct(item, pairs)),
        coverage=_coverage(pairs),
        set_size=_set_size(pairs),
        accepted=Accepted(share=len(accepted) / len(pairs), agreement=agreement_of(item, accepted)),
        recalls=recalls(human, machine, dict(enumerate(item.names()))),
        groups=groups_of(item, pairs),
    )


def _values(pairs: Sequence[Pair]) -> tuple[list[float], list[float]]:
    """Return human and machine values."""
    return [pair.row.value for pair in pairs], [pair.score.value for pair in pairs]


def _set_size(pairs: Sequence[Pair]) -> float | None:
    """Return the mean size of prediction sets; None if no score has one."""
    sizes = [len(pair.score.prediction_set) for pair in pairs if pair.score.prediction_set is not None]
    return float(np.mean(sizes)) if sizes else None


def _coverage(pairs: Sequence[Pair]) -> float | None:
    """Return the share of human scores in their intervals or prediction sets; None if scores lack both."""
    intervals = [pair.score.interval for pair in pairs if pair.score.interval is not None]
    if len(intervals) == len(pairs):
        return interval_coverage([pair.row.value for pair in pairs], intervals)
    sets = [(pair.row.value, pair.score.prediction_set) for pair in pairs if pair.score.prediction_set is not None]
    if len(sets) == len(pairs):
        return float(np.mean([value in choices for value, choices in sets]))
    return None


def groups_of(item: Item, pairs: Sequence[Pair]) -> dict[str, GroupFigures]:
    """Return figures of each group of learners, machine beside human scores."""
    human, machine = (np.array(values, float) for values in _values(pairs))
    groups = by_group([dict(pair.row.groups) for pair in pairs])
    figures = {}
    for name, members in groups.items():
        dsm = None
        if item.is_ordered:
            dsm = none_if_nan(difference_of_standardised_means(human[members], machine[members], human, machine))
        figures[name] = GroupFigures(
            n=int(members.sum()),
            dsm=dsm,
            mean_difference=float((machine[members] - human[members]).mean()),
            agreement=agreement_of(item, [pair for pair, inside in zip(pairs, members, strict=True) if inside]),
        )
    return figures


def attacked(live: LiveItem, tried: Mapping[str, Sequence[str]]) -> dict[str, AttackFigures]:
    """Return the shares of attacks, by kind, that would stand as worth something."""
    return {name: _attack_figures(live, list(texts), name in JUNK) for name, texts in tried.items()}


def _attack_figures(live: LiveItem, texts: list[str], junk: bool) -> AttackFigures:
    item, threshold = live.bundle.item, live.bundle.threshold
    judgements, scores = live.judge_fully(texts), live.score_unguarded(texts)
    guarded = [live.stands(judgement) and is_worth(item, judgement.score) for judgement in judgements]
    unguarded = [threshold is not None and score.confidence >= threshold and is_worth(item, score) for score in scores]
    return AttackFigures(n=len(texts), accepted=float(np.mean(guarded)), unguarded=float(np.mean(unguarded)), junk=junk)


def is_worth(item: Item, score: Score | None) -> bool:
    """Return whether a score is better than the worst; any label without order is."""
    if score is None:
        return False
    return not item.is_worst(score.value, within=item.tolerance)


def flagged(judgements: Sequence[Judgement]) -> dict[str, float]:
    """Return the share of responses with each condition or flag that any response has."""
    names = Counter(
        name
        for judgement in judgements
        for name in ((judgement.condition,) if judgement.condition else judgement.flags)
    )
    return {name: round(count / len(judgements), 4) for name, count in sorted(names.items())}
