"""Human scores as models learn them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.scoring.item import Item

NO_LABEL = float("nan")  # no human has scored this text


def targets(item: Item, values: Sequence[float]) -> NDArray[np.float64]:
    """Return (rows,): scores and labels as their indices, grades as shares of the scale from 0, the smallest, to 1."""
    array = np.asarray(values, dtype=np.float64)
    return (array - item.lowest) / item.span if item.is_continuous else array


@dataclass(frozen=True, slots=True)
class Example:
    """A marked response as a teacher learns it."""

    context: str  # question and references, read before the response, or nothing
    text: str
    target: float  # as `targets` gives it

    @property
    def length(self) -> int:
        """Return the number of characters, by which batches are made."""
        return len(self.context) + len(self.text)
