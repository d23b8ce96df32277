from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from app.scoring.decoding import Outputs, distribution
from app.scoring.item import Item
from tests.training.compare.group_runs import a_group_run, dev_texts, quick
from tests.training.conftest import tiny_settings
from tests.training.example_rows import ITEM, item_data, other_dev
from training.compare import students
from training.compare.students import EPOCH_FACTORS, full_recipe, human_labels, published_loss
from training.config import PARAMETER_BUDGET, TrainingConfig
from training.pipeline.group_run import GroupRun
from training.student.build import StudentFiles, make_students
from training.student.tokenizer import learn_tokenizer
from training.student.training_set import TrainingSet
from training.teacher.ensemble import FineTuned

EVERY_RECIPE = pytest.mark.parametrize("make", [full_recipe, published_loss, human_labels])
Made = list[tuple[TrainingSet, bytes, TrainingConfig]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, tiny_encoder: Path) -> GroupRun:
    return a_group_run(quick(tiny_settings(tiny_encoder)), tmp_path_factory.mktemp("cache"), item_data(60, 20, 8))


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> Made:
    """Record every trained student with its training set."""
    seen: Made = []

    def watched(
        items: Sequence[Item],
        training_sets: Sequence[TrainingSet],
        tokenizer: bytes,
        config: TrainingConfig,
        cache: Path,
    ) -> list[StudentFiles]:
        seen.extend((training_set, tokenizer, config) for training_set in training_sets)
        return make_students(items, training_sets, tokenizer, config, cache)

    monkeypatch.setattr("training.pipeline.students.make_students", watched)
    return seen


def fit_texts(run: GroupRun) -> tuple[str, ...]:
    return tuple(row.text for row in run.items[0].parts.fit)


def test_human_labels_need_no_teacher(
    run: GroupRun, trained: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FineTuned, "outputs", lambda *_: pytest.fail("asked"))
    monkeypatch.setattr("training.student.training_set.teacher_outputs", lambda *_: pytest.fail("asked"))

    human_labels(replace(run, cache=tmp_path), 0)

    for training_set, _, config in trained:
        assert training_set.teacher is None
        assert config.distillation.soft_weight == 0


@pytest.mark.parametrize("make", [published_loss, human_labels])
def test_without_extra_text_only_marked_responses_are_seen(run: GroupRun, trained: Made, make: type) -> None:
    """Neither the student nor its tokenizer sees other texts."""
    make(run, 0)

    tokenizer_of_marked = learn_tokenizer(fit_texts(run), run.config.student.vocabulary)
    assert trained
    for training_set, tokenizer, _ in trained:
        assert training_set.texts == fit_texts(run)
        assert not np.isnan(training_set.targets).any()
        assert tokenizer == tokenizer_of_marked


def test_published_loss_uses_teacher_outputs_and_human_scores(run: GroupRun, trained: Made) -> None:
    published_loss(run, 0)

    training_set, _, config = trained[-1]
    assert run.teacher is not None
    assert training_set.teacher is not None
    assert np.abs(training_set.teacher - run.teacher.outputs(fit_texts(run))).max() < 1e-5
    assert config.distillation.soft_weight == run.config.distillation.soft_weight > 0


def test_full_recipe_equals_a_training_run(run: GroupRun, trained: Made) -> None:
    full_recipe(run, 0)

    [(training_set, tokenizer, config)] = trained
    assert training_set.texts == run.items[0].texts.all
    assert len(training_set.texts) > len(fit_texts(run)) + 8
    assert tokenizer == run.tokenizer
    assert config == run.config


@EVERY_RECIPE
def test_students_depend_on_the_seed_alone(run: GroupRun, make: type) -> None:
    texts = dev_texts(run)

    first, second, again = (make(run, seed)[0].outputs(texts) for seed in (0, 1, 0))

    assert (first == again).all()
    assert np.abs(first - second).max() > 1e-3


@pytest.mark.parametrize("seed", [0, 2])
@pytest.mark.parametrize(("figures", "times"), [([0.1, 0.3, 0.2], 2), ([0.3, 0.3, 0.1], 1), ([0.0, 0.1, 0.2], 4)])
def test_epochs_are_chosen_on_validation(
    run: GroupRun,
    trained: Made,
    monkeypatch: pytest.MonkeyPatch,
    figures: list[float],
    times: int,
    seed: int,
) -> None:
    asked: list[tuple[Sequence[float], int, Sequence[object]]] = []

    def figure(_: Item, target: Sequence[float], outputs: Outputs, items: Sequence[object]) -> float:
        asked.append((target, len(outputs), items))
        return figures[len(asked) - 1]

    monkeypatch.setattr(students, "validation_metric", figure)

    human_labels(run, seed)

    validation = [row.value for row in run.items[0].parts.validation]
    assert asked == [(validation, len(validation), [ITEM.item_id] * len(validation))] * len(EPOCH_FACTORS)
    chosen = trained[-1][2].distillation
    assert (chosen.epochs, chosen.seed) == (times * run.config.distillation.epochs, seed)


def test_epochs_change_students_even_with_few_texts(run: GroupRun, monkeypatch: pytest.MonkeyPatch) -> None:
    """Equal students would leave nothing to choose between."""
    tried: list[Outputs] = []

    def figure(_: Item, __: Sequence[float], outputs: Outputs, ___: Sequence[object]) -> float:
        tried.append(outputs)
        return 0.0

    monkeypatch.setattr(students, "validation_metric", figure)

    human_labels(replace(run, config=quick(run.config, epochs=1, min_steps=30)), 0)

    assert np.abs(tried[0] - tried[1]).max() > 1e-4
    assert np.abs(tried[1] - tried[2]).max() > 1e-4


@EVERY_RECIPE
def test_dev_rows_have_no_influence(run: GroupRun, trained: Made, make: type) -> None:
    other = a_group_run(run.config, run.cache, other_dev(item_data(60, 20, 8)))
    assert other.items[0].parts.dev != run.items[0].parts.dev

    first, second = make(run, 1)[0], make(other, 1)[0]

    configs = [config for _, _, config in trained]
    assert configs[: len(configs) // 2] == configs[len(configs) // 2 :]
    assert (first.outputs(dev_texts(other)) == second.outputs(dev_texts(other))).all()


@EVERY_RECIPE
def test_students_are_within_the_budget(run: GroupRun, make: type) -> None:
    assert 0 < make(run, 0)[0].parameters <= PARAMETER_BUDGET


def test_seconds_include_training_and_labelling(run: GroupRun, tmp_path: Path) -> None:
    fresh = replace(run, cache=tmp_path)
    full_recipe(fresh, 0)
    [student] = (tmp_path / "students").glob("*.seconds")
    labels = sorted((tmp_path / "outputs").glob("*/*.seconds"))  # of marked, unlabelled and augmented text
    student.write_text("20.0")
    for number, seconds in enumerate((250, 40, 10)):
        labels[number].write_text(str(seconds))

    assert full_recipe(fresh, 0)[0].seconds == 320

    labels[2].unlink()
    assert full_recipe(fresh, 0)[0].seconds is None


def test_student_is_timed_in_float32_and_int8(run: GroupRun) -> None:
    [competitor], texts = full_recipe(run, 0), dev_texts(run)

    whole, small = competitor.runtimes()

    assert (whole.name, small.name) == ("float32", "int8")
    assert small.bytes < whole.bytes
    assert (whole.outputs(texts) == competitor.outputs(texts)).all()
    assert 0 < np.abs(distribution(small.outputs(texts), ITEM) - distribution(whole.outputs(texts), ITEM)).max() < 0.05
