"""Human scores as models learn them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from app.scoring.item import Item

NO_LABEL = float("nan")  # no human has scored this text


def targets(item: Item, values: Sequence[float]) -> NDArray[np.float64]:
    """Return (rows,): the index of a score or label as it is; a grade as a share of the scale, 0 the smallest."""
    array = np.asarray(values, dtype=np.float64)
    return (array - item.lowest) / item.span if item.is_continuous else array
