"""Agreement of an item's scores with human scores."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from app.scoring.bundle import Head, Interval
from app.scoring.decoding import decode
from app.scoring.item import Item
from tests.training.example_rows import GRADES, ITEM, item_data
from training.calibration.choose import Unfitted, choose_heads, group_threshold
from training.calibration.threshold import choose_threshold
from training.common.within_items import qwk_within
from training.config import TrainingConfig
from training.data.splits import Parts, split
from training.data.targets import targets
from training.evaluation.agreement import agreement_on

TENTH = Head(cuts=None, interval=Interval(coverage=0.9, deviations=1.6448536))
CONFIG = TrainingConfig(validation_share=0.3)


def parts_of(item: Item, seed: int = 0, train: int = 80) -> Parts:
    return split(item_data(train, 8, 10, item, seed), CONFIG)


def noisy(item: Item, values: list[float], seed: int) -> NDArray[np.float64]:
    """Return outputs about the values given: of any confidence, and often wrong if it is low."""
    generator = np.random.default_rng(seed)
    if item.is_continuous:
        deviations = generator.uniform(0.01, 0.4, len(values))
        means = targets(item, values) + deviations * generator.normal(0, 1, len(values))
        return np.stack([means, deviations**2], axis=1)
    sureness = generator.uniform(0, 8, (len(values), 1))
    return np.asarray(sureness * np.eye(4)[np.array(values, int)] + generator.normal(0, 1, (len(values), 4)))


def unfitted(item: Item, seed: int = 0, train: int = 80) -> Unfitted:
    parts = parts_of(item, seed, train)
    return Unfitted(parts, noisy(item, [row.value for row in parts.validation], seed))


def test_agreement_of_grades_is_in_units_of_the_scale() -> None:
    first, second, *_ = item_data(item=GRADES).dev
    rows = [replace(first, value=1.0, raters=None), replace(second, value=3.5, raters=None)]
    outputs = np.array([[0.04, 0.01], [0.9, 0.01]])  # 1.2 ± .82, and 5.5 ± .82

    figures = agreement_on(GRADES, rows, decode(outputs, GRADES, TENTH))

    assert figures is not None
    assert (figures.n, figures.exact, figures.coverage) == (2, 0.5, 0.5)
    assert figures.rmse == pytest.approx(np.sqrt((0.2**2 + 2**2) / 2))
    assert figures.mae == pytest.approx(1.1)
    assert figures.human_rmse is None


def test_agreement_of_points_lacks_figures_of_grades() -> None:
    rows = item_data().dev[:32]
    scores = decode(9 * np.eye(4)[[0, 1, 2, 2] * 8], ITEM, Head(cuts=None))

    figures = agreement_on(ITEM, rows, scores)

    assert figures is not None
    assert (figures.n, figures.exact, figures.human_exact) == (32, 0.75, 1)
    assert (figures.rmse, figures.coverage) == (None, None)
    once = [replace(row, raters=None) if number < 3 else row for number, row in enumerate(rows)]
    few = agreement_on(ITEM, once, scores)
    assert few is not None
    assert (few.exact, few.human_exact) == (0.75, None)  # 29 double-scored rows are too few


@pytest.mark.parametrize("item", [ITEM, GRADES])
def test_no_rows_give_no_agreement(item: Item) -> None:
    assert agreement_on(item, [], []) is None


def test_raters_are_compared_on_each_items_scale() -> None:
    """On one scale for all, differences between items would pass for agreement of raters."""
    wide = GRADES.model_copy(update={"item_id": "wide-7", "min_score": 0, "max_score": 100})
    generator = np.random.default_rng(0)
    group, pairs = [], []
    for item in (GRADES, wide):
        unfit = unfitted(item)
        shares = generator.uniform(0, 1, (len(unfit.parts.fit), 2))
        values = float(item.min_score or 0) + item.span * shares
        rows = tuple(replace(row, raters=(a, b)) for row, (a, b) in zip(unfit.parts.fit, values.tolist(), strict=True))
        single = tuple(replace(row, raters=None) for row in unfit.parts.validation)
        group.append(replace(unfit, parts=replace(unfit.parts, fit=rows, validation=single)))
        pairs += shares.tolist()
    heads = choose_heads(group)
    scores = [decode(unfit.outputs, unfit.parts.item, head) for unfit, head in zip(group, heads, strict=True)]
    machine = np.concatenate(
        [targets(unfit.parts.item, [s.value for s in given]) for unfit, given in zip(group, scores, strict=True)]
    )
    items = np.repeat([0, 1], [len(unfit.parts.fit) for unfit in group]).tolist()
    own_agreement = qwk_within([a for a, _ in pairs], [b for _, b in pairs], items)
    margin = own_agreement - 0.3  # so that the target is .3

    threshold = group_threshold(group, heads, CONFIG.model_copy(update={"human_margin": margin}))

    numbers = np.repeat([0, 1], [len(unfit.rows) for unfit in group]).tolist()
    confidence = [s.confidence for given in scores for s in given]
    human = np.concatenate([unfit.human for unfit in group])
    assert threshold == choose_threshold(
        confidence, human, machine, own_agreement - margin, ordered=True, items=numbers
    )
    assert threshold is not None
