from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from app.scoring.item import Item
from tests.refusals import refused
from tests.training.example_rows import GRADES, ITEM, marked
from training.config import StudentConfig, TrainingConfig
from training.data.targets import targets
from training.errors import NoParity, OverBudget
from training.student import build
from training.student.build import MAX_DIFFERENCE, StudentFiles, check_parity, make_students
from training.student.distill import distilled
from training.student.network import StudentNetwork
from training.student.onnx_export import to_onnx
from training.student.tokenizer import learn_tokenizer
from training.student.training_set import TrainingSet

TEXTS = tuple(row.text for row in marked(60))
TOKENIZER = learn_tokenizer(TEXTS, 200)


def a_training_set(item: Item = ITEM) -> TrainingSet:
    rows = marked(60, item=item)
    return TrainingSet(tuple(row.text for row in rows), targets(item, [row.value for row in rows]), None)


def made(
    config: TrainingConfig, cache: Path, item: Item = ITEM, training_set: TrainingSet | None = None
) -> StudentFiles:
    [files] = make_students([item], [training_set or a_training_set(item)], TOKENIZER, config, cache)
    return files


@pytest.mark.parametrize("item", [ITEM, GRADES])
def test_network_is_opened_from_the_exported_file(tiny_config: TrainingConfig, tmp_path: Path, item: Item) -> None:
    files = made(changed(tiny_config, "distillation", epochs=30), tmp_path, item)

    outputs = files.network(item, 48).outputs(list(TEXTS))

    human = a_training_set(item).targets
    scores = outputs[:, 0] if item.is_continuous else outputs.argmax(axis=1)
    assert np.corrcoef(scores, human)[0, 1] > 0.6
    assert files.tokenizer == TOKENIZER
    assert 0 < files.parameters <= 30_000


