import random
import string
from dataclasses import replace

import numpy as np
import pytest

from app.scoring.agreement import quadratic_weighted_kappa, root_mean_squared_error
from app.scoring.decoding import decode
from app.scoring.item import Item
from tests.training.compare.group_runs import an_untaught_run, dev_texts
from tests.training.example_rows import GRADES, ITEM, LABELS, item_data, marked
from training.compare.baselines import constant, linear, linear_within_budget
from training.compare.contest import heads_of
from training.compare.linear import Linear
from training.config import PARAMETER_BUDGET
from training.data import ItemData
from training.data.responses import MarkedResponse
from training.data.targets import targets

RIGHT = Item(item_id="right-1", prompt="Is it so?", scale="nominal", labels=("no", "yes"))
EVERY_KIND = pytest.mark.parametrize("item", [ITEM, LABELS, GRADES], ids=["points", "labels", "grades"])


def rows(item: Item, texts: list[str], values: list[float]) -> tuple[MarkedResponse, ...]:
    return tuple(
        MarkedResponse(f"r{number}", item.item_id, text, value, None, None, ())
        for number, (text, value) in enumerate(zip(texts, values, strict=True))
    )


def data_of(item: Item, texts: list[str], values: list[float]) -> ItemData:
    return ItemData(item, rows(item, texts, values), (), ())


def wordy(item: Item, number: int = 90) -> ItemData:
    """Return responses of words that occur once, with more features than any budget."""
    generator = random.Random(0)  # noqa: S311  # no secret
    texts = [" ".join("".join(generator.choices(string.ascii_lowercase, k=9)) for _ in range(8)) for _ in range(number)]
    values = [generator.uniform(1, 6) if item.is_continuous else n % item.choices for n in range(number)]
    return data_of(item, texts, values)


@pytest.mark.parametrize(
    ("item", "least"),
    [
        (RIGHT, 19_000),  # two labels need one coefficient a feature; the budget reckons with two
        (ITEM, 29_000),
        (GRADES, 29_000),
    ],
    ids=["2 labels", "4 scores", "grades"],
)
def test_small_linear_model_uses_its_budget(item: Item, least: int) -> None:
    run = an_untaught_run(wordy(item))

    [unlimited], [small] = linear(run, 0), linear_within_budget(run, 0)

    assert unlimited.parameters > PARAMETER_BUDGET
    assert least < small.parameters <= PARAMETER_BUDGET


@pytest.mark.parametrize(
    ("item", "values", "expected"),
    [
        (RIGHT, [0, 1], 14 + 1 + 14),  # coefficients, intercept, document frequencies
        (ITEM, [0, 3, 1], 3 * 21 + 3 + 21),  # a score without rows has no coefficients
        (GRADES, [1, 4.5], 14 + 1 + 14),
    ],
)
def test_all_trained_weights_are_counted(item: Item, values: list[float], expected: int) -> None:
    """A word of two letters has 7 features: the word, and with the spaces around it ' a', 'ab', 'b ', ' ab', …"""
    texts = ["ab", "cd", "ef"][: len(values)]

    assert Linear(item, texts, targets(item, values), None).parameters == expected


@EVERY_KIND
def test_linear_models_learn_the_scores(item: Item) -> None:
    data = item_data(item=item)
    run = an_untaught_run(data)
    competitors = linear_within_budget(run, 0)

    scores = decode(competitors[0].outputs(dev_texts(run)), item, heads_of(run, competitors)[0])

    human, machine = [row.value for row in data.dev], [score.value for score in scores]
    if item.is_continuous:
        assert root_mean_squared_error(human, machine) < 0.2 * item.span
    else:
        assert quadratic_weighted_kappa(human, machine) > 0.8


@pytest.mark.parametrize("make", [linear, linear_within_budget, constant])
def test_outputs_are_log_probabilities(make: type) -> None:
    """No row has one of the scores of the scale."""
    data = item_data(60)
    data = replace(data, train=tuple(row for row in data.train if row.value != 2))
    run = an_untaught_run(data)

    [competitor] = make(run, 0)
    probabilities = np.exp(competitor.outputs(dev_texts(run)))

    assert probabilities.shape == (40, 4)
    assert np.abs(probabilities.sum(axis=1) - 1).max() < 1e-4
    assert (probabilities > 0).all()
    assert probabilities[:, 2].max() < 1e-4


@EVERY_KIND
def test_constant_training_scores_give_constant_outputs(item: Item) -> None:
    value = 3.5 if item.is_continuous else 2
    data = item_data(30, item=item)
    run = an_untaught_run(replace(data, train=tuple(replace(row, value=value) for row in data.train)))

    for competitors in (linear(run, 0), linear_within_budget(run, 0), constant(run, 0)):
        scores = decode(competitors[0].outputs(["anything", ""]), item, heads_of(run, competitors)[0])
        assert [score.value for score in scores] == pytest.approx([value, value])


