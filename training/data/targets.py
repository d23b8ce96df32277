"""Human scores as models learn them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.scoring.item import Item

NO_LABEL = float("nan")  # no human has scored this text


def targets(item: Item, values: Sequence[float]) -> NDArray[np.float64]:
    """Return (rows,): the index of a score or label as it is; a grade as a share of the scale, 0 the smallest."""
    array = np.asarray(values, dtype=np.float64)
    return (array - item.lowest) / item.span if item.is_continuous else array


@dataclass(frozen=True, slots=True)
class Example:
    context: str  # what the teacher reads before the response: question and references, or nothing
    text: str
    target: float  # as losses.targets gives it

    @property
    def length(self) -> int:
        return len(self.context) + len(self.text)
