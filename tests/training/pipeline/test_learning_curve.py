"""Points of a learning curve: random draws of learners with all their texts, and a whole run on each draw."""

from dataclasses import replace
from pathlib import Path

import pytest

from app.scoring.decoding import decode
from tests.refusals import refused
from tests.training.example_rows import item_data, marked, some_items
from training.calibration.choose import choose_heads
from training.config import TrainingConfig
from training.data.item_groups import groups
from training.data.responses import MarkedResponse
from training.errors import TooFewRows
from training.evaluation.agreement import agreement_on
from training.pipeline.learning_curve import check_rows, drawn, learning_curve
from training.pipeline.prepare import prepare, train_teacher
from training.pipeline.students import distil, held_out


def some_rows(rows: int) -> list[MarkedResponse]:
    """Return two responses for each learner; every other text is one of five."""
    return [
        replace(row, learner_id=f"learner {number // 2}", text=f"common {number % 5}" if number % 2 else row.text)
        for number, row in enumerate(marked(rows))
    ]


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5, 0.9])
def test_drawn_share_holds_its_share_of_common_texts(share: float) -> None:
    rows = some_rows(400)

    part = drawn(rows, share, 0)

    assert len(part) == pytest.approx(share * 400, abs=1)
    assert sum(row.text.startswith("common") for row in part) == len(part) / 2


def test_responses_of_a_learner_are_drawn_together_and_rows_stay_in_order() -> None:
    rows = some_rows(100)

    part = drawn(rows, 0.3, 1)

    learners = {row.learner_id for row in part}
    assert list(part) == [row for row in rows if row.learner_id in learners]


def test_rows_without_learners_are_drawn_alone_and_smaller_shares_are_nested() -> None:
    rows = [replace(row, text="the same") for row in marked(60)]

    small, large = drawn(rows, 0.2, 0), drawn(rows, 0.6, 0)

    assert (len(small), len(large)) == (12, 36)
    assert set(small) < set(large)
    assert drawn(rows, 0.2, 0) == small != drawn(rows, 0.2, 1)


@pytest.mark.parametrize("seed", range(5))
def test_drawn_share_is_no_prefix_of_the_file(seed: int) -> None:
    """Sort the rows by score: the first half has the lowest scores."""
    rows = sorted(marked(400), key=lambda row: row.value)

    share = sum(row.value for row in drawn(rows, 0.25, seed)) / 100

    assert share == pytest.approx(1.5, abs=0.4)


@pytest.mark.torch
def test_point_of_the_curve_equals_a_run_of_that_size(tiny_config: TrainingConfig, tmp_path: Path) -> None:
    """Choose calibration and cuts on out-of-fold rows too, as a run does."""
    config = tiny_config.model_copy(update={"learning_curve": (0.5,), "calibration_folds": 2})
    data = item_data()
    [group] = groups([data], 1)

    [point] = learning_curve(prepare(group, config, tmp_path), data.dev)

    [smaller] = groups([replace(data, train=drawn(data.train, 0.5, config.seed))], 1)
    run = train_teacher(prepare(smaller, config, tmp_path))
    students = distil(run)
    [student], [head] = students, choose_heads(held_out(run, students))
    scores = decode(student.network.outputs([row.text for row in data.dev]), student.item, head)
    assert point.agreement == agreement_on(student.item, data.dev, scores)
    assert point.marked == head.chosen_on == len(student.parts.marked) == 60


def test_too_small_share_is_refused_before_any_training(tiny_config: TrainingConfig) -> None:
    config = tiny_config.model_copy(update={"learning_curve": (0.5, 0.01)})

    with refused(TooFewRows, share=0.01):
        check_rows(groups([item_data()], 1), config)


def test_items_that_share_a_teacher_have_no_curve(tiny_config: TrainingConfig, tmp_path: Path) -> None:
    config = tiny_config.model_copy(update={"learning_curve": (0.01,)})
    [group] = groups(some_items(), 300)

    check_rows([group], config)
    assert list(learning_curve(prepare(group, config, tmp_path), [])) == []
