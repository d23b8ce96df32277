import numpy as np
import pytest

from app.scoring.item import Item
from app.scoring.student import decode
from tests.training.data import ITEM, marked
from training.selection import choose_head, choose_threshold, figure_of_merit, target_for

NOMINAL = Item(item_id="heat-2", prompt="Why?", scale="nominal", labels=("a", "b"))


def test_the_threshold_is_the_lowest_from_which_the_target_is_kept() -> None:
    confidence = np.linspace(1, 0.5, 51)  # 1.00, .99, …
    correct = [1.0] * 30 + [0.0] * 21

    threshold = choose_threshold(confidence, correct, target=0.9)

    assert threshold is not None
    accepted = confidence >= threshold
    assert np.mean(np.array(correct)[accepted]) >= 0.9
    assert np.mean(np.array(correct)[confidence >= threshold - 0.011]) < 0.9


def test_equal_confidences_are_accepted_together_or_not_at_all() -> None:
    assert choose_threshold([0.9] * 40, [1.0] * 30 + [0.0] * 10, target=0.9) is None


def test_no_threshold_where_the_target_is_out_of_reach_or_the_rows_are_too_few() -> None:
    assert choose_threshold(np.linspace(0, 1, 50), [0.0] * 50, target=0.5) is None
    assert choose_threshold(np.linspace(0, 1, 10), [1.0] * 10, target=0.5) is None


def test_cuts_give_each_score_the_share_that_humans_gave_it() -> None:
    """A model that shrinks everything towards 1 still decodes to all scores."""
    generator = np.random.default_rng(0)
    human = np.repeat([0, 1, 2, 3], [40, 30, 20, 10])
    p = np.clip(0.8 + 0.2 * human + generator.normal(0, 0.02, 100), 0, 3) / 3
    probabilities = np.stack([1 - p, np.zeros(100), np.zeros(100), p], axis=1)  # expected score: 3p

    head = choose_head(ITEM, list(human), probabilities)

    scores = [score.choice for score in decode(probabilities, ITEM, head)]
    assert np.bincount(scores).tolist() == [40, 30, 20, 10]
    assert head.cuts is not None
    assert list(head.cuts) == sorted(head.cuts)


def test_a_score_that_no_rater_gave_is_never_given() -> None:
    generator = np.random.default_rng(0)
    probabilities = generator.dirichlet([1, 1, 1, 1], 200)

    head = choose_head(ITEM, [1, 2] * 20, probabilities)

    unseen = generator.dirichlet([0.3, 0.3, 0.3, 0.3], 2000)  # more extreme than any that placed the cuts
    assert {score.choice for score in decode(unseen, ITEM, head)} == {1, 2}


def test_labels_without_order_are_decoded_by_the_most_probable() -> None:
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8]])

    assert choose_head(NOMINAL, [0, 1], probabilities).cuts is None
    assert figure_of_merit(NOMINAL, [0, 1], probabilities) == 1.0


def test_a_constant_scorer_of_constant_scores_earns_nothing() -> None:
    assert figure_of_merit(ITEM, [1, 1], np.array([[0.0, 1.0, 0.0, 0.0]] * 2)) == 0.0


def test_two_raters_set_the_target_themselves() -> None:
    rows = marked(20)

    assert target_for(rows, default=0.9, human_margin=0.05) == pytest.approx(0.95)


def test_one_rater_leaves_the_default() -> None:
    assert target_for([], default=0.9, human_margin=0.05) == 0.9
