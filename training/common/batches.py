"""Batches of rows of like length, so that little of a batch is padding."""

import random
from collections.abc import Sequence

POOL = 16  # batches that are filled from one random pool of rows, sorted by length


def sorted_batches(lengths: Sequence[int], size: int) -> list[list[int]]:
    """Return row numbers in batches, the shortest rows first, for texts that may be read in any order."""
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    return _cut(order, size)


def shuffled_batches(lengths: Sequence[int], size: int, seed: int) -> list[list[int]]:
    """Return row numbers in random batches of like length, each number once: one epoch of training."""
    generator = random.Random(seed)
    shuffled = generator.sample(range(len(lengths)), len(lengths))
    batches: list[list[int]] = []
    for start in range(0, len(shuffled), POOL * size):
        pool = shuffled[start : start + POOL * size]
        batches += _cut(sorted(pool, key=lengths.__getitem__), size)
    generator.shuffle(batches)
    return batches


def _cut(rows: list[int], size: int) -> list[list[int]]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]
