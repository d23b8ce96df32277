"""Judge submissions off the event loop: single ones batched, and those of an item in one call of its student."""

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

from anyio import CapacityLimiter, to_thread

from app.concurrency.batcher import Batcher
from app.concurrency.time_limits import DEFAULT_LIMITS
from app.logs import coded, type_and_place
from app.scoring.decision import LiveItem
from app.scoring.errors import BadBundle, BadText, ItemNotReady, NotJudged, ScoringError
from app.scoring.registry import Registry
from app.service.prediction import Invalid, Refusal, Submission, invalid_request, refusal_of
from app.service.scored_response import JudgedResponse

log = logging.getLogger("scorelet")
BATCH_THREADS = 4  # the service's other threads are for its database
MAX_SUBMISSIONS = 64  # judged at once, which bounds how long the next ones wait
Positioned = tuple[int, Submission]  # a submission and its position in the request


class Refused(Exception):
    """A submission that no student judges."""

    def __init__(self, position: int, refusal: Refusal) -> None:
        super().__init__(refusal.code)
        self.position, self.refusal = position, refusal


class Judged(NamedTuple):
    """The judged responses of a request, and the refusals of its others by position."""

    responses: list[JudgedResponse]
    refusals: dict[int, Refusal]


class StudentRunner:
    """Runs the students of all items of a process."""

    def __init__(self, registry: Registry, *, reloads: bool, end: float = DEFAULT_LIMITS.end) -> None:
        """Withdraw an item whose student cannot be read again, if the registry `reloads` and may restore it."""
        self._registry = registry
        self._reloads = reloads
        self._readers, self._batches = CapacityLimiter(1), CapacityLimiter(BATCH_THREADS)
        self._singles: Batcher[Positioned, JudgedResponse] = Batcher(self._judge, MAX_SUBMISSIONS, "students", end)

    async def judge(self, submissions: Mapping[int, Submission], *, alone: bool) -> Judged:
        """Judge submissions by their position in the request.

        A submission that is `alone` in its request joins those of other requests.  Its unforeseen errors are raised.
        """
        await self._load_evicted({submission.item_id for submission in submissions.values()})
        if not alone:
            return await to_thread.run_sync(self._judge_batch, list(submissions.items()), limiter=self._batches)
        judged = Judged([], {})
        for positioned in submissions.items():
            try:
                judged.responses.append(await self._singles.ask(positioned))
            except Refused as error:
                judged.refusals[error.position] = error.refusal
        return judged

    @property
    def waiting(self) -> int:
        """Number of single submissions in no batch yet."""
        return self._singles.waiting

    async def aclose(self) -> None:
        """Close the batcher after the submissions under way."""
        await self._singles.aclose()

    async def _load_evicted(self, item_ids: set[str]) -> None:
        """Read evicted students in a thread of their own, so that loaded ones need not wait for them."""
        live_items = self._registry.live
        for item_id in item_ids:
            live = live_items.get(item_id)
            if live is not None and not live.source.is_loaded:
                with suppress(BadBundle):  # `_judge` meets the error again
                    await to_thread.run_sync(live.source.take, limiter=self._readers)

    def _judge_batch(self, submissions: Sequence[Positioned]) -> Judged:
        judged = Judged([], {})
        for response in self._judge_each_if_needed(submissions):
            if isinstance(response, Refused):
                judged.refusals[response.position] = response.refusal
            else:
                judged.responses.append(response)
        return judged

    def _judge_each_if_needed(self, submissions: Sequence[Positioned]) -> list[JudgedResponse | Refused]:
        """Judge a batch.  If a student fails on it, judge each submission alone, so that one does not fail the rest."""
        try:
            return self._judge(submissions)
        except Exception as error:
            if len(submissions) > 1:
                responses: list[JudgedResponse | Refused] = []
                for positioned in submissions:
                    responses += self._judge_each_if_needed([positioned])
                return responses
            [(position, submission)] = submissions
            item_id = submission.item_id
            extra = coded("not_judged", item_id=item_id, error=type(error).__name__)
            log.error("a response to item %s could not be judged: %s", item_id, type_and_place(error), extra=extra)
            return [Refused(position, refusal_of(NotJudged(item_id)))]

    def _judge(self, submissions: Sequence[Positioned]) -> list[JudgedResponse | Refused]:
        """Return one judged response or refusal for each submission, in order."""
        by_item: dict[str, dict[int, Positioned]] = defaultdict(dict)
        for index, positioned in enumerate(submissions):
            by_item[positioned[1].item_id][index] = positioned
        judged: dict[int, JudgedResponse | Refused] = {}
        for item_id, of_item in by_item.items():
            judged |= self._judge_item(item_id, of_item)
        return [judged[index] for index in range(len(submissions))]

    def _judge_item(self, item_id: str, submissions: Mapping[int, Positioned]) -> dict[int, JudgedResponse | Refused]:
        try:
            live = self._registry.get(item_id)
            texts, unreadable = _read(live, submissions)
            judgements = live.judge(list(texts.values()))
        except BadBundle as error:  # an evicted student cannot be read again
            if self._reloads:
                self._registry.withdraw(item_id, live, error.with_traceback(None))
            return _refuse_all(submissions, ItemNotReady(item_id, error))
        except ScoringError as error:
            return _refuse_all(submissions, error)
        judged: dict[int, JudgedResponse | Refused] = {**unreadable}
        for index, judgement in zip(texts, judgements, strict=True):
            position, submission = submissions[index]
            judged[index] = JudgedResponse(position, submission, live, judgement)
        return judged


def _refuse_all(submissions: Mapping[int, Positioned], error: ScoringError) -> dict[int, JudgedResponse | Refused]:
    refusal = refusal_of(error)
    return {index: Refused(position, refusal) for index, (position, _) in submissions.items()}


def _read(live: LiveItem, submissions: Mapping[int, Positioned]) -> tuple[dict[int, str], dict[int, Refused]]:
    """Return the plain texts by index, and refusals of the responses that are too long as plain text."""
    texts: dict[int, str] = {}
    unreadable: dict[int, Refused] = {}
    for index, (position, submission) in submissions.items():
        try:
            texts[index] = live.read(submission.response, submission.format)
        except BadText as error:
            fault = Invalid(where="body.response", code=error.code, reason=str(error))
            unreadable[index] = Refused(position, invalid_request([fault]))
    return texts, unreadable
