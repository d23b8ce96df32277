import numpy as np
import pytest

from app.scoring.agreement import macro_f1, quadratic_weighted_kappa
from training.common.within_items import macro_f1_within, qwk_within


def test_qwk_within_one_item_is_close_to_plain_qwk() -> None:
    generator = np.random.default_rng(0)
    human = generator.integers(0, 4, 40)
    machine = np.clip(human + generator.integers(-1, 2, 40), 0, 3)

    apart = (human[:, None] - machine) ** 2
    by_chance = (apart.sum() - np.trace(apart)) / (40 * 39)

    kappa = qwk_within(human, machine, [5] * 40)
    assert kappa == pytest.approx(1 - np.trace(apart) / 40 / by_chance)
    assert kappa == pytest.approx(quadratic_weighted_kappa(human, machine), abs=0.02)


def test_a_difference_between_items_is_no_agreement() -> None:
    """Let the machine know the item of a response, and nothing else."""
    generator = np.random.default_rng(0)
    items = np.repeat([0, 1], 4000)
    human, machine = (2 * items + generator.integers(0, 2, 8000) for _ in range(2))

    assert quadratic_weighted_kappa(human, machine) > 0.75
    assert qwk_within(human, machine, items.tolist()) == pytest.approx(0, abs=0.03)


def test_items_of_two_responses_give_an_unbiased_qwk() -> None:
    """Expect a QWK of .8: pairs of a response with itself would give .67."""
    generator = np.random.default_rng(0)
    worth = generator.normal(0, 1, 200_000)
    human, machine = worth, np.where(generator.random(200_000) < 0.8, worth, generator.normal(0, 1, 200_000))

    assert qwk_within(human, machine, np.arange(200_000) // 2) == pytest.approx(0.8, abs=0.01)


def test_item_with_one_response_is_ignored_and_equal_scores_have_no_qwk() -> None:
    assert qwk_within([0, 1, 2, 3], [0, 1, 2, 0], [0, 0, 0, 1]) == 1
    assert np.isnan(qwk_within([0, 3], [0, 1], [0, 1]))
    assert np.isnan(qwk_within([2, 2, 1, 1], [2, 2, 1, 1], [0, 0, 1, 1]))
    assert np.isnan(qwk_within([], [], []))


def test_macro_f1_within_items_weighs_them_by_their_responses() -> None:
    human, machine = [0, 1, 0, 1, 2], [0, 1, 1, 2, 2]

    wanted = (2 * macro_f1([0, 1], [0, 1]) + 3 * macro_f1([0, 1, 2], [1, 2, 2])) / 5
    assert macro_f1_within(human, machine, [7, 7, 9, 9, 9]) == pytest.approx(wanted)