@EVERY_KIND
def test_two_rows_are_enough(item: Item) -> None:
    run = an_untaught_run(data_of(item, ["warm air", "cold air"], [1, 3]))

    competitors = linear_within_budget(run, 0)
    [score] = decode(competitors[0].outputs(["warm air"]), item, heads_of(run, competitors)[0])

    assert competitors[0].out_of_fold is not None
    assert competitors[0].out_of_fold.validation.shape == (2, 2 if item.is_continuous else 4)
    assert 1 <= score.value <= 3


@EVERY_KIND
def test_single_row_is_enough_beside_other_items(item: Item) -> None:
    few = data_of(item.model_copy(update={"item_id": "few"}), ["warm air"], [3])
    run = an_untaught_run(item_data(8, item=item), few)

    competitors = linear(run, 0)
    [score] = decode(competitors[1].outputs(["cold air"]), item, heads_of(run, competitors)[1])

    assert score.value == 3


@pytest.mark.parametrize(
    "texts",
    [
        ["3", "5", "7", "3", "5"] * 4,  # single signs
        ["因为空气变暖" + chr(0x4E00 + number) for number in range(120)],  # different sentences without spaces
    ],
    ids=["digits", "chinese"],
)
def test_responses_without_common_words_are_read_by_characters(texts: list[str]) -> None:
    run = an_untaught_run(data_of(ITEM, texts, [number % 3 for number in range(len(texts))]))

    [competitor] = linear(run, 0)

    assert np.isfinite(competitor.outputs(texts[:5])).all()


def test_out_of_fold_outputs_exclude_the_row() -> None:
    """Only a response's unique word tells its label, so that only a model fitted to the response knows it."""
    generator = random.Random(1)  # noqa: S311  # no secret
    texts = [f"{chr(97 + n % 26) * 4}{chr(97 + n // 26) * 4}" for n in range(40)]
    labels: list[float] = [generator.randrange(2) for _ in texts]
    run = an_untaught_run(data_of(RIGHT, texts, labels))

    [competitor] = linear(run, 0)

    assert competitor.out_of_fold is not None
    rows = competitor.out_of_fold.parts.validation
    wanted = np.array([row.value for row in rows])
    assert (competitor.outputs([row.text for row in rows]).argmax(axis=1) == wanted).mean() == 1
    assert (competitor.out_of_fold.validation.argmax(axis=1) == wanted).mean() < 0.75


def test_out_of_fold_outputs_are_in_the_order_of_rows() -> None:
    run = an_untaught_run(data_of(ITEM, *_texts_and_values(60)))

    [competitor] = linear(run, 0)

    assert competitor.out_of_fold is not None
    unfit = competitor.out_of_fold
    assert len(unfit.validation) == len(unfit.parts.validation) == 60
    assert {row.id for row in unfit.parts.validation} == {row.id for row in run.items[0].parts.marked}
    given = unfit.validation.argmax(axis=1)
    assert quadratic_weighted_kappa([row.value for row in unfit.parts.validation], given) > 0.5


def _texts_and_values(number: int) -> tuple[list[str], list[float]]:
    return [row.text for row in marked(number)], [row.value for row in marked(number)]


def test_dev_rows_and_unlabelled_text_have_no_influence() -> None:
    """Heads do not depend on dev either: out-of-fold outputs decide on the heads of linear models."""
    data = item_data(60)
    contests = [an_untaught_run(data), an_untaught_run(replace(data, dev=(), unlabelled=()))]

    models = [linear(run, 0) for run in contests]

    assert heads_of(contests[0], models[0]) == heads_of(contests[1], models[1])
    texts = [row.text for row in data.dev]
    assert (models[0][0].outputs(texts) == models[1][0].outputs(texts)).all()


def test_constant_is_the_commonest_score_or_the_mean_grade() -> None:
    points = an_untaught_run(data_of(ITEM, ["a", "b", "c", "d"], [3, 1, 3, 0]))
    grades = an_untaught_run(data_of(GRADES, ["a", "b", "c"], [1, 2, 6]))

    [of_points], [of_grades] = constant(points, 0), constant(grades, 0)

    assert [s.value for s in decode(of_points.outputs(["x", "y"]), ITEM, heads_of(points, [of_points])[0])] == [3, 3]
    assert of_points.parameters == 4
    assert of_grades.outputs(["x"])[0, 0] == pytest.approx((3 - 1) / 5)  # as a share of the scale from 1 to 6


def test_each_item_has_a_model() -> None:
    other = ITEM.model_copy(update={"item_id": "heat-2"})
    run = an_untaught_run(item_data(40), item_data(40, item=other, seed=5))

    for make in (linear, linear_within_budget, constant):
        assert len(make(run, 0)) == 2
    first, second = linear(run, 0)
    assert np.abs(first.outputs(["the air gets warm"]) - second.outputs(["the air gets warm"])).max() > 1e-3


def test_timed_runtime_computes_the_same_outputs() -> None:
    run = an_untaught_run(item_data(40))
    [competitor] = linear_within_budget(run, 0)

    [runtime] = competitor.runtimes()

    assert runtime.name == "scikit-learn"
    assert runtime.bytes > 1000
    assert (runtime.outputs(dev_texts(run)) == competitor.outputs(dev_texts(run))).all()
    assert runtime.outputs([]).shape == (0, 4)
