"""A language model behind an API as teacher: it is asked for a score, and its log-probabilities are soft labels.

Any OpenAI-compatible endpoint will do, and nothing is fine-tuned.  Every usable answer is kept as it comes, so that a
run that was killed asks for no text twice.  A later run asks again only about texts without a usable answer.
"""

import math
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from app.scoring.decoding import Outputs
from app.scoring.item import Item
from training.common.cache import key_of
from training.common.progress import console
from training.config import ApiConfig
from training.errors import BadConfig, TeacherFailed
from training.teacher.api_answers import MALFORMED, AnswerStore, ApiAnswer, open_answers, read_reply
from training.teacher.api_question import QUESTION_FORMAT, codes, messages

TEACHER_KEY = "SCORELET_TEACHER_KEY"  # a secret, and so no setting: settings are kept in bundles
MAX_UNUSABLE = 0.2  # share of the answers to one call's texts
RETRIES, TIMEOUT = 6, 120.0  # of dropped connections, rate limits (their Retry-After kept) and 5xx; seconds
RETRY_HEADER = "x-stainless-retry-count"  # the number of tries that the library made before


class ApiTeacher:
    """A language model behind an API.

    `item` stands for all items whose responses are read: they have the same scores or labels.
    """

    def __init__(self, item: Item, config: ApiConfig, cache: Path, retries: int = RETRIES) -> None:
        """Raise BadConfig for a key that no server takes, and for scales that the model has no codes for."""
        self.columns = item.choices
        self.codes = codes(item)
        self._config = config
        self.key = key_of("api", QUESTION_FORMAT, config.url, config.model, self.codes, item.labels)
        self._answers = cache / "api" / f"{self.key}.sqlite"
        self._client = self._connected(_secret(), retries)
        self._pace = _Pace(config.requests_per_minute)
        self._counting = threading.Lock()
        self.counts: Counter[str] = Counter()  # calls, tokens, faults of answers, retries
        # Texts without a usable answer.  This run does not ask again, for its training sets must not change.
        self._unusable: dict[str, ApiAnswer] = {}

    def _connected(self, secret: str, retries: int) -> Any:
        import openai  # takes two seconds, and other teachers do without it

        hooks: dict[str, list[Callable[..., Any]]] = {"request": [self._count_retry], "response": [self._count_refusal]}
        return openai.OpenAI(
            base_url=self._config.url,
            api_key=secret,
            max_retries=retries,
            timeout=TIMEOUT,
            # Otherwise these come from the environment, and go to any server that is named.
            default_headers={"OpenAI-Organization": openai.omit, "OpenAI-Project": openai.omit},  # type: ignore[dict-item]
            http_client=openai.DefaultHttpxClient(event_hooks=hooks),
        )

    @property
    def keeps_answers(self) -> bool:
        """Return True: some answers of a chunk may be unusable, and a cached chunk would keep them for ever."""
        return True

    def outputs(self, texts: Sequence[str], context: str = "") -> Outputs:
        """Return (texts, columns): log-probabilities in the order given, all equal where an answer is unusable.

        Raise TeacherFailed where the server cannot be reached as configured, or too few answers are usable.
        """
        wanted = {key_of(context, text): text for text in texts}
        with open_answers(self._answers) as store:
            known = {key: row for key in wanted if (row := store.read(key)) is not None}
            settled = known.keys() | self._unusable.keys()
            missing = {key: text for key, text in wanted.items() if key not in settled}
            answers = self._ask_all(missing, context, store) if missing else {}
        known |= {key: answer.row for key, answer in answers.items() if answer.row is not None}
        self._unusable |= {key: answer for key, answer in answers.items() if answer.row is None}
        self._check_usable(wanted, known)
        indifferent = [-math.log(self.columns)] * self.columns
        rows = [known.get(key_of(context, text), indifferent) for text in texts]
        return np.array(rows, np.float32)

    def _check_usable(self, wanted: Mapping[str, str], known: Mapping[str, list[float]]) -> None:
        unusable = len(wanted) - len(known)
        if unusable <= max(1, MAX_UNUSABLE * len(wanted)):
            return
        faults = Counter(self._unusable[key].fault for key in wanted if key in self._unusable)
        raise TeacherFailed(
            f"{self._config.model} gave no usable score for {unusable} of {len(wanted)} texts: {_listed(faults)}. "
            "Call again to ask for these texts once more, or name another model",
            code="unusable_answers",
            model=self._config.model,
            unusable=unusable,
            texts=len(wanted),
            wrong=dict(faults),
        )

    def _ask_all(self, missing: Mapping[str, str], context: str, store: AnswerStore) -> dict[str, ApiAnswer]:
        """Return the answers by key.  Every usable answer is kept, even where the call ends with an error."""
        answers: dict[str, ApiAnswer] = {}
        pool = ThreadPoolExecutor(self._config.parallel)
        asked = {pool.submit(self._ask, text, context): key for key, text in missing.items()}
        try:
            for future in as_completed(asked):
                self._note(asked[future], future.result(), answers, store)
        except BaseException as error:
            pool.shutdown(cancel_futures=True)
            for future, key in asked.items():
                if key not in answers and _has_result(future):
                    self._note(key, future.result(), answers, store)
            self._raise_failure(error, answers)
        pool.shutdown()
        console.print(_listed(self.counts))
        return answers

    def _raise_failure(self, error: BaseException, answers: Mapping[str, ApiAnswer]) -> NoReturn:
        """Raise TeacherFailed for an error of the library, and any other error as it is."""
        import openai

        if not isinstance(error, openai.OpenAIError):
            raise error
        status = getattr(error, "status_code", None)
        kept = sum(answer.row is not None for answer in answers.values())
        shown_status = f" (status {status})" if status else ""
        raise TeacherFailed(
            f"{self._config.url}: {type(error).__name__}{shown_status}; {kept} answers of this call are kept: call "
            "again to go on",
            code="teacher_unreachable",
            url=self._config.url,
            error=type(error).__name__,
            status=status,
            kept=kept,
        ) from None

    def _note(self, key: str, answer: ApiAnswer, answers: dict[str, ApiAnswer], store: AnswerStore) -> None:
        answers[key] = answer
        self._count({"calls": 1, "tokens": answer.tokens})
        if answer.fault:
            self._count({answer.fault: 1})
        if answer.row is not None:
            store.write(key, answer.row)

    def _count(self, counts: Mapping[str, int]) -> None:
        with self._counting:
            self.counts.update(counts)

    def _count_retry(self, request: Any) -> None:
        """Count a request that follows a dropped connection, a rate limit or a server error."""
        if request.headers.get(RETRY_HEADER, "0") != "0":
            self._count({"calls tried again": 1})

    def _count_refusal(self, response: Any) -> None:
        if response.status_code == 429:
            self._count({"rate limits": 1})
        elif response.status_code >= 500:
            self._count({"server errors": 1})

    def _ask(self, text: str, context: str) -> ApiAnswer:
        self._pace.wait()
        try:
            reply = self._client.chat.completions.create(
                model=self._config.model,
                messages=messages(context, text, self.codes),
                max_tokens=1,
                temperature=0,
                logprobs=True,
                top_logprobs=20,
            )
            return read_reply(reply, self.codes)
        except (AttributeError, IndexError, TypeError, ValueError):  # the library checks no server's answer
            return ApiAnswer(None, MALFORMED)


class _Pace:
    """A limit of so many starts a minute, spread evenly."""

    def __init__(self, per_minute: float) -> None:
        self._interval = 60 / per_minute
        self._next = time.monotonic()
        self._lock = threading.Lock()

    def wait(self) -> None:
        """Wait for the next free start."""
        with self._lock:
            start = max(self._next, time.monotonic())
            self._next = start + self._interval
        time.sleep(max(0.0, start - time.monotonic()))


def _secret() -> str:
    """Return the key for the server from the environment.  Raise BadConfig where no header can hold it."""
    secret = os.environ.get(TEACHER_KEY) or "none"
    if not secret.isascii():
        raise BadConfig(
            f"the environment variable {TEACHER_KEY} holds a character outside ASCII, which no key has: set it again",
            code="bad_teacher_key",
        )
    return secret


def _has_result(future: Future[ApiAnswer]) -> bool:
    return not future.cancelled() and future.exception() is None


def _listed(counts: Mapping[str | None, int] | Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items(), key=str))
