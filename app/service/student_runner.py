"""Submissions to judgements, off the event loop: single ones gathered, each item's in one list for its student."""

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress

from anyio import CapacityLimiter, to_thread

from app.concurrency.batcher import Batcher
from app.concurrency.time_limits import DEFAULT_LIMITS
from app.logs import coded, type_and_place
from app.scoring.decision import LiveItem
from app.scoring.errors import BadBundle, BadText, ItemNotReady, NotJudged, ScoringError
from app.scoring.registry import Registry
from app.service.prediction import Invalid, Refusal, Submission, invalid_request, refusal_of
from app.service.teacher_fallback import Judged

log = logging.getLogger("scorelet")
BATCHES = 4  # threads: the others that the service has are for its database
MOST = 64  # submissions in one piece of work: who comes after waits no longer than that takes


class StudentRunner:
    def __init__(self, registry: Registry, *, looks_again: bool, end: float = DEFAULT_LIMITS.end) -> None:
        """`looks_again`: whether an item that is withdrawn may come back, the registry being reloaded now and then."""
        self._registry = registry
        self._looks_again = looks_again
        self._readers, self._batches = CapacityLimiter(1), CapacityLimiter(BATCHES)
        self._one_by_one: Batcher[Submission | Refusal, Judged] = Batcher(self._judge, MOST, "judges", end)

    async def judge(self, submissions: Sequence[Submission | Refusal]) -> list[Judged]:
        """One judgement or refusal for each, in order; what is refused already is passed on."""
        await self._fetch({own.item_id for own in submissions if isinstance(own, Submission)})
        if len(submissions) > 1:
            return await to_thread.run_sync(self._judge_all, submissions, limiter=self._batches)
        return [await self._one_by_one.ask(submission) for submission in submissions]

    @property
    def waiting(self) -> int:
        """Submissions that nobody has begun to judge."""
        return self._one_by_one.waiting

    async def aclose(self) -> None:
        """What is being judged ends first."""
        await self._one_by_one.aclose()

    async def _fetch(self, item_ids: set[str]) -> None:
        """Students that were let go are read by a thread of their own: what is at hand need not wait for them."""
        for item_id in item_ids:
            live = self._registry.live.get(item_id)
            if live is not None and not live.source.is_loaded:
                with suppress(BadBundle):  # `_judge` meets it again
                    await to_thread.run_sync(live.source.take, limiter=self._readers)

    def _judge_all(self, submissions: Sequence[Submission | Refusal]) -> list[Judged]:
        """A batch.  What cannot be judged, for a reason that nobody foresaw, is not the others' trouble."""
        try:
            return self._judge(submissions)
        except Exception as error:
            if len(submissions) > 1:
                return [judged for own in submissions for judged in self._judge_all([own])]
            [own] = submissions
            if isinstance(own, Refusal):
                raise
            extra = coded("not_judged", item_id=own.item_id, error=type(error).__name__)
            log.error("a response to item %s could not be judged: %s", own.item_id, type_and_place(error), extra=extra)
            return [refusal_of(NotJudged(own.item_id))]

    def _judge(self, submissions: Sequence[Submission | Refusal]) -> list[Judged]:
        numbers: dict[str, list[int]] = defaultdict(list)
        judged: dict[int, Judged] = {}
        for number, submission in enumerate(submissions):
            if isinstance(submission, Refusal):
                judged[number] = submission
            else:
                numbers[submission.item_id].append(number)
        for item_id, own in numbers.items():
            try:
                live = self._registry.get(item_id)
                texts, unread = _read(live, {n: s for n in own if isinstance(s := submissions[n], Submission)})
                judgements = live.judge(list(texts.values()))
            except BadBundle as error:  # it was let go, and cannot be read again
                if self._looks_again:
                    self._registry.withdraw(item_id, live, error.with_traceback(None))
                judged.update(dict.fromkeys(own, refusal_of(ItemNotReady(item_id, error))))
            except ScoringError as error:
                judged.update(dict.fromkeys(own, refusal_of(error)))
            else:
                judged |= unread
                judged.update((n, (live, judgement)) for n, judgement in zip(texts, judgements, strict=True))
        return [judged[number] for number in range(len(submissions))]


def _read(live: LiveItem, submissions: Mapping[int, Submission]) -> tuple[dict[int, str], dict[int, Refusal]]:
    """Return the plain texts by number, and refusals for the responses that are too long as plain text."""
    texts: dict[int, str] = {}
    unread: dict[int, Refusal] = {}
    for number, submission in submissions.items():
        try:
            texts[number] = live.read(submission.response, submission.format)
        except BadText as error:
            unread[number] = invalid_request([Invalid(where="body.response", code=error.code, reason=str(error))])
    return texts, unread