def test_second_call_only_reads(tiny_config: TrainingConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = made(tiny_config, tmp_path)

    monkeypatch.setattr(build, "distilled", lambda *_: pytest.fail("trained again"))

    assert made(tiny_config, tmp_path) == first


def changed(config: TrainingConfig, part: str, **settings: object) -> TrainingConfig:
    return config.model_copy(update={part: getattr(config, part).model_copy(update=settings)})


def test_change_of_any_input_makes_another_student(tiny_config: TrainingConfig, tmp_path: Path) -> None:
    tiny_config = changed(tiny_config, "distillation", epochs=1, min_steps=1)  # many are made, and none is asked
    training_set = a_training_set()
    soft = np.zeros((60, 4), np.float32)
    wider = Item(item_id="heat-1", prompt="Why?", scale="points", max_score=4)
    settings = [
        tiny_config.model_copy(update={"seed": 1}),
        changed(tiny_config, "distillation", seed=7),
        changed(tiny_config, "distillation", epochs=2),
        changed(tiny_config, "distillation", temperature=2.0),
        changed(tiny_config, "distillation", soft_weight=0.5),
        changed(tiny_config, "distillation", learning_rate=1e-3),
        changed(tiny_config, "student", hidden=6),
        changed(tiny_config, "student", max_tokens=12),
    ]
    training_sets = [
        replace(training_set, texts=(*training_set.texts[1:], training_set.texts[0])),
        replace(training_set, targets=np.roll(training_set.targets, 1)),
        replace(training_set, teacher=soft),
        replace(training_set, teacher=soft + 1e-3),
    ]

    made(tiny_config, tmp_path)
    for config in settings:
        made(config, tmp_path)
    for other in training_sets:
        made(tiny_config, tmp_path, training_set=other)
    made(tiny_config, tmp_path, wider)
    made(tiny_config, tmp_path, GRADES)
    make_students([ITEM], [training_set], learn_tokenizer(TEXTS, 50), tiny_config, tmp_path)
    make_students([ITEM, ITEM], [training_set, training_set], TOKENIZER, tiny_config, tmp_path)
    make_students([ITEM, ITEM], [training_set, training_sets[1]], TOKENIZER, tiny_config, tmp_path)

    keys = {path.name.partition(".")[0] for path in (tmp_path / "students").iterdir()}
    assert len(keys) == 1 + len(settings) + len(training_sets) + 5


def test_other_settings_make_no_other_student(tiny_config: TrainingConfig, tmp_path: Path) -> None:
    """Change the choice of thresholds, or settings of the teacher that left its outputs the same."""
    first = made(tiny_config, tmp_path)

    again = made(changed(tiny_config.model_copy(update={"human_margin": 0.3}), "teacher", members=5), tmp_path)

    assert again == first
    assert len({path.name.partition(".")[0] for path in (tmp_path / "students").iterdir()}) == 1


def test_student_without_parity_is_refused_again_by_the_next_call(tiny_config: TrainingConfig, tmp_path: Path) -> None:
    for _ in range(2):
        with refused(NoParity, limit=0.0):
            make_students([ITEM], [a_training_set()], TOKENIZER, tiny_config, tmp_path, max_difference=0.0)


def test_students_that_learn_together_score_their_own_items(tiny_config: TrainingConfig, tmp_path: Path) -> None:
    """Score the texts the other way round for the second item, so that shared weights cannot serve both."""
    rows = marked(60, item=GRADES)
    human = targets(GRADES, [row.value for row in rows])
    texts, config = tuple(row.text for row in rows), changed(tiny_config, "distillation", epochs=40)
    training_sets = [
        TrainingSet(texts, human, None),
        TrainingSet(texts, 1 - human, None),
        TrainingSet(texts[:20], human[:20], None),
    ]
    items = [GRADES.model_copy(update={"item_id": f"heat-{number}"}) for number in range(3)]

    made_of_all = make_students(items, training_sets, TOKENIZER, config, tmp_path)

    first, second, third = (files.network(GRADES, 48).outputs(list(texts))[:, 0] for files in made_of_all)
    assert np.corrcoef(first, human)[0, 1] > 0.6
    assert np.corrcoef(second, human)[0, 1] < -0.6
    assert np.corrcoef(third, human)[0, 1] > 0.5  # on forty that only the others learnt, too
    assert len({files.student for files in made_of_all}) == 3
    assert len({files.parameters for files in (*made_of_all, made(config, tmp_path, GRADES))}) == 1


def test_nothing_is_trained_over_the_budget(
    tiny_config: TrainingConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "distilled", lambda *_: pytest.fail("trained"))

    with pytest.raises(OverBudget):
        made(changed(tiny_config, "student", hidden=200), tmp_path)


@pytest.mark.parametrize("item", [ITEM, GRADES])
def test_exported_student_gives_the_outputs_of_the_trained_network(
    tiny_config: TrainingConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, item: Item
) -> None:
    checks: list[float] = []
    monkeypatch.setattr(build, "check_parity", lambda *arguments: checks.append(check_parity(*arguments)))

    made(tiny_config, tmp_path, item)

    assert len(checks) == 1
    assert 0 <= checks[0] < 1e-5


@pytest.mark.parametrize("item", [ITEM, GRADES])
def test_parity_check_refuses_another_network(tiny_config: TrainingConfig, tmp_path: Path, item: Item) -> None:
    exported = made(tiny_config, tmp_path, item).network(item, 48)
    torch.manual_seed(5)
    other = StudentNetwork(exported.featurizer.vocabulary, item, tiny_config.student).eval()

    with refused(NoParity, "no_parity", limit=MAX_DIFFERENCE):
        check_parity(other, exported, item, TEXTS)


@pytest.mark.parametrize("column", [0, 1])
def test_parity_check_compares_mean_and_variance(column: int) -> None:
    torch.manual_seed(5)
    trained = StudentNetwork(200, GRADES, StudentConfig(vocabulary=200, embedding=8, hidden=8, max_tokens=48)).eval()
    exported = StudentFiles(TOKENIZER, to_onnx(trained), 1, None).network(GRADES, 48)
    assert check_parity(trained, exported, GRADES, TEXTS) < 1e-5

    with torch.no_grad():
        trained.head.bias[column] += 1e-2

    with pytest.raises(NoParity):
        check_parity(trained, exported, GRADES, TEXTS)


def test_network_that_gives_nan_has_no_parity(tiny_config: TrainingConfig, tmp_path: Path) -> None:
    exported = made(tiny_config, tmp_path).network(ITEM, 48)
    broken = StudentNetwork(exported.featurizer.vocabulary, ITEM, tiny_config.student).eval()
    with torch.no_grad():
        broken.head.bias[0] = float("nan")

    with pytest.raises(NoParity):
        check_parity(broken, exported, ITEM, TEXTS)


def test_items_that_learn_together_train_for_the_shared_number_of_epochs(
    tiny_config: TrainingConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[int] = []

    def watched(training_sets: Sequence[TrainingSet], *arguments: Any) -> StudentNetwork:
        given.append(arguments[3].epochs)
        return distilled(training_sets, *arguments)

    monkeypatch.setattr(build, "distilled", watched)
    config = changed(tiny_config, "distillation", epochs=2, shared_epochs=3)

    make_students([ITEM], [a_training_set()], TOKENIZER, config, tmp_path)
    make_students([ITEM, ITEM], [a_training_set(), a_training_set()], TOKENIZER, config, tmp_path)

    assert given == [2, 3]
