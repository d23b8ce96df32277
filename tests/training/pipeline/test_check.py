import json
import re
from dataclasses import replace

import pytest

from app.scoring.agreement import MIN_PAIRS
from app.scoring.item import Item
from tests.training.example_rows import FILLERS, GRADES, IDEAS, ITEM, LABELS, item_data, marked
from training.config import StudentConfig
from training.data import DataSet
from training.pipeline.check import summarise


def test_summary_counts_suspicious_rows() -> None:
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
        for number, (row, pair) in enumerate(zip([first, first, second] * 10, pairs * 10, strict=True))
    )

    [summary] = summarise(DataSet({GRADES.item_id: GRADES}, train, (), ()))

    assert (summary.duplicates, summary.conflicts) == (28, 1)
    assert summary.human_qwk == pytest.approx(2 * 10 / 3 / (14 / 3 + 8 / 3))
    assert summary.human_exact == pytest.approx(1 / 3)


@pytest.mark.parametrize("labels", [("a", "b", "c"), ("b", "a", "c"), ("c", "a", "b")])
def test_agreement_of_label_raters_does_not_depend_on_label_order(labels: tuple[str, ...]) -> None:
    """Raters agree on 20 of 30 rows: 12 a, 6 b and 2 c; the other rows have a and c."""
    item = Item(item_id="heat-1", prompt="Why?", scale="nominal", labels=labels)
    given = [("a", "a")] * 12 + [("b", "b")] * 6 + [("c", "c")] * 2 + [("a", "c")] * 10
    pairs = [(labels.index(first), labels.index(second)) for first, second in given]
    train = tuple(replace(row, value=pair[0], raters=pair) for row, pair in zip(marked(30), pairs, strict=True))

    [summary] = summarise(DataSet({item.item_id: item}, train, (), ()))

    by_chance = (22 * 12 + 6 * 6 + 2 * 12) / 30**2
    assert (summary.double_scored, summary.human_qwk) == (30, None)
    assert summary.human_exact == pytest.approx(2 / 3)
    assert summary.human_kappa == pytest.approx((2 / 3 - by_chance) / (1 - by_chance))
    assert summary.agreement_of_raters == "exact 0.667, kappa 0.479"


def test_labels_are_counted_by_name() -> None:
    item = Item(item_id="heat-1", prompt="Why?", scale="nominal", labels=("a", "b", "c"))
    train = tuple(replace(row, value=number % 2) for number, row in enumerate(marked(5)))

    [summary] = summarise(DataSet({item.item_id: item}, train, (), ()))

    assert summary.distribution == {"a": 3, "b": 2, "c": 0}


@pytest.mark.parametrize(("double", "known"), [(0, False), (MIN_PAIRS - 1, False), (MIN_PAIRS, True)])
def test_human_agreement_needs_as_many_rows_as_the_gate(double: int, known: bool) -> None:
    rows = item_data(train=40, dev=0).train
    train = (*rows[:double], *(replace(row, raters=None) for row in rows[double:]))

    [summary] = summarise(DataSet({ITEM.item_id: ITEM}, train, (), ()))

    assert (summary.double_scored, summary.human_kappa) == (double, None)
    assert [summary.human_qwk, summary.human_exact] == ([1.0, 1.0] if known else [None, None])


@pytest.mark.parametrize(
    ("item", "raters", "value", "outside"),
    [
        (ITEM, (1, 2), 1, False),
        (ITEM, (1, 2), 3, True),  # a sum
        (ITEM, (3, 2), 1, True),
        (ITEM, None, 3, False),
        (GRADES, (1.5, 2.5), 2, False),
        (GRADES, (1.5, 2.5), 4, True),
        (LABELS, (0, 2), 2, False),
        (LABELS, (0, 2), 1, True),  # neither of the two labels
    ],
)
def test_scores_outside_the_range_of_both_raters_give_a_warning(
    item: Item, raters: tuple[float, float] | None, value: float, outside: bool
) -> None:
    data = item_data(train=8, dev=4, item=item)
    changed = replace(data.train[0], raters=raters, value=value)
    [summary] = summarise(DataSet({item.item_id: item}, (changed, *data.train[1:]), (*data.dev[1:], changed), ()))

    assert summary.outside_raters == 2 * outside
    assert len(summary.warnings) == outside


def test_check_warns_of_cut_responses_and_contradicted_refusals() -> None:
    item = ITEM.model_copy(update={"refusals": ("none", "no comment")})
    long = " ".join(f"{IDEAS[n % 3]} {FILLERS[n % 6]}" for n in range(80))
    first, *rest = (replace(row, text=f"{row.text} {long}", raters=None) for row in marked(40))
    train = (*rest, replace(first, text="None!", value=1), replace(first, id="again", text="no comment", value=0))

    [summary] = summarise(DataSet({item.item_id: item}, train, (replace(first, id="d", text="none", value=3),), ()))

    assert summary.over_long == pytest.approx(39 / 42)
    assert summary.enough_tokens is not None
    assert summary.enough_tokens > StudentConfig().max_tokens
    assert summary.refusals_contradicted == {"none": 2}
    cut, answered = summary.warnings
    assert "student.max_tokens" in cut
    assert "'none'" in answered
    assert re.search(r"\b2\b", answered)


def test_responses_of_usual_length_give_no_warning() -> None:
    [summary] = summarise(DataSet({ITEM.item_id: ITEM}, marked(40), (), ()))

    assert (summary.over_long, summary.enough_tokens, summary.warnings) == (0, None, [])
