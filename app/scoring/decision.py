"""From a response to a condition, a score and a decision.  Service, command line and evaluation all decide here."""

from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

from app.scoring.bundle import Bundle
from app.scoring.conditions import Condition, Examination, Flag
from app.scoring.decoding import Score
from app.scoring.errors import CodedError
from app.scoring.live_version import Active, Mode
from app.scoring.teacher import ExportedTeacher, TaughtItem
from app.scoring.text import Format, read_response

Decision = Literal["auto", "review", "not_scorable"]
ScoredBy = Literal["student", "teacher", "rule"]
NO_ANSWER: tuple[Condition, ...] = ("blank", "refusal")  # an owner may decide that they get the worst score


class Scorer(Protocol):
    """The part of a student that a judgement needs; tests give a fake."""

    def read(self, responses: list[str]) -> list[Any]: ...

    def examine(self, response: str, read: Any) -> Examination: ...

    def score_read(self, read: list[Any]) -> list[Score]: ...


class StudentSource(Protocol):
    """A place that gives an item's student: the cache, which may have to read it first."""

    @property
    def is_loaded(self) -> bool: ...

    def take(self) -> Scorer: ...


@dataclass(frozen=True, slots=True)
class LoadedStudent:
    """A student that stays in memory."""

    student: Scorer
    is_loaded: Literal[True] = True

    def take(self) -> Scorer:
        """Return the student."""
        return self.student


@dataclass(frozen=True, slots=True)
class Judgement:
    """A model's score with a decision, or the condition for which no model may score the response.

    Where the item's owner so decided, a rule gives NO_ANSWER the worst score, and that score stands.
    """

    score: Score | None
    condition: Condition | None
    flags: tuple[Flag, ...]
    decision: Decision
    text: str  # as the student read it; teachers and feedback models read the same text
    unsure: bool = False  # the confidence is below the threshold, and nothing else speaks against the score
    first: Score | None = None  # the student's score, where a teacher's stands in its place
    by_rule: int | float | None = None  # the value that a rule gave; figures of models leave it out

    @property
    def value(self) -> int | float | None:
        """The value given, by a model or by a rule."""
        return self.by_rule if self.score is None else self.score.value

    @property
    def scored_by(self) -> ScoredBy:
        """The origin of the value."""
        if self.score is None:
            return "rule"
        return "student" if self.first is None else "teacher"


class SecondScorer:
    """The teacher of one item, asked after the student."""

    def __init__(self, teacher: ExportedTeacher, taught: TaughtItem, policy: Literal["unsure", "shadow"]) -> None:
        self.policy = policy
        self.title = teacher.title
        self.threshold = taught.threshold
        self._teacher, self._taught = teacher, taught

    def score(self, response: str) -> Score:
        """Return the teacher's score of a response's plain text."""
        return self._teacher.score(self._taught, response)


