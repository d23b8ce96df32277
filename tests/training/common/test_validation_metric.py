"""The validation metric, which stops training early."""

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray

from tests.training.example_rows import GRADES, ITEM, LABELS
from training.calibration.cuts_and_target import choose_cuts
from training.common.validation_metric import validation_metric
from training.common.within_items import macro_f1_within


def logits(probabilities: ArrayLike) -> NDArray[np.float64]:
    return np.asarray(np.log(np.maximum(np.asarray(probabilities, float), 1e-30)))


def test_labels_without_order_are_decoded_by_the_most_probable() -> None:
    outputs = logits([[0.7, 0.1, 0.1, 0.1], [0.1, 0.2, 0.3, 0.4]])

    assert choose_cuts(LABELS, [[0, 3], [1]], [[0, 3], []], [outputs, outputs[:0]]) == [None, None]
    assert validation_metric(LABELS, [0, 3], outputs) == 1.0
    assert validation_metric(LABELS, [0, 2], outputs) == pytest.approx(1 / 3)  # of 0, 2 and 3 only 0 is met


def test_a_constant_scorer_of_constant_scores_earns_nothing() -> None:
    assert validation_metric(ITEM, [1, 1], logits([[0.0, 1.0, 0.0, 0.0]] * 2)) == 0.0


def test_smaller_error_of_grades_is_better() -> None:
    outputs = np.array([[0.2, 0.01], [0.9, 0.5]])

    assert validation_metric(GRADES, [0.2, 0.5], outputs) == pytest.approx(-np.sqrt(0.08))
    assert validation_metric(GRADES, [0.2, 0.9], outputs) == 0 > validation_metric(GRADES, [0.2, 0.5], outputs)


def test_a_model_that_only_tells_items_apart_earns_nothing() -> None:
    """Compare a model that gives each item its usual score with a model that is right half of the time."""
    generator = np.random.default_rng(0)
    items = np.repeat(["low", "high"], 500)
    human = np.where(items == "low", 0, 2) + generator.integers(0, 2, 1000)
    by_item = logits(np.where((items == "low")[:, None], [0.45, 0.55, 0, 0], [0, 0, 0.55, 0.45]))
    right = np.where(
        generator.random(1000) < 0.5, human, np.where(items == "low", 0, 2) + generator.integers(0, 2, 1000)
    )
    by_response = 9 * np.eye(4)[right]

    assert validation_metric(ITEM, human.tolist(), by_item) > 0.75  # as one item, it would pass for a good model
    assert validation_metric(ITEM, human.tolist(), by_item, items.tolist()) == pytest.approx(0, abs=0.01)
    assert validation_metric(ITEM, human.tolist(), by_response, items.tolist()) == pytest.approx(0.5, abs=0.06)
    of_labels = validation_metric(LABELS, human.tolist(), by_item, items.tolist())
    assert of_labels == macro_f1_within(human, by_item.argmax(axis=1), np.repeat([0, 1], 500).tolist()) < 0.4
    assert validation_metric(LABELS, human.tolist(), by_response, items.tolist()) > of_labels + 0.3


def test_metric_of_one_item_does_not_depend_on_its_name() -> None:
    generator = np.random.default_rng(0)
    human, outputs = generator.integers(0, 4, 50).tolist(), generator.normal(0, 1, (50, 4))

    for item in (ITEM, LABELS):
        assert validation_metric(item, human, outputs, ["one"] * 50) == validation_metric(item, human, outputs)
