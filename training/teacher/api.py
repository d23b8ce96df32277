"""A language model behind an API as teacher: asked for a score, its log-probabilities become soft labels.

Any OpenAI-compatible endpoint.  Nothing is fine-tuned.  Every answer that can be used is kept when it comes, so that a
run killed anywhere asks for no such text twice; the next run asks again for the others alone.
"""

import json
import math
import os
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from app.scoring.decoding import Outputs
from app.scoring.item import Item
from training.common.cache import key_of
from training.common.progress import console
from training.config import ApiConfig
from training.errors import BadConfig, TeacherFailed

if TYPE_CHECKING:  # the library takes two seconds to import, which other teachers do without
    from openai.types.chat import ChatCompletion

KEY = "SCORELET_TEACHER_KEY"  # a secret: no setting, for settings are kept in bundles
MAX_CODES = 26
CERTAIN = 0.95  # of the score it named, where a server gives no log-probabilities
LEAST_TOLD = 0.01  # of the probability must be on marks: else the model is talking, and an article passes for an A
MAX_UNUSABLE = 0.2  # of the answers to one call's texts
RETRIES, TIMEOUT = 6, 120.0  # of dropped connections, rate limits (their Retry-After kept) and 5xx; seconds
TRIED_BEFORE = "x-stainless-retry-count"  # header: how often the library has tried before
MALFORMED, WITHOUT_SCORE = "malformed answers", "answers without a score"
FORMAT = 1  # of the question: raised when its words change
SYSTEM = "You mark learners' short answers as a fair, strict teacher does. Reply with one {code} and nothing else."


@dataclass(frozen=True, slots=True)
class ApiAnswer:
    row: list[float] | None  # log-probabilities of the codes; None if there is no telling
    wrong: str | None  # what was wrong with it, if anything
    tokens: int = 0


