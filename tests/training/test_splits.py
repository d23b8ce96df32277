from dataclasses import replace

import pytest

from tests.training.data import marked
from training.errors import TooFewRows
from training.splits import carve, folded


def test_every_row_is_in_one_part_and_the_same_seed_gives_the_same() -> None:
    rows = marked(200)

    fit, validation = carve(rows, 0.2, seed=1)

    assert sorted([*fit, *validation], key=rows.index) == list(rows)
    assert carve(rows, 0.2, seed=1) == (fit, validation)
    assert carve(rows, 0.2, seed=2) != (fit, validation)


def test_every_score_is_drawn_from_alike() -> None:
    _, validation = carve(marked(200), 0.2, seed=1)

    assert [sum(row.choice == choice for row in validation) for choice in range(4)] == [10, 10, 10, 10]


def test_a_learner_stands_on_one_side_only() -> None:
    rows = [replace(row, learner_id=f"n{number // 4}") for number, row in enumerate(marked(200))]

    fit, validation = carve(rows, 0.2, seed=1)

    assert not {row.learner_id for row in fit} & {row.learner_id for row in validation}


def test_the_same_text_stands_on_one_side_only_even_by_way_of_a_learner() -> None:
    rows = [replace(row, learner_id=f"n{number % 50}") for number, row in enumerate(marked(200))]
    rows += [replace(row, id=f"twin {row.id}", text=row.text.upper() + " ", learner_id=None) for row in rows[:40]]

    fit, validation = carve(rows, 0.2, seed=1)

    assert not {folded(row.text) for row in fit} & {folded(row.text) for row in validation}
    assert validation


def test_too_few_rows_are_said_to_be_too_few() -> None:
    with pytest.raises(TooFewRows, match="3 marked responses are too few"):
        carve(marked(3), 0.15, seed=0)
