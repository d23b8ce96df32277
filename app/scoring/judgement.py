"""What becomes of a response: condition, score, decision.  Service, command line and evaluation all decide here."""

from dataclasses import dataclass
from typing import Literal, Protocol

from app.scoring.active import Active
from app.scoring.bundle import Bundle
from app.scoring.decoding import Score
from app.scoring.text import is_blank

Decision = Literal["auto", "review", "not_scorable"]
Condition = Literal["blank"]


class Scorer(Protocol):
    """What a judgement needs of a student; tests give it a fake."""

    def score(self, responses: list[str]) -> list[Score]: ...


@dataclass(frozen=True, slots=True)
class Judgement:
    """Either a score with a decision, or the condition for which no model may score the response."""

    score: Score | None
    condition: Condition | None
    decision: Decision

    @property
    def scored_by(self) -> Literal["student", "rule"]:
        return "rule" if self.score is None else "student"


class LiveItem:
    """An item as it is served: its student, and what ACTIVE says of it."""

    def __init__(self, bundle: Bundle, student: Scorer, active: Active) -> None:
        self.bundle = bundle
        self.active = active
        self._student = student

    def judge(self, responses: list[str]) -> list[Judgement]:
        """One judgement a response, in order; the student sees all that no condition holds back in one call."""
        conditions = [condition_of(text) for text in responses]
        scorable = [text for text, condition in zip(responses, conditions, strict=True) if condition is None]
        scores = iter(self._student.score(scorable) if scorable else [])
        return [
            Judgement(None, condition, "not_scorable") if condition else self._decided(next(scores))
            for condition in conditions
        ]

    def _decided(self, score: Score) -> Judgement:
        return Judgement(score, None, decide(score.confidence, self.bundle.threshold, self.active.mode))


def condition_of(response: str) -> Condition | None:
    """Why the response cannot be scored by a model, if so."""
    return "blank" if is_blank(response) else None


def decide(confidence: float, threshold: float | None, mode: Literal["auto", "suggest"]) -> Decision:
    """`auto` if the item may score alone and the student is sure enough, else a person looks."""
    return "auto" if mode == "auto" and threshold is not None and confidence >= threshold else "review"