class ApiTeacher:
    """`item` stands for all whose responses are read: they have the same scores or labels."""

    def __init__(self, item: Item, config: ApiConfig, cache: Path, retries: int = RETRIES) -> None:
        import openai

        self.columns = item.choices
        self.codes = codes(item)
        self._config = config
        self.key = key_of("api", FORMAT, config.url, config.model, self.codes, item.labels)
        self._answers = cache / "api" / f"{self.key}.sqlite"
        key = os.environ.get(KEY) or "none"
        if not key.isascii():
            raise BadConfig(
                f"the environment variable {KEY} holds a character outside ASCII, which no key has: set it again",
                code="bad_teacher_key",
            )
        self._client = openai.OpenAI(
            base_url=config.url,
            api_key=key,
            max_retries=retries,
            timeout=TIMEOUT,
            # Else these come from the environment, and go to whatever server is named.
            default_headers={"OpenAI-Organization": openai.omit, "OpenAI-Project": openai.omit},  # type: ignore[dict-item]
            http_client=openai.DefaultHttpxClient(event_hooks={"request": [self._sent], "response": [self._came]}),
        )
        self._pace = _Pace(config.requests_per_minute)
        self._counting = threading.Lock()
        self.counts: Counter[str] = Counter()  # calls, tokens, what was wrong with answers, and what passed by itself
        self._unusable: dict[str, ApiAnswer] = {}  # not asked for again by this run, whose lessons must not change

    @property
    def keeps_answers(self) -> bool:
        return True

    def outputs(self, texts: Sequence[str], context: str = "") -> Outputs:
        """(texts, columns): log-probabilities, in the order given; all alike where an answer could not be used.

        Raises TeacherFailed when the server cannot be reached as configured, or too few answers can be used.
        """
        wanted = {key_of(context, text): text for text in texts}
        with self._kept() as kept:
            known = {key: row for key in wanted if (row := _kept_row(kept, key)) is not None}
            settled = known.keys() | self._unusable.keys()
            missing = {key: text for key, text in wanted.items() if key not in settled}
            answers = self._ask_all(missing, context, kept) if missing else {}
        known |= {key: answer.row for key, answer in answers.items() if answer.row is not None}
        self._unusable |= {key: answer for key, answer in answers.items() if answer.row is None}
        if (unusable := len(wanted) - len(known)) > max(1, MAX_UNUSABLE * len(wanted)):
            wrong = Counter(self._unusable[key].wrong for key in wanted if key in self._unusable)
            raise TeacherFailed(
                f"{self._config.model} gave no usable score for {unusable} of {len(wanted)} texts: {_listed(wrong)}. "
                "Call again to ask for these texts once more, or name another model",
                code="unusable_answers",
                model=self._config.model,
                unusable=unusable,
                texts=len(wanted),
                wrong=dict(wrong),
            )
        indifferent = [-math.log(self.columns)] * self.columns
        return np.array([known.get(key_of(context, text), indifferent) for text in texts], np.float32)

    def _ask_all(self, missing: Mapping[str, str], context: str, kept: sqlite3.Connection) -> "dict[str, ApiAnswer]":
        """Usable answers are kept as they come; however the call ends, none that was paid for is lost."""
        import openai

        answers: dict[str, ApiAnswer] = {}
        pool = ThreadPoolExecutor(self._config.parallel)
        asked = {pool.submit(self._ask, text, context): key for key, text in missing.items()}
        try:
            for future in as_completed(asked):
                self._note(asked[future], future.result(), answers, kept)
        except BaseException as error:
            pool.shutdown(cancel_futures=True)
            for future, key in asked.items():
                if key not in answers and not future.cancelled() and future.exception() is None:
                    self._note(key, future.result(), answers, kept)
            if not isinstance(error, openai.OpenAIError):
                raise
            status = getattr(error, "status_code", None)
            kept_count = sum(answer.row is not None for answer in answers.values())
            raise TeacherFailed(
                f"{self._config.url}: {type(error).__name__}{f' (status {status})' if status else ''}; "
                f"{kept_count} answers of this call are kept: call again to go on",
                code="teacher_unreachable",
                url=self._config.url,
                error=type(error).__name__,
                status=status,
                kept=kept_count,
            ) from None
        pool.shutdown()
        console.print(_listed(self.counts))
        return answers

    def _note(self, key: str, answer: "ApiAnswer", answers: "dict[str, ApiAnswer]", kept: sqlite3.Connection) -> None:
        answers[key] = answer
        self._count({"calls": 1, "tokens": answer.tokens})
        if answer.wrong:
            self._count({answer.wrong: 1})
        if answer.row is not None:  # what could not be used is asked for again another time
            kept.execute("INSERT OR REPLACE INTO answers VALUES (?, ?)", (key, json.dumps(answer.row)))
            kept.commit()

    def _count(self, counts: Mapping[str, int]) -> None:
        with self._counting:
            self.counts.update(counts)

    def _sent(self, request: Any) -> None:
        if request.headers.get(TRIED_BEFORE, "0") != "0":  # after a dropped connection, a rate limit or a server error
            self._count({"calls tried again": 1})

    def _came(self, response: Any) -> None:
        if response.status_code == 429:
            self._count({"rate limits": 1})
        elif response.status_code >= 500:
            self._count({"server errors": 1})

    def _ask(self, text: str, context: str) -> "ApiAnswer":
        self._pace.wait()
        try:
            reply = self._client.chat.completions.create(
                model=self._config.model,
                messages=[
                    {"role": "system", "content": SYSTEM.format(code="digit" if self.codes[0] == "0" else "letter")},
                    {"role": "user", "content": f"{context}\n\nThe learner's answer:\n{text}\n\nYour mark:"},
                ],
                max_tokens=1,
                temperature=0,
                logprobs=True,
                top_logprobs=20,
            )
            return read_reply(reply, self.codes)
        except (AttributeError, IndexError, TypeError, ValueError):  # the library passes on whatever a server sends
            return ApiAnswer(None, MALFORMED)

    @contextmanager
    def _kept(self) -> Iterator[sqlite3.Connection]:
        self._answers.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(self._answers)) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, row TEXT NOT NULL)")
            yield connection


