from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from app.scoring.bundle import Head, Interval
from app.scoring.decoding import decode
from app.scoring.item import Item
from tests.training.data import GRADES, ITEM, item_data
from training.config import TrainingConfig
from training.measure import Unfitted, agreement_on, pooled_head, pooled_threshold
from training.selection import choose_cuts, choose_interval
from training.splits import Parts, split
from training.targets import targets

TENTH = Head(cuts=None, interval=Interval(coverage=0.9, deviations=1.6448536))
CONFIG = TrainingConfig(validation_share=0.3)


def parts_of(item: Item, seed: int = 0, train: int = 80) -> Parts:
    return split(item_data(train, 8, 10, item, seed), CONFIG)


def noisy(item: Item, values: list[float], seed: int) -> NDArray[np.float64]:
    """Outputs about the values given, of any sureness, the unsure ones often wrong."""
    generator = np.random.default_rng(seed)
    if item.is_continuous:
        deviations = generator.uniform(0.01, 0.4, len(values))
        means = targets(item, values) + deviations * generator.normal(0, 1, len(values))
        return np.stack([means, deviations**2], axis=1)
    sureness = generator.uniform(0, 8, (len(values), 1))
    return np.asarray(sureness * np.eye(4)[np.array(values, int)] + generator.normal(0, 1, (len(values), 4)))


def unfitted(item: Item, seed: int = 0, train: int = 80) -> Unfitted:
    parts = parts_of(item, seed, train)
    values = [row.value for row in parts.validation]
    unlabelled = noisy(item, [float(n % 4) for n in range(len(parts.unlabelled))], seed + 1)
    return Unfitted(parts, noisy(item, values, seed), unlabelled)


def test_cuts_are_placed_on_what_all_items_of_a_teacher_have() -> None:
    group = [unfitted(ITEM, 0), unfitted(ITEM, 10)]

    head = pooled_head(group)

    marked = [row.value for own in group for row in own.parts.marked]
    outputs = np.concatenate([group[0].validation, group[0].unlabelled, group[1].validation, group[1].unlabelled])
    assert head == choose_cuts(ITEM, marked, outputs)
    assert pooled_head(group[:1]) != head != pooled_head(group[1:])


def test_an_interval_is_chosen_on_the_human_grades_of_all_items_each_a_share_of_its_own_scale() -> None:
    wide = GRADES.model_copy(update={"item_id": "wide", "min_score": 0, "max_score": 100})
    group = [unfitted(GRADES, 0), unfitted(wide, 10)]

    head = pooled_head(group)

    human = [targets(own.parts.item, [row.value for row in own.parts.validation]) for own in group]
    outputs = np.concatenate([own.validation for own in group])
    assert head == choose_interval(np.concatenate(human).tolist(), outputs)
    assert pooled_head(group[:1]) != head != pooled_head(group[1:])


@pytest.mark.parametrize("item", [ITEM, GRADES])
def test_an_item_without_validation_rows_takes_part_with_none(item: Item) -> None:
    own = unfitted(item, 10)
    empty = Unfitted(replace(own.parts, fit=(), validation=(), unlabelled=()), own.validation[:0], own.unlabelled[:0])
    rest, config = unfitted(item), CONFIG.model_copy(update={"human_margin": 0.6})

    head = pooled_head([rest, empty])

    assert head == pooled_head([rest])
    assert pooled_threshold([rest, empty], head, config) == pooled_threshold([rest], head, config) is not None


@pytest.mark.parametrize("item", [ITEM, GRADES])
def test_one_threshold_keeps_the_agreement_over_all_items(item: Item) -> None:
    group = [unfitted(item, 0), unfitted(item, 10)]
    head = pooled_head(group)
    config = CONFIG.model_copy(update={"human_margin": 0.2})  # raters here agree always: .8 is asked for

    threshold = pooled_threshold(group, head, config)

    assert threshold is not None
    accepted = [
        abs(score.value - row.value) <= item.tolerance
        for own in group
        for score, row in zip(decode(own.validation, item, head), own.parts.validation, strict=True)
        if score.confidence >= threshold
    ]
    assert 20 <= len(accepted) < sum(len(own.parts.validation) for own in group)
    assert np.mean(accepted) >= 0.8


def test_items_too_small_alone_have_a_threshold_together() -> None:
    group = [unfitted(ITEM, seed, train=40) for seed in (0, 10, 20)]
    head = pooled_head(group)
    config = CONFIG.model_copy(update={"human_margin": 0.9})

    assert [pooled_threshold([own], head, config) for own in group] == [None] * 3
    assert pooled_threshold(group, head, config) is not None


def test_agreement_on_grades_is_in_units_of_the_scale() -> None:
    first, second, *_ = item_data(item=GRADES).dev
    rows = [replace(first, value=1.0, raters=None), replace(second, value=3.5, raters=None)]
    outputs = np.array([[0.04, 0.01], [0.9, 0.01]])  # 1.2 ± .82, and 5.5 ± .82

    figures = agreement_on(GRADES, rows, decode(outputs, GRADES, TENTH))

    assert figures is not None
    assert (figures.n, figures.exact, figures.coverage) == (2, 0.5, 0.5)
    assert figures.rmse == pytest.approx(np.sqrt((0.2**2 + 2**2) / 2))
    assert figures.mae == pytest.approx(1.1)
    assert figures.human_rmse is None


def test_agreement_on_points_has_no_figures_of_grades() -> None:
    rows = item_data().dev[:4]

    figures = agreement_on(ITEM, rows, decode(9 * np.eye(4)[[0, 1, 2, 2]], ITEM, Head(cuts=None)))

    assert figures is not None
    assert (figures.n, figures.exact, figures.human_exact) == (4, 0.75, 1)
    assert (figures.rmse, figures.coverage) == (None, None)


@pytest.mark.parametrize("item", [ITEM, GRADES])
def test_there_is_no_agreement_where_there_are_no_rows(item: Item) -> None:
    assert agreement_on(item, [], []) is None
