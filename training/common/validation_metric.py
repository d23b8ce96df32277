"""The figure on validation rows by which training stops early."""

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
    """Return what early stopping goes by; the higher the better.

    Labels: macro-F1 of the most probable one.  Ordered scales: the QWK of the expected score, which varies less than
    the QWK of decoded scores (0 where it is undefined).  Grades: the RMSE, negative, as a share of the scale.

    `items` says which item each response is to, where they are several.  Macro-F1 and QWK are then within items: a
    model that only tells the items apart earns nothing.  `item` stands for all of them: they share a scale.
    """
    if item.is_continuous:
        return -root_mean_squared_error(targets, outputs[:, 0])
    known = dict.fromkeys(items or ())
    numbers = [list(known).index(name) for name in items or ()]
    if not item.is_ordered:
        chosen = outputs.argmax(axis=1)
        return macro_f1_within(targets, chosen, numbers) if len(known) > 1 else macro_f1(targets, chosen)
    expected = expected_choice(softmax(outputs))
    if len(known) > 1:
        return float(np.nan_to_num(qwk_within(targets, expected, numbers)))
    return float(np.nan_to_num(quadratic_weighted_kappa(targets, expected)))
