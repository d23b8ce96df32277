"""What becomes of a response: condition, score, decision.  Service, command line and evaluation all decide here."""

from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

from app.scoring.bundle import Bundle
from app.scoring.conditions import Condition, Examination, Flag
from app.scoring.decoding import Score
from app.scoring.errors import CodedError
from app.scoring.release import Active, Mode
from app.scoring.teacher import ExportedTeacher, TaughtItem
from app.scoring.text import Format, read_response

Decision = Literal["auto", "review", "not_scorable"]
ScoredBy = Literal["student", "teacher", "rule"]
NO_ANSWER: tuple[Condition, ...] = ("blank", "refusal")  # an owner may decide that they are given the worst score


class Scorer(Protocol):
    """What a judgement needs of a student; tests give it a fake."""

    def read(self, responses: list[str]) -> list[Any]: ...

    def examine(self, response: str, read: Any) -> Examination: ...

    def score_read(self, read: list[Any]) -> list[Score]: ...


class Source(Protocol):
    """Where an item's student is taken from: the shelf, which may have to read it first."""

    @property
    def at_hand(self) -> bool: ...

    def take(self) -> Scorer: ...


@dataclass(frozen=True, slots=True)
class AtHand:
    """A student that is in memory anyway."""

    student: Scorer
    at_hand: Literal[True] = True

    def take(self) -> Scorer:
        return self.student


@dataclass(frozen=True, slots=True)
class Judgement:
    """A model's score with a decision, or the condition for which no model may score the response.

    Where the item's owner so decided, a rule gives NO_ANSWER the worst score, and it stands.
    """

    score: Score | None
    condition: Condition | None
    flags: tuple[Flag, ...]
    decision: Decision
    text: str  # the response as it was read: fall-back and feedback read this text too
    unsure: bool = False  # the student is not sure enough, and nothing but that is against its score
    first: Score | None = None  # the student's, where a teacher was asked and answered
    by_rule: int | float | None = None  # the value that a rule gave; no figure of a model counts it

    @property
    def value(self) -> int | float | None:
        """The value given, by a model or by a rule."""
        return self.by_rule if self.score is None else self.score.value

    @property
    def scored_by(self) -> ScoredBy:
        if self.score is None:
            return "rule"
        return "student" if self.first is None else "teacher"


class SecondScorer:
    """The teacher that may be asked about one item."""

    def __init__(self, teacher: ExportedTeacher, taught: TaughtItem, policy: Literal["unsure", "shadow"]) -> None:
        self.policy = policy
        self.title = teacher.title
        self.threshold = taught.threshold
        self._teacher, self._taught = teacher, taught

    def score(self, response: str) -> Score:
        return self._teacher.score(self._taught, response)


class LiveItem:
    """An item as it is served: its student, what ACTIVE says of it, and the teacher it may fall back on."""

    def __init__(
        self,
        bundle: Bundle,
        source: Source,
        active: Active,
        second: SecondScorer | None = None,
    ) -> None:
        self.shadow: ShadowItem | None = None
        self.without_shadow: CodedError | None = None  # why there is none although there should be
        self.bundle = bundle
        self.source = source
        self.active = active
        self.second = second

    def read(self, sent: str, form: Format | None) -> str:
        """Return the plain text of a response; `form` of a call goes before the item's.  Raises BadText."""
        return read_response(sent, form or self.bundle.item.format)

    def judge(self, responses: list[str]) -> list[Judgement]:
        """One judgement a response, in order, by the student alone.  Raises BadBundle where it cannot be read again."""
        worst = None if self.active.blank_is_worst is None else self.bundle.item.worst
        return judge(responses, self.source.take(), self.bundle.threshold, self.active.mode, worst)

    def falls_back(self, judgement: Judgement) -> bool:
        """Whether the teacher is to be asked."""
        return judgement.unsure and self.second is not None and self.second.policy == "unsure"

    def judge_again(self, judgement: Judgement, score: Score | None) -> Judgement:
        """With what the teacher said; None: it could not, and a person looks."""
        if score is None or self.second is None:
            return replace(judgement, decision="review")
        decision = decide(score.confidence, self.second.threshold, self.active.mode)
        return replace(judgement, score=score, decision=decision, first=judgement.score)

    def stands(self, judgement: Judgement) -> bool:
        """Whether the score would be given without a person, if the item is, or were, in mode auto."""
        if judgement.score is None or judgement.flags:
            return False
        by_teacher = judgement.scored_by == "teacher" and self.second is not None
        threshold = self.second.threshold if by_teacher and self.second else self.bundle.threshold
        return decide(judgement.score.confidence, threshold, "auto") == "auto"

    def score_unguarded(self, responses: list[str]) -> list[Score]:
        """What the student says of each, conditions or not."""
        student = self.source.take()
        return student.score_read(student.read(responses))

    def judge_fully(self, responses: list[str]) -> list[Judgement]:
        """One judgement a response, in order, the teacher's where it is to be asked, however long that takes."""
        return [
            self.judge_again(own, self._second_score(text)) if self.falls_back(own) else own
            for text, own in zip(responses, self.judge(responses), strict=True)
        ]

    def _second_score(self, response: str) -> Score | None:
        try:
            return self.second.score(response) if self.second else None
        except Exception:  # whatever it is: a person looks, as in the service
            return None


class ShadowItem:
    """Another version of an item's bundle, as it would judge if it were live in mode auto."""

    def __init__(self, bundle: Bundle, source: Source) -> None:
        self.bundle = bundle
        self.source = source

    def read(self, sent: str, form: Format | None) -> str:
        """Return the plain text as this version reads it: its item may have another format.  Raises BadText."""
        return read_response(sent, form or self.bundle.item.format)

    def judge(self, responses: list[str]) -> list[Judgement]:
        """Judge by the student alone: a rule of the live version would hide what this one does.

        Raises BadBundle where its student cannot be read again.
        """
        return judge(responses, self.source.take(), self.bundle.threshold, "auto")


def judge(
    responses: list[str], student: Scorer, threshold: float | None, mode: Mode, worst: int | float | None = None
) -> list[Judgement]:
    """One judgement a response, in order; the student sees all that no condition holds back in one call.

    `worst`: the value that a rule gives NO_ANSWER, whatever the mode: a mode is about a model's scores.
    """
    read = student.read(responses)
    found = [student.examine(text, ids) for text, ids in zip(responses, read, strict=True)]
    scorable = [ids for ids, own in zip(read, found, strict=True) if own.condition is None]
    scores = iter(student.score_read(scorable) if scorable else [])
    return [
        _held_back(text, own.condition, worst)
        if own.condition
        else _decided(text, next(scores), own.flags, threshold, mode)
        for text, own in zip(responses, found, strict=True)
    ]


def _held_back(text: str, condition: Condition, worst: int | float | None) -> Judgement:
    if worst is None or condition not in NO_ANSWER:
        return Judgement(None, condition, (), "not_scorable", text)
    return Judgement(None, condition, (), "auto", text, by_rule=worst)


def _decided(text: str, score: Score, flags: tuple[Flag, ...], threshold: float | None, mode: Mode) -> Judgement:
    unsure = not flags and (threshold is None or score.confidence < threshold)
    decision: Decision = "review" if flags else decide(score.confidence, threshold, mode)
    return Judgement(score, None, flags, decision, text, unsure)


def decide(confidence: float, threshold: float | None, mode: Mode) -> Decision:
    """`auto` if the item may score alone and the student is sure enough, else a person looks."""
    return "auto" if mode == "auto" and threshold is not None and confidence >= threshold else "review"
