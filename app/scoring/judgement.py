"""What becomes of a response: condition, score, decision.  Service, command line and evaluation all decide here."""

from dataclasses import dataclass
from typing import Literal, Protocol

from app.scoring.active import Active
from app.scoring.bundle import Bundle
from app.scoring.conditions import Condition, Finding, Flag
from app.scoring.decoding import Score

Decision = Literal["auto", "review", "not_scorable"]


class Scorer(Protocol):
    """What a judgement needs of a student; tests give it a fake."""

    def score(self, responses: list[str]) -> list[Score]: ...


class Examiner(Protocol):
    def examine(self, response: str) -> Finding: ...


@dataclass(frozen=True, slots=True)
class Judgement:
    """Either a score with a decision, or the condition for which no model may score the response."""

    score: Score | None
    condition: Condition | None
    flags: tuple[Flag, ...]
    decision: Decision

    @property
    def scored_by(self) -> Literal["student", "rule"]:
        return "rule" if self.score is None else "student"


class LiveItem:
    """An item as it is served: its student, and what ACTIVE says of it."""

    def __init__(self, bundle: Bundle, student: Scorer, examiner: Examiner, active: Active) -> None:
        self.bundle = bundle
        self.active = active
        self._student = student
        self._examiner = examiner

    def judge(self, responses: list[str]) -> list[Judgement]:
        """One judgement a response, in order; the student sees all that no condition holds back in one call."""
        found = [self._examiner.examine(text) for text in responses]
        scorable = [text for text, own in zip(responses, found, strict=True) if own.condition is None]
        scores = iter(self._student.score(scorable) if scorable else [])
        return [
            Judgement(None, own.condition, (), "not_scorable")
            if own.condition
            else self._decided(next(scores), own.flags)
            for own in found
        ]

    def _decided(self, score: Score, flags: tuple[Flag, ...]) -> Judgement:
        decision = decide(score.confidence, self.bundle.threshold, self.active.mode)
        return Judgement(score, None, flags, "review" if flags else decision)


def decide(confidence: float, threshold: float | None, mode: Literal["auto", "suggest"]) -> Decision:
    """`auto` if the item may score alone and the student is sure enough, else a person looks."""
    return "auto" if mode == "auto" and threshold is not None and confidence >= threshold else "review"
