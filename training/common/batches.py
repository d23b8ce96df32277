"""Rows in batches of like length, so that little of a batch is padding."""

import random
from collections.abc import Sequence

POOL = 16  # batches that are filled from one random pool of rows, sorted by length


def sorted_batches(lengths: Sequence[int], size: int) -> list[list[int]]:
    """Row numbers, shortest first: for reading in any order."""
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    return [order[start : start + size] for start in range(0, len(order), size)]


def shuffled_batches(lengths: Sequence[int], size: int, seed: int) -> list[list[int]]:
    """Row numbers, each once, in random batches of like length: one epoch of training."""
    generator = random.Random(seed)
    shuffled = generator.sample(range(len(lengths)), len(lengths))
    batches: list[list[int]] = []
    for start in range(0, len(shuffled), POOL * size):
        pool = sorted(shuffled[start : start + POOL * size], key=lengths.__getitem__)
        batches += [pool[i : i + size] for i in range(0, len(pool), size)]
    generator.shuffle(batches)
    return batches
