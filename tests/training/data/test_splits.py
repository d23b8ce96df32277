from collections import Counter
from dataclasses import replace

import pytest

from app.scoring.item import Item
from tests.training.example_rows import GRADES, ITEM, item_data, marked, some_items
from training.config import TextConfig, TrainingConfig
from training.data.splits import carve, folded, folds, split, split_together


@pytest.mark.parametrize("item", [ITEM, GRADES])
def test_every_row_is_in_one_part_and_the_same_seed_gives_the_same(item: Item) -> None:
    rows = marked(200, item=item)

    fit, validation = carve(item, rows, 0.2, seed=1)

    assert sorted([*fit, *validation], key=rows.index) == list(rows)
    assert list(fit) == sorted(fit, key=rows.index)
    assert carve(item, rows, 0.2, seed=1) == (fit, validation)
    assert carve(item, rows, 0.2, seed=2) != (fit, validation)


def test_every_score_is_drawn_from_alike() -> None:
    _, validation = carve(ITEM, marked(200), 0.2, seed=1)

    assert [sum(row.value == choice for row in validation) for choice in range(4)] == [10, 10, 10, 10]


def test_every_quarter_of_the_grades_is_drawn_from_alike() -> None:
    """`marked` gives fifty grades near each of 1, 2.67, 4.33 and 6: fifty in every quarter from 1 to 6."""
    rows = [replace(row, text=f"{row.text} {number}") for number, row in enumerate(marked(200, item=GRADES))]

    _, validation = carve(GRADES, rows, 0.2, seed=1)

    assert {1, 6} <= {row.value for row in rows}
    quarters = Counter(min(3, int((row.value - 1) / 1.25)) for row in validation)
    assert quarters == {0: 10, 1: 10, 2: 10, 3: 10}


def test_responses_of_a_learner_stay_in_one_part() -> None:
    rows = [replace(row, learner_id=f"n{number // 4}") for number, row in enumerate(marked(200))]

    fit, validation = carve(ITEM, rows, 0.2, seed=1)

    assert validation
    assert not {row.learner_id for row in fit} & {row.learner_id for row in validation}


def test_equal_texts_stay_in_one_part_through_learners_too() -> None:
    rows = [replace(row, learner_id=f"n{number % 50}") for number, row in enumerate(marked(200))]
    rows += [replace(row, id=f"twin {row.id}", text=row.text.upper() + " ", learner_id=None) for row in rows[:40]]

    fit, validation = carve(ITEM, rows, 0.2, seed=1)

    assert not {folded(row.text) for row in fit} & {folded(row.text) for row in validation}
    assert validation


def test_common_texts_do_not_tie_learners_together() -> None:
    """Every tenth of 200 learners has written "idk" once."""
    items = [
        replace(
            data,
            train=tuple(
                replace(row, learner_id=f"n{place}", text="idk" if place % 10 == number else row.text)
                for place, row in enumerate(marked(200, seed=number, item=data.item))
            ),
        )
        for number, data in enumerate(some_items())
    ]

    parts = split_together(items, TrainingConfig(validation_share=0.2))

    assert all(35 <= len(item_parts.validation) <= 40 for item_parts in parts)
    for item_parts in parts:
        assert not {folded(row.text) for row in item_parts.fit} & {folded(row.text) for row in item_parts.validation}
    apart = [
        {row.learner_id for item_parts in parts for row in getattr(item_parts, part) if row.text != "idk"}
        for part in ("fit", "validation")
    ]
    assert not apart[0] & apart[1]


@pytest.mark.parametrize("rows", [4, 8, 12])
def test_many_items_of_a_few_rows_have_their_share_to_validate_on(rows: int) -> None:
    """Give each score one to three rows, a tenth of which rounds to none."""
    items = [item_data(rows, item=ITEM.model_copy(update={"item_id": f"few-{number}"})) for number in range(50)]

    parts = split_together(items, TrainingConfig(validation_share=0.1))

    share = sum(len(item_parts.validation) for item_parts in parts) / (50 * rows)
    assert 0.08 <= share <= 0.12


def test_of_a_few_rows_none_may_be_left_to_validate_on() -> None:
    rows = marked(3)

    assert carve(ITEM, rows, 0.15, seed=0) == (rows, ())