class _Pace:
    """So many starts a minute, evenly."""

    def __init__(self, per_minute: float) -> None:
        self._interval = 60 / per_minute
        self._next = time.monotonic()
        self._lock = threading.Lock()

    def wait(self) -> None:
        with self._lock:
            start = max(self._next, time.monotonic())
            self._next = start + self._interval
        time.sleep(max(0.0, start - time.monotonic()))


def codes(item: Item) -> tuple[str, ...]:
    """What the model is to reply, one token a score: digits, or letters for labels and longer scales."""
    if item.is_continuous:
        raise BadConfig(
            f"{item.item_id}: a model behind an API gives scores or labels, not grades: name another teacher.kind",
            code="api_gives_no_grades",
            item_id=item.item_id,
        )
    if item.choices > MAX_CODES:
        raise BadConfig(
            f"{item.item_id}: a model behind an API gives at most {MAX_CODES} scores, not {item.choices}: name another "
            "teacher.kind",
            code="too_many_scores_for_api",
            item_id=item.item_id,
            choices=item.choices,
            limit=MAX_CODES,
        )
    if item.labels is None and (item.bottom_score or 0) >= 0 and (item.top_score or 0) <= 9:
        return tuple(item.names())
    return tuple(chr(ord("A") + number) for number in range(item.choices))


def question(item: Item) -> str:
    """What the model reads before each response: question, guide, good answers, and what it may reply."""
    parts = [("Text", item.passage), ("Question", item.prompt), ("Marking guide", item.rubric)]
    lines = [f"{name}:\n{text}" for name, text in parts if text]
    lines += [f"A good answer:\n{reference}" for reference in item.references]
    unit = " points" if item.bottom_score == 0 and item.better == "higher" else ""
    meanings = item.labels or tuple(f"{item.in_words(value)}{unit}" for value in range(item.choices))
    lines += ["Marks:\n" + "\n".join(f"{code} = {means}" for code, means in zip(codes(item), meanings, strict=True))]
    return "\n\n".join(lines)


def read_reply(reply: "ChatCompletion", known: Sequence[str]) -> ApiAnswer:
    """A code that is not among the likeliest tokens is as likely as the last of them, which is the most it can be."""
    choice = reply.choices[0]
    tokens = int(reply.usage.total_tokens or 0) if reply.usage else 0
    likeliest = choice.logprobs.content[0].top_logprobs if choice.logprobs and choice.logprobs.content else []
    # JSON has no infinity and no NaN, yet some servers write them: such a token says nothing.
    seen = [(_bare(token.token), float(token.logprob)) for token in likeliest if math.isfinite(token.logprob)]
    logs = {code: [log for token, log in seen if token == code] for code in known}
    if seen:
        told = np.logaddexp.reduce([log for of_code in logs.values() for log in of_code] or [-np.inf])
        if told < math.log(LEAST_TOLD):
            return ApiAnswer(None, WITHOUT_SCORE, tokens)
        last = min(log for _, log in seen)
        row = np.array([np.logaddexp.reduce(of_code) if of_code else last for of_code in logs.values()])
        return ApiAnswer((row - np.logaddexp.reduce(row)).tolist(), None, tokens)
    said = _bare(choice.message.content or "")
    if said not in known:
        return ApiAnswer(None, WITHOUT_SCORE, tokens)
    rest = (1 - CERTAIN) / (len(known) - 1)
    row = np.log([CERTAIN if code == said else rest for code in known])
    return ApiAnswer(row.tolist(), "answers without probabilities", tokens)


def _kept_row(kept: sqlite3.Connection, key: str) -> list[float] | None:
    found = kept.execute("SELECT row FROM answers WHERE key = ?", (key,)).fetchone()
    return None if found is None else [float(value) for value in json.loads(found[0])]


def _bare(text: str) -> str:
    return text.strip(" \t\r\n.▁Ġ").upper()


def _listed(counts: Mapping[str | None, int] | Mapping[str, int]) -> str:
    return ", ".join(f"{count} {what}" for what, count in sorted(counts.items(), key=str))
