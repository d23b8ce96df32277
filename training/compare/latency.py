"""How long a response takes: every competitor of an item in turn, several rounds, on one thread."""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from training.common.hardware import one_thread
from training.compare.contest import ScoreFunction

TOKENIZERS = "TOKENIZERS_PARALLELISM"


@dataclass(frozen=True, slots=True)
class Effort:
    """How many responses are scored to be timed."""

    rounds: int = 6  # of single responses
    run: int = 10  # single responses in a round that count,
    warm_up: int = 3  # after some that do not
    batches: int = 3
    batch: int = 32
    served: int = 200  # others, scored before: a service knows most words of the next response


FULL = Effort()


def milliseconds(
    scores: Mapping[str, ScoreFunction], texts: Sequence[str], effort: Effort = FULL
) -> dict[str, tuple[float, float]]:
    """Return medians (alone, in batches) a response.

    In turn, so that a slow moment of the machine meets all alike; but each scores some responses in a row, as where it
    serves: after another's weights have gone through the processor's caches it would not be timed by its own.
    """
    with one_thread(), _tokenizers_on_one_thread():
        return _in_turn(scores, texts, effort)


@contextmanager
def _tokenizers_on_one_thread() -> Iterator[None]:
    """They would hand a response's words to all cores."""
    tokenizers = os.environ.get(TOKENIZERS)
    os.environ[TOKENIZERS] = "false"
    try:
        yield
    finally:
        os.environ.pop(TOKENIZERS)
        if tokenizers is not None:
            os.environ[TOKENIZERS] = tokenizers


def _in_turn(
    scores: Mapping[str, ScoreFunction], texts: Sequence[str], effort: Effort
) -> dict[str, tuple[float, float]]:
    if before := texts[effort.rounds * effort.run + effort.warm_up :][: effort.served]:
        for score in scores.values():
            score(before)
    alone: dict[str, list[float]] = {name: [] for name in scores}
    batched: dict[str, list[float]] = {name: [] for name in scores}
    for number in range(effort.rounds):
        rows = _taken(texts, number * effort.run, effort.warm_up + effort.run)
        for name, score in scores.items():
            alone[name] += [_timed(score, [text]) for text in rows][effort.warm_up :]
    for number in range(effort.batches):
        rows = _taken(texts, number * effort.batch, effort.batch)
        for name, score in scores.items():
            _timed(score, rows[: effort.warm_up])
            batched[name].append(_timed(score, rows) / effort.batch)
    return {name: (float(np.median(alone[name])), float(np.median(batched[name]))) for name in scores}


def _taken(texts: Sequence[str], start: int, count: int) -> list[str]:
    """So many from there on, again from the first when they are at an end."""
    return [texts[(start + number) % len(texts)] for number in range(count)]


def _timed(score: ScoreFunction, texts: Sequence[str]) -> float:
    began = time.perf_counter()
    score(texts)
    return (time.perf_counter() - began) * 1000
