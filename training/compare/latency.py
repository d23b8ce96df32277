"""How long a response takes: every competitor of an item in turn, several rounds, on one thread."""

import time
from collections.abc import Mapping, Sequence

import numpy as np
import torch

from training.compare.contest import Score

ALONE, BATCHES, BATCH, WARM_UP = 60, 3, 32, 5


def milliseconds(scores: Mapping[str, Score], texts: Sequence[str]) -> dict[str, tuple[float, float]]:
    """(alone, in batches of BATCH) a response, medians.

    One after the other with each text, so that a slow moment of the machine meets all alike.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    alone: dict[str, list[float]] = {name: [] for name in scores}
    batched: dict[str, list[float]] = {name: [] for name in scores}
    rows = [texts[number % len(texts)] for number in range(max(ALONE, BATCHES * BATCH))]
    for number, text in enumerate(rows[:ALONE]):
        for name, score in scores.items():
            spent = _timed(score, [text])
            if number >= WARM_UP:
                alone[name].append(spent)
    for start in range(0, BATCHES * BATCH, BATCH):
        for name, score in scores.items():
            batched[name].append(_timed(score, rows[start : start + BATCH]) / BATCH)
    torch.set_num_threads(threads)
    return {name: (float(np.median(alone[name])), float(np.median(batched[name]))) for name in scores}


def _timed(score: Score, texts: Sequence[str]) -> float:
    began = time.perf_counter()
    score(texts)
    return (time.perf_counter() - began) * 1000
