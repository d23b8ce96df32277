"""Milliseconds a response: all competitors of an item by turns, in several rounds, on one thread."""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from training.common.hardware import one_thread
from training.compare.contest import ScoreFunction

PARALLEL_TOKENIZERS = "TOKENIZERS_PARALLELISM"


@dataclass(frozen=True, slots=True)
class Effort:
    """The numbers of responses and rounds of a timing."""

    rounds: int = 6  # of single responses
    run: int = 10  # timed single responses in a round
    warm_up: int = 3  # untimed single responses before them
    batches: int = 3
    batch: int = 32
    served: int = 200  # other responses scored before, because a service has seen most words of the next response


FULL = Effort()


def milliseconds(
    scores: Mapping[str, ScoreFunction], texts: Sequence[str], effort: Effort = FULL
) -> dict[str, tuple[float, float]]:
    """Return the median milliseconds a response of each competitor: alone, and in batches.

    Competitors take turns, so that a slow moment of the machine affects all alike.  In its turn each scores several
    responses in a row, as in a service: the first ones find the processor's caches full of another's weights.
    """
    with one_thread(), _tokenizers_on_one_thread():
        return _in_turn(scores, texts, effort)


@contextmanager
def _tokenizers_on_one_thread() -> Iterator[None]:
    """Keep tokenizers from spreading the words of a response over all cores."""
    tokenizers = os.environ.get(PARALLEL_TOKENIZERS)
    os.environ[PARALLEL_TOKENIZERS] = "false"
    try:
        yield
    finally:
        os.environ.pop(PARALLEL_TOKENIZERS)
        if tokenizers is not None:
            os.environ[PARALLEL_TOKENIZERS] = tokenizers


def _in_turn(
    scores: Mapping[str, ScoreFunction], texts: Sequence[str], effort: Effort
) -> dict[str, tuple[float, float]]:
    if before := texts[effort.rounds * effort.run + effort.warm_up :][: effort.served]:
        for score in scores.values():
            score(before)
    alone: dict[str, list[float]] = {name: [] for name in scores}
    batched: dict[str, list[float]] = {name: [] for name in scores}
    for number in range(effort.rounds):
        rows = _cycled(texts, number * effort.run, effort.warm_up + effort.run)
        for name, score in scores.items():
            times = [_timed(score, [text]) for text in rows]
            alone[name] += times[effort.warm_up :]
    for number in range(effort.batches):
        rows = _cycled(texts, number * effort.batch, effort.batch)
        for name, score in scores.items():
            _timed(score, rows[: effort.warm_up])
            batched[name].append(_timed(score, rows) / effort.batch)
    medians = {name: (np.median(alone[name]), np.median(batched[name])) for name in scores}
    return {name: (float(single), float(batch)) for name, (single, batch) in medians.items()}


def _cycled(texts: Sequence[str], start: int, count: int) -> list[str]:
    """Return `count` texts from `start` on, beginning again after the last."""
    return [texts[(start + number) % len(texts)] for number in range(count)]


def _timed(score: ScoreFunction, texts: Sequence[str]) -> float:
    began = time.perf_counter()
    score(texts)
    return (time.perf_counter() - began) * 1000
