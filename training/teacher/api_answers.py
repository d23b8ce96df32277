"""The answers of a language model behind an API: read into log-probabilities, and kept on disk as they come."""

import json
import math
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:  # the library takes two seconds to import, and other teachers do without it
    from openai.types.chat import ChatCompletion

CERTAIN = 0.95  # probability of the named score, where a server gives no log-probabilities
MIN_CODE_SHARE = 0.01  # of the probability must be on codes: else the model is talking, and an article passes for an A
MALFORMED, WITHOUT_SCORE, WITHOUT_PROBABILITIES = (
    "malformed answers",
    "answers without a score",
    "answers without probabilities",
)


@dataclass(frozen=True, slots=True)
class ApiAnswer:
    """A model's answer about one text."""

    row: list[float] | None  # log-probabilities of the codes; None if the answer cannot be used
    fault: str | None  # counted and reported
    tokens: int = 0


def read_reply(reply: "ChatCompletion", known: Sequence[str]) -> ApiAnswer:
    """Return the answer that a reply holds.

    A code that is not among the likeliest tokens gets the probability of the last of them, which is its upper bound.
    """
    choice = reply.choices[0]
    tokens = int(reply.usage.total_tokens or 0) if reply.usage else 0
    likeliest = choice.logprobs.content[0].top_logprobs if choice.logprobs and choice.logprobs.content else []
    # JSON has no infinity and no NaN, yet some servers write them: such a token says nothing.
    seen = [(_bare(token.token), float(token.logprob)) for token in likeliest if math.isfinite(token.logprob)]
    if seen:
        return _from_probabilities(seen, known, tokens)
    named = _bare(choice.message.content or "")
    if named not in known:
        return ApiAnswer(None, WITHOUT_SCORE, tokens)
    rest = (1 - CERTAIN) / (len(known) - 1)
    row = np.log([CERTAIN if code == named else rest for code in known])
    return ApiAnswer(row.tolist(), WITHOUT_PROBABILITIES, tokens)


def _from_probabilities(seen: Sequence[tuple[str, float]], known: Sequence[str], tokens: int) -> ApiAnswer:
    """Return the answer by the log-probabilities of the likeliest tokens."""
    by_code = [[log for token, log in seen if token == code] for code in known]
    on_codes = [log for logs in by_code for log in logs]
    total = np.logaddexp.reduce(on_codes or [-np.inf])
    if total < math.log(MIN_CODE_SHARE):
        return ApiAnswer(None, WITHOUT_SCORE, tokens)
    last = min(log for _, log in seen)
    row = np.array([np.logaddexp.reduce(logs) if logs else last for logs in by_code])
    normalised = row - np.logaddexp.reduce(row)
    return ApiAnswer(normalised.tolist(), None, tokens)


def _bare(text: str) -> str:
    return text.strip(" \t\r\n.▁Ġ").upper()


class AnswerStore:
    """The usable answers of one model to one kind of question, in a database of their own."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def read(self, key: str) -> list[float] | None:
        """Return the log-probabilities that were kept under a key, if there are any."""
        kept = self._connection.execute("SELECT row FROM answers WHERE key = ?", (key,)).fetchone()
        return None if kept is None else [float(value) for value in json.loads(kept[0])]

    def write(self, key: str, row: list[float]) -> None:
        """Keep the log-probabilities of an answer.  They are on disk when the call returns."""
        self._connection.execute("INSERT OR REPLACE INTO answers VALUES (?, ?)", (key, json.dumps(row)))
        self._connection.commit()


@contextmanager
def open_answers(file: Path) -> Iterator[AnswerStore]:
    """Open the answers in a file, which is made if there is none, and close them afterwards."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, row TEXT NOT NULL)")
        yield AnswerStore(connection)
