from dataclasses import replace

from tests.training.data import ITEM, item_data
from training.check import summarise
from training.datasets import DataSet


def test_a_summary_counts_what_is_suspicious() -> None:
    data = item_data(train=40, dev=8, unlabelled=3)
    first = data.train[0]
    train = (
        *data.train,
        replace(first, id="twin", text=first.text.upper()),  # the same text and score again
        replace(first, id="odd", choice=3),  # the same text with another score
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


def test_one_rater_has_no_human_agreement() -> None:
    data = item_data(train=8, dev=0)
    train = tuple(replace(row, raters=None) for row in data.train)

    [summary] = summarise(DataSet({ITEM.item_id: ITEM}, train, (), ()))

    assert summary.human_qwk is None