class LiveItem:
    """An item as it is served: its student, its ACTIVE, and the teacher it may fall back on."""

    def __init__(
        self, bundle: Bundle, source: StudentSource, active: Active, second: SecondScorer | None = None
    ) -> None:
        self.shadow: ShadowItem | None = None
        self.without_shadow: CodedError | None = None  # the reason, where ACTIVE names a shadow that was refused
        self.bundle = bundle
        self.source = source
        self.active = active
        self.second = second
        self.scale = bundle.item.scale_as_json()  # every row of the log keeps it, so it is made once

    def read(self, sent: str, form: Format | None) -> str:
        """Return the plain text of a response, in `form` or else in the item's format.  Raises BadText."""
        return read_response(sent, form or self.bundle.item.format)

    def judge(self, responses: list[str]) -> list[Judgement]:
        """Return one judgement for each plain text, in order, by the student alone.

        Raises BadBundle where an evicted student cannot be read again.
        """
        worst = None if self.active.blank_is_worst is None else self.bundle.item.worst
        return judge(responses, self.source.take(), self.bundle.threshold, self.active.mode, worst)

    def falls_back(self, judgement: Judgement) -> bool:
        """Return whether the teacher is to be asked."""
        return judgement.unsure and self.second is not None and self.second.policy == "unsure"

    def judge_again(self, judgement: Judgement, score: Score | None) -> Judgement:
        """Return the judgement with the teacher's score.  Without a score, the response goes to a person."""
        if score is None or self.second is None:
            return replace(judgement, decision="review")
        decision = decide(score.confidence, self.second.threshold, self.active.mode)
        return replace(judgement, score=score, decision=decision, first=judgement.score)

    def stands(self, judgement: Judgement) -> bool:
        """Return whether the score would stand without a person if the item were in mode auto."""
        if judgement.score is None or judgement.flags:
            return False
        by_teacher = judgement.scored_by == "teacher" and self.second is not None
        threshold = self.second.threshold if by_teacher and self.second else self.bundle.threshold
        return decide(judgement.score.confidence, threshold, "auto") == "auto"

    def score_unguarded(self, responses: list[str]) -> list[Score]:
        """Return the student's score of each plain text, whether or not a condition holds."""
        student = self.source.take()
        return student.score_read(student.read(responses))

    def judge_fully(self, responses: list[str]) -> list[Judgement]:
        """Return one judgement for each plain text, in order, after asking the teacher wherever the policy says so."""
        judgements = self.judge(responses)
        for index, judgement in enumerate(judgements):
            if self.falls_back(judgement):
                judgements[index] = self.judge_again(judgement, self._second_score(judgement.text))
        return judgements

    def _second_score(self, response: str) -> Score | None:
        try:
            return self.second.score(response) if self.second else None
        except Exception:  # any failure sends the response to a person, as in the service
            return None


class ShadowItem:
    """Another version of an item's bundle, judging as if it were live in mode auto."""

    def __init__(self, bundle: Bundle, source: StudentSource) -> None:
        self.bundle = bundle
        self.source = source

    def read(self, sent: str, form: Format | None) -> str:
        """Return the plain text as this version reads it: its item may have another format.  Raises BadText."""
        return read_response(sent, form or self.bundle.item.format)

    def judge(self, responses: list[str]) -> list[Judgement]:
        """Return judgements by the student alone: a rule of the live version would hide this student's score.

        Raises BadBundle where an evicted student cannot be read again.
        """
        return judge(responses, self.source.take(), self.bundle.threshold, "auto")


def judge(
    responses: list[str], student: Scorer, threshold: float | None, mode: Mode, worst: int | float | None = None
) -> list[Judgement]:
    """Return one judgement for each plain text, in order.

    The student scores all texts without a condition in one call.  `worst` is the value that a rule gives NO_ANSWER in
    either mode, because a mode is about a model's scores; None: no rule.
    """
    read = student.read(responses)
    examined = [student.examine(text, ids) for text, ids in zip(responses, read, strict=True)]
    scorable = [ids for ids, examination in zip(read, examined, strict=True) if examination.condition is None]
    scores = iter(student.score_read(scorable) if scorable else [])
    judgements = []
    for text, examination in zip(responses, examined, strict=True):
        if examination.condition:
            judgements.append(_held_back(text, examination.condition, worst))
        else:
            judgements.append(_decided(text, next(scores), examination.flags, threshold, mode))
    return judgements


def _held_back(text: str, condition: Condition, worst: int | float | None) -> Judgement:
    if worst is None or condition not in NO_ANSWER:
        return Judgement(None, condition, (), "not_scorable", text)
    return Judgement(None, condition, (), "auto", text, by_rule=worst)


def _decided(text: str, score: Score, flags: tuple[Flag, ...], threshold: float | None, mode: Mode) -> Judgement:
    unsure = not flags and (threshold is None or score.confidence < threshold)
    decision: Decision = "review" if flags else decide(score.confidence, threshold, mode)
    return Judgement(score, None, flags, decision, text, unsure)


def decide(confidence: float, threshold: float | None, mode: Mode) -> Decision:
    """Return `auto` if the item is in mode auto and the confidence reaches the threshold, else `review`."""
    return "auto" if mode == "auto" and threshold is not None and confidence >= threshold else "review"
