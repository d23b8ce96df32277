"""How long a response takes: every competitor of an item in turn, several rounds, on one thread."""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np

from training.compare.contest import Score
from training.hardware import one_thread

TOKENIZERS = "TOKENIZERS_PARALLELISM"
ROUNDS, RUN, WARM_UP = 6, 10, 3  # of single responses: runs of RUN, after some that do not count
BATCHES, BATCH = 3, 32
SERVED = 200  # responses, others than those alone, that each has scored before: a service knows most words of the next


def milliseconds(scores: Mapping[str, Score], texts: Sequence[str]) -> dict[str, tuple[float, float]]:
    """(alone, in batches of BATCH) a response, medians.

    In turn, so that a slow moment of the machine meets all alike; but each scores some responses in a row, as where it
    serves: after another's weights have gone through the processor's caches it would not be timed by its own.
    """
    with one_thread(), _tokenizers_on_one_thread():
        return _in_turn(scores, texts)


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


def _in_turn(scores: Mapping[str, Score], texts: Sequence[str]) -> dict[str, tuple[float, float]]:
    if before := texts[ROUNDS * RUN + WARM_UP :][:SERVED]:
        for score in scores.values():
            score(before)
    alone: dict[str, list[float]] = {name: [] for name in scores}
    batched: dict[str, list[float]] = {name: [] for name in scores}
    for number in range(ROUNDS):
        rows = _taken(texts, number * RUN, WARM_UP + RUN)
        for name, score in scores.items():
            alone[name] += [_timed(score, [text]) for text in rows][WARM_UP:]
    for number in range(BATCHES):
        rows = _taken(texts, number * BATCH, BATCH)
        for name, score in scores.items():
            _timed(score, rows[:WARM_UP])
            batched[name].append(_timed(score, rows) / BATCH)
    return {name: (float(np.median(alone[name])), float(np.median(batched[name]))) for name in scores}


def _taken(texts: Sequence[str], start: int, count: int) -> list[str]:
    """So many from there on, again from the first when they are at an end."""
    return [texts[(start + number) % len(texts)] for number in range(count)]


def _timed(score: Score, texts: Sequence[str]) -> float:
    began = time.perf_counter()
    score(texts)
    return (time.perf_counter() - began) * 1000
