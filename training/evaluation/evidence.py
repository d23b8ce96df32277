"""What a student shows on marked responses: agreement, evidence, flagged shares; `run` and `evaluate` measure so."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from app.scoring.agreement import Agreement, equal_scores, interval_coverage, none_if_nan
from app.scoring.bundle import Head
from app.scoring.decision import AtHand, Judgement, LiveItem
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
from app.scoring.release import Active
from app.scoring.student import Student
from training.data.responses import MarkedResponse
from training.evaluation.agreement import agreement_on
from training.evaluation.attacks import JUNK


@dataclass(frozen=True, slots=True)
class Pair:
    """A response with its human score, and what the machine gave it."""

    row: MarkedResponse
    score: Score
    stands: bool  # whether it would without a person


def pairs_of(live: LiveItem, rows: Sequence[MarkedResponse], judged: Sequence[Judgement]) -> list[Pair]:
    """Of the rows that a model scored."""
    return [
        Pair(row, own.score, live.stands(own)) for row, own in zip(rows, judged, strict=True) if own.score is not None
    ]


def on_trial(student: Student) -> LiveItem:
    """A student as it will be served, before anyone has released it."""
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
    return LiveItem(bundle, AtHand(student), active)


@dataclass(frozen=True, slots=True)
class Measured:
    agreement: Agreement | None
    evidence: Evidence
    flagged: dict[str, float]  # share of responses under each condition or flag that held for any


def measured(student: Student, rows: Sequence[MarkedResponse], tried: Mapping[str, Sequence[str]]) -> Measured:
    """`tried`: attacks."""
    live, item = on_trial(student), student.bundle.item
    judged = live.judge([row.text for row in rows])
    found = pairs_of(live, rows, judged)
    evidence = evidence_of(item, found).model_copy(update={"attacks": attacked(live, tried)})
    if found:
        raw = uncalibrated(student, found)
        before = expected_calibration_error(raw, correct(item, found))
        evidence = evidence.model_copy(update={"ece_uncalibrated": before})
    return Measured(agreement_of(item, found), evidence, flagged(judged))


def uncalibrated(student: Student, found: Sequence[Pair]) -> list[float]:
    """The network's own probability of each score given."""
    item, outputs = student.bundle.item, student.network.outputs([pair.row.text for pair in found])
    if item.is_continuous:
        plain = Head(cuts=None, interval=student.bundle.head.interval)
        return [own.confidence for own in decode(outputs, item, plain)]
    return [float(row[int(pair.score.value)]) for row, pair in zip(softmax(outputs), found, strict=True)]


def correct(item: Item, found: Sequence[Pair]) -> list[bool]:
    human, machine = [pair.row.value for pair in found], [pair.score.value for pair in found]
    return equal_scores(human, machine, item.tolerance).tolist() if found else []


def agreement_of(item: Item, found: Sequence[Pair]) -> Agreement | None:
    return agreement_on(item, [pair.row for pair in found], [pair.score for pair in found])


def evidence_of(item: Item, found: Sequence[Pair]) -> Evidence:
    """All but the attacks, and the error before calibration."""
    if not found:
        return Evidence(n=0)
    human, machine = [pair.row.value for pair in found], [pair.score.value for pair in found]
    standing = [pair for pair in found if pair.stands]
    names = dict(enumerate(item.names()))
    sets = [pair.score.prediction_set for pair in found if pair.score.prediction_set is not None]
    intervals = [pair.score.interval for pair in found if pair.score.interval is not None]
    coverage = None
    if len(intervals) == len(found):
        coverage = interval_coverage(human, intervals)
    elif len(sets) == len(found):
        coverage = float(np.mean([value in own for value, own in zip(human, sets, strict=True)]))
    return Evidence(
        n=len(found),
        ece=expected_calibration_error([pair.score.confidence for pair in found], correct(item, found)),
        coverage=coverage,
        set_size=float(np.mean([len(own) for own in sets])) if sets else None,
        accepted=Accepted(share=len(standing) / len(found), agreement=agreement_of(item, standing)),
        recalls=recalls(human, machine, names),
        groups=groups_of(item, found),
    )


def groups_of(item: Item, found: Sequence[Pair]) -> dict[str, GroupFigures]:
    human = np.array([pair.row.value for pair in found], float)
    machine = np.array([pair.score.value for pair in found], float)
    return {
        name: GroupFigures(
            n=int(own.sum()),
            dsm=none_if_nan(difference_of_standardised_means(human[own], machine[own], human, machine))
            if item.is_ordered
            else None,
            mean_difference=float((machine[own] - human[own]).mean()),
            agreement=agreement_of(item, [pair for pair, inside in zip(found, own, strict=True) if inside]),
        )
        for name, own in by_group([dict(pair.row.groups) for pair in found]).items()
    }


def attacked(live: LiveItem, tried: Mapping[str, Sequence[str]]) -> dict[str, AttackFigures]:
    return {name: _attacked_by(live, list(texts), name in JUNK) for name, texts in tried.items()}


def _attacked_by(live: LiveItem, texts: list[str], junk: bool) -> AttackFigures:
    item, threshold = live.bundle.item, live.bundle.threshold
    guarded = [live.stands(own) and is_worth(item, own.score) for own in live.judge_fully(texts)]
    unguarded = [
        threshold is not None and own.confidence >= threshold and is_worth(item, own)
        for own in live.score_unguarded(texts)
    ]
    return AttackFigures(n=len(texts), accepted=float(np.mean(guarded)), unguarded=float(np.mean(unguarded)), junk=junk)


def is_worth(item: Item, score: Score | None) -> bool:
    """Return whether it is better than the worst score; any label is where none is the worst."""
    if score is None:
        return False
    return not item.is_worst(score.value, within=item.tolerance)


def flagged(judged: Sequence[Judgement]) -> dict[str, float]:
    """Share of responses under each condition or flag that held for any."""
    names = Counter(name for own in judged for name in ((own.condition,) if own.condition else own.flags))
    return {name: round(count / len(judged), 4) for name, count in sorted(names.items())}