def test_of_a_few_rows_all_may_be_drawn() -> None:
    assert carve(ITEM, marked(1), 0.6, seed=0) == ((), marked(1))
    assert carve(ITEM, [], 0.2, seed=0) == ((), ())


def test_rows_of_an_item_are_parted_by_their_use() -> None:
    data = item_data(train=40, dev=8, unlabelled=5)

    parts = split(data, TrainingConfig(validation_share=0.2))

    assert (parts.fit, parts.validation) == carve(ITEM, data.train, 0.2, seed=0)
    assert (parts.item, len(parts.fit), len(parts.validation)) == (ITEM, 32, 8)
    assert parts.marked == (*parts.fit, *parts.validation)
    assert parts.dev == data.dev
    assert parts.unlabelled == tuple(row.text for row in data.unlabelled)


def test_blank_responses_are_in_no_part() -> None:
    data = item_data(train=40, dev=8, unlabelled=5)
    blank = replace(
        data,
        train=(*data.train, replace(data.train[0], text=" \n")),
        dev=(*data.dev, replace(data.dev[0], text="\u200b")),
        unlabelled=(*data.unlabelled, replace(data.unlabelled[0], text="")),
    )

    assert split(blank, TrainingConfig()) == split(data, TrainingConfig())


def test_unlabelled_text_can_be_left_out_of_everything() -> None:
    """A student without extra text must not get cuts or a vocabulary from it either."""
    config = TrainingConfig(text=TextConfig(unlabelled=False))

    assert split(item_data(unlabelled=5), TrainingConfig()).unlabelled
    assert split(item_data(unlabelled=5), config).unlabelled == ()


@pytest.mark.parametrize(("rows", "count"), [(200, 3), (200, 20), (7, 3), (1, 3), (0, 3)])
def test_every_row_is_in_one_fold_and_folds_are_about_equal(rows: int, count: int) -> None:
    row_folds = folds(marked(rows), count, seed=1)

    assert len(row_folds) == count
    assert sorted(number for fold in row_folds for number in fold) == list(range(rows))
    assert max(map(len, row_folds)) - min(map(len, row_folds)) <= 1
    assert folds(marked(rows), count, seed=1) == row_folds


def test_another_seed_gives_other_folds() -> None:
    assert folds(marked(200), 3, seed=1) != folds(marked(200), 3, seed=2)


def test_a_learner_and_a_text_are_in_one_fold() -> None:
    rows = [replace(row, learner_id=f"n{number // 4}") for number, row in enumerate(marked(120))]
    rows += [replace(row, id=f"twin {row.id}", text=row.text.upper() + " ", learner_id=None) for row in rows[:40]]

    row_folds = folds(rows, 4, seed=1)

    of_row = {number: fold for fold, rows_of_fold in enumerate(row_folds) for number in rows_of_fold}
    for key in ("learner_id", "text"):
        together: dict[str, set[int]] = {}
        for number, row in enumerate(rows):
            if (value := getattr(row, key)) is not None:
                together.setdefault(folded(value), set()).add(of_row[number])
        assert {len(numbers) for numbers in together.values()} == {1}
    assert min(map(len, row_folds)) > 30


def test_unlabelled_text_that_equals_validation_text_is_left_out() -> None:
    data = item_data(train=40, unlabelled=5)
    held = split(data, TrainingConfig()).validation[0]
    twin = replace(data.unlabelled[0], text=held.text.upper() + " ")

    again = split(replace(data, unlabelled=(twin, *data.unlabelled)), TrainingConfig())

    assert again == split(data, TrainingConfig())


def test_items_that_learn_together_are_split_like_each_alone() -> None:
    items = some_items()

    assert split_together(items, TrainingConfig()) == tuple(split(data, TrainingConfig()) for data in items)


def test_learner_of_several_items_stays_in_one_part_of_all() -> None:
    items = [
        replace(data, train=tuple(replace(row, learner_id=f"n{place % 20}") for place, row in enumerate(rows)))
        for data, rows in ((data, data.train[:: 1 if number else -1]) for number, data in enumerate(some_items()))
    ]

    parts = split_together(items, TrainingConfig(validation_share=0.3))

    fit, validation = (
        {row.learner_id for item_parts in parts for row in getattr(item_parts, part)} for part in ("fit", "validation")
    )
    assert fit
    assert validation
    assert not fit & validation
    assert [len(item_parts.marked) for item_parts in parts] == [40, 40, 40]
