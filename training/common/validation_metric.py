"""The validation metric, by which training stops early."""

from collections.abc import Sequence

import numpy as np

from app.scoring.agreement import (
    macro_f1,
    quadratic_weighted_kappa,
    root_mean_squared_error,
)
from app.scoring.decoding import Outputs, expected_choice, softmax
from app.scoring.item import Item
from training.common.within_items import macro_f1_within, qwk_within


def validation_metric(
    item: Item, targets: Sequence[float], outputs: Outputs, items: Sequence[object] | None = None
) -> float:
    """Return the metric of outputs (rows, columns) against targets (rows,).  Higher is better.

    Labels have the macro-F1 of the most probable label.  Ordered scales have the QWK of the expected score, 0 where it
    is undefined, for it varies less than the QWK of decoded scores.  Grades have the negative RMSE as a share of the
    scale.

    `items` names the item of each row, where rows of several items are given.  Macro-F1 and QWK are then measured
    within items, so that a model gains nothing by telling items apart.  `item` stands for all: they share a scale.
    """
    if item.is_continuous:
        return -root_mean_squared_error(targets, outputs[:, 0])
    known = list(dict.fromkeys(items or ()))
    numbers = [known.index(name) for name in items or ()]
    if not item.is_ordered:
        chosen = outputs.argmax(axis=1)
        return macro_f1_within(targets, chosen, numbers) if len(known) > 1 else macro_f1(targets, chosen)
    expected = expected_choice(softmax(outputs))
    several = len(known) > 1
    kappa = qwk_within(targets, expected, numbers) if several else quadratic_weighted_kappa(targets, expected)
    return float(np.nan_to_num(kappa))
