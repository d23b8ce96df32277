"""A language model behind an API as teacher: asked for a score, its log-probabilities become soft labels.

Any OpenAI-compatible endpoint.  Nothing is fine-tuned.  Every answer is kept when it comes, so that a run killed
anywhere asks for no text twice.
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
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import numpy as np
import openai
from openai.types.chat import ChatCompletion

from app.scoring.decoding import Outputs
from app.scoring.item import Item
from training.cache import key_of
from training.config import ApiConfig
from training.errors import BadConfig, TeacherFailed
from training.progress import console

KEY = "SCORELET_TEACHER_KEY"  # a secret: no setting, for settings are kept in bundles
MAX_CODES = 26
CERTAIN = 0.95  # of the score it named, where a server gives no log-probabilities
MAX_UNUSABLE = 0.2  # of the answers to one call's texts
RETRIES, TIMEOUT = 6, 120.0  # of dropped connections, rate limits (their Retry-After kept) and 5xx; seconds
FORMAT = 1  # of the question: raised when its words change
SYSTEM = "You mark learners' short answers as a fair, strict teacher does. Reply with one {code} and nothing else."


class ApiTeacher:
    """`item` stands for all whose responses are read: they have the same scores or labels."""

    def __init__(self, item: Item, config: ApiConfig, cache: Path) -> None:
        self.columns = item.choices
        self.codes = codes(item)
        self._config = config
        self.key = key_of("api", FORMAT, config.url, config.model, self.codes, item.labels)
        self._answers = cache / "api" / f"{self.key}.sqlite"
        self._client = openai.OpenAI(
            base_url=config.url, api_key=os.environ.get(KEY) or "none", max_retries=RETRIES, timeout=TIMEOUT
        )
        self._pace = _Pace(config.requests_per_minute)
        self.counts: Counter[str] = Counter()  # calls, tokens, and answers by what was wrong with them

    def outputs(self, texts: Sequence[str], context: str = "") -> Outputs:
        """(texts, columns): log-probabilities, in the order given; all alike where an answer could not be used.

        Raises TeacherFailed when the server cannot be reached as configured, or too few answers can be used.
        """
        wanted = {key_of(context, text): text for text in texts}
        with self._kept() as kept:
            known = {key: json.loads(row) for key, row in kept.execute("SELECT key, row FROM answers") if key in wanted}
            missing = {key: text for key, text in wanted.items() if key not in known}
            if missing:
                known |= self._ask_all(missing, context, kept)
        unusable = sum(row is None for row in known.values())
        if unusable > max(1, MAX_UNUSABLE * len(wanted)):
            raise TeacherFailed(
                f"{self._config.model} gave no usable score for {unusable} of {len(wanted)} texts: "
                f"{', '.join(f'{count} {what}' for what, count in sorted(self.counts.items()))}"
            )
        indifferent = [-math.log(self.columns)] * self.columns
        return np.array([known[key_of(context, text)] or indifferent for text in texts], np.float32)

    def _ask_all(
        self, missing: Mapping[str, str], context: str, kept: sqlite3.Connection
    ) -> dict[str, list[float] | None]:
        answers: dict[str, list[float] | None] = {}
        with ThreadPoolExecutor(self._config.parallel) as pool:
            asked = {pool.submit(self._ask, text, context): key for key, text in missing.items()}
            try:
                for answer in as_completed(asked):
                    answers[asked[answer]] = answer.result()
                    row = json.dumps(answers[asked[answer]])
                    kept.execute("INSERT OR REPLACE INTO answers VALUES (?, ?)", (asked[answer], row))
                    kept.commit()
            except openai.OpenAIError as error:
                pool.shutdown(cancel_futures=True)
                status = getattr(error, "status_code", None)
                raise TeacherFailed(
                    f"{self._config.url}: {type(error).__name__}{f' (status {status})' if status else ''}; "
                    f"{len(answers)} answers of this call are kept: call again to go on"
                ) from None
        console.print(", ".join(f"{what}: {count}" for what, count in sorted(self.counts.items())))
        return answers

    def _ask(self, text: str, context: str) -> list[float] | None:
        self._pace.wait()
        reply: ChatCompletion | None = None
        with suppress(json.JSONDecodeError):
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
        self.counts["calls"] += 1
        row, wrong = read_reply(reply, self.codes)
        if wrong:
            self.counts[wrong] += 1
        else:
            self.counts["tokens"] += reply.usage.total_tokens if reply and reply.usage else 0
        return row

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
        raise BadConfig(f"{item.item_id}: a model behind an API gives scores or labels, not grades")
    if item.choices > MAX_CODES:
        raise BadConfig(f"{item.item_id}: a model behind an API gives at most {MAX_CODES} scores, not {item.choices}")
    if item.labels is None and item.choices <= 10:
        return tuple(str(score) for score in range(item.choices))
    return tuple(chr(ord("A") + number) for number in range(item.choices))


def question(item: Item) -> str:
    """What the model reads before each response: question, guide, good answers, and what it may reply."""
    parts = [("Text", item.passage), ("Question", item.prompt), ("Marking guide", item.rubric)]
    lines = [f"{name}:\n{text}" for name, text in parts if text]
    lines += [f"A good answer:\n{reference}" for reference in item.references]
    meanings = item.labels or tuple(f"{score} of {item.max_score} points" for score in range(item.choices))
    lines += ["Marks:\n" + "\n".join(f"{code} = {means}" for code, means in zip(codes(item), meanings, strict=True))]
    return "\n\n".join(lines)


def read_reply(reply: ChatCompletion | None, known: Sequence[str]) -> tuple[list[float] | None, str | None]:
    """Log-probabilities of the codes, None if there is no telling; and what was wrong, if anything.

    A code that is not among the likeliest tokens is as likely as the last of them, which is the most it can be.
    """
    if reply is None:
        return None, "malformed answers"
    try:
        choice = reply.choices[0]
        tokens = choice.logprobs.content[0].top_logprobs if choice.logprobs and choice.logprobs.content else []
        seen = [(token.token.strip().upper(), token.logprob) for token in tokens]
        said = (choice.message.content or "").strip().upper()[:1]
    except (AttributeError, IndexError, TypeError):  # the library passes on what a server sends, whatever it is
        return None, "malformed answers"
    found = {code: [math.exp(logprob) for token, logprob in seen if token == code] for code in known}
    if any(found.values()):
        least = math.exp(min(logprob for _, logprob in seen))
        chances = [sum(of_code) or least for of_code in found.values()]
        return [math.log(max(chance, 1e-9) / sum(chances)) for chance in chances], None
    if seen or said not in known:
        return None, "answers without a score"
    rest = (1 - CERTAIN) / (len(known) - 1)
    return [math.log(CERTAIN if code == said else rest) for code in known], "answers without probabilities"
