"""Agreement of an item's scores with human scores."""

from dataclasses import replace

import numpy as np
import pytest

from app.scoring.bundle import Head, Interval
from app.scoring.decoding import decode
from app.scoring.item import Item
from tests.training.example_rows import GRADES, ITEM, item_data
from training.evaluation.agreement import agreement_on

TENTH = Head(cuts=None, interval=Interval(coverage=0.9, deviations=1.6448536))


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
