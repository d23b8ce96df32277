import json
from dataclasses import replace

import pytest

from app.scoring.item import Item
from tests.training.data import GRADES, ITEM, item_data, marked
from training.check import summarise
from training.datasets import DataSet


def test_a_summary_counts_what_is_suspicious() -> None:
    data = item_data(train=40, dev=8, unlabelled=3)
    first = data.train[0]
    train = (
        *data.train,
        replace(first, id="twin", text=first.text.upper()),  # the same text and score again
        replace(first, id="odd", value=3),  # the same text with another score
        replace(first, id="empty", text="  "),
    )
    dev = (*data.dev, replace(first, id="leak"), replace(first, id="seen", text=data.unlabelled[0].text))

    [summary] = summarise(DataSet({ITEM.item_id: ITEM}, train, dev, data.unlabelled))

    assert (summary.train, summary.dev, summary.unlabelled) == (43, 10, 3)
    assert summary.distribution == {"0": 12, "1": 10, "2": 10, "3": 11}
    assert (summary.duplicates, summary.conflicts, summary.leaks, summary.blank) == (2, 1, 1, 1)
    assert summary.seen == 1
    assert summary.human_qwk == 1.0


def test_a_learner_on_both_sides_is_a_leak() -> None:
    data = item_data(train=8, dev=4)
    train = tuple(replace(row, learner_id="n1") for row in data.train)
    dev = (replace(data.dev[0], learner_id="n1"), *data.dev[1:])

    [summary] = summarise(DataSet({ITEM.item_id: ITEM}, train, dev, ()))

    assert summary.leaks == 1


def test_grades_are_counted_by_quarters_of_the_scale() -> None:
    rows = marked(6, item=GRADES)
    grades = (1, 2.2, 2.25, 3.5, 4.75, 6)  # a border belongs to the quarter above it, the best grade to the last
    train = tuple(replace(row, value=grade) for row, grade in zip(rows, grades, strict=True))

    [summary] = summarise(DataSet({GRADES.item_id: GRADES}, train, (), ()))

    assert summary.scale == "continuous"
    assert summary.distribution == {"1-2.25": 2, "2.25-3.5": 1, "3.5-4.75": 1, "4.75-6": 2}
    assert json.dumps(summary.as_dict())


def test_grades_can_conflict_and_raters_of_grades_agree_more_or_less() -> None:
    first, second = marked(2, item=GRADES)
    pairs = [(1.0, 1.0), (2.0, 3.0), (6.0, 5.0)]
    train = tuple(
        replace(row, id=str(number), value=sum(pair) / 2, raters=pair)
        for number, (row, pair) in enumerate(zip([first, first, second], pairs, strict=True))
    )

    [summary] = summarise(DataSet({GRADES.item_id: GRADES}, train, (), ()))

    assert (summary.duplicates, summary.conflicts) == (1, 1)
    assert summary.human_qwk == pytest.approx(2 * 10 / 3 / (14 / 3 + 8 / 3))


def test_labels_are_counted_by_name() -> None:
    item = Item(item_id="heat-1", prompt="Why?", scale="nominal", labels=("a", "b", "c"))
    train = tuple(replace(row, value=number % 2) for number, row in enumerate(marked(5)))

    [summary] = summarise(DataSet({item.item_id: item}, train, (), ()))

    assert summary.distribution == {"a": 3, "b": 2, "c": 0}


def test_one_rater_has_no_human_agreement() -> None:
    data = item_data(train=8, dev=0)
    train = tuple(replace(row, raters=None) for row in data.train)

    [summary] = summarise(DataSet({ITEM.item_id: ITEM}, train, (), ()))

    assert summary.human_qwk is None
