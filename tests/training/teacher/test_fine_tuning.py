from pathlib import Path

import numpy as np
import pytest
import torch

from app.scoring.decoding import softmax
from app.scoring.item import Item
from app.scoring.teacher import mixture
from tests.training.example_rows import GRADES, ITEM, LABELS, marked
from tests.training.teaching import a_teacher
from training.config import TrainingConfig
from training.data.targets import Example
from training.teacher import fine_tuning
from training.teacher.fine_tuning import CHECKPOINT, HISTORY, WEIGHTS, outputs_of


@pytest.mark.parametrize("item", [ITEM, GRADES, LABELS])
def test_killed_training_resumes_to_the_same_teacher(
    tiny_config: TrainingConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, item: Item
) -> None:
    whole = a_teacher(tiny_config, tmp_path / "whole", item=item)

    class Killed(BaseException):
        pass

    epochs = 0
    validate = fine_tuning._validate

    def killed_in_the_third_epoch(*arguments: object) -> float:
        nonlocal epochs
        epochs += 1
        if epochs == 3:
            raise Killed
        return validate(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(fine_tuning, "_validate", killed_in_the_third_epoch)
        with pytest.raises(Killed):
            a_teacher(tiny_config, tmp_path / "killed", item=item)
    assert len(list((tmp_path / "killed").rglob(CHECKPOINT))) == 1
    gone_on = a_teacher(tiny_config, tmp_path / "killed", item=item)

    assert [m.history for m in gone_on.members] == [m.history for m in whole.members]
    texts = [row.text for row in marked(20, seed=5)]
    assert np.abs(gone_on.outputs(texts) - whole.outputs(texts)).max() < 1e-5


def test_weights_of_the_best_epoch_are_kept(
    tiny_config: TrainingConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Make up metrics by which the second of four epochs is the best."""
    figures = iter([0.1, 0.9, 0.2, 0.3])
    monkeypatch.setattr(fine_tuning, "_validate", lambda *_: next(figures))
    stopped = tiny_config.model_copy(update={"teacher": tiny_config.teacher.model_copy(update={"patience": 9})})
    kept = a_teacher(stopped, tmp_path / "four")

    figures = iter([0.1, 0.9])
    monkeypatch.setattr(fine_tuning, "_stalled", lambda history, _: len(history) == 2)
    second = a_teacher(stopped, tmp_path / "two")

    texts = [row.text for row in marked(20, seed=5)]
    assert kept.members[0].history == (0.1, 0.9, 0.2, 0.3)
    assert np.abs(kept.outputs(texts) - second.outputs(texts)).max() < 1e-5


def test_training_stops_when_the_metric_stops_rising(
    tiny_config: TrainingConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fine_tuning, "_validate", lambda *_: -0.4)  # as an RMSE is: below 0

    teacher = a_teacher(tiny_config, tmp_path, item=GRADES)

    assert len(teacher.members[0].history) == tiny_config.teacher.patience + 1 < tiny_config.teacher.max_epochs


def test_few_rows_train_for_the_minimum_of_steps(
    tiny_config: TrainingConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fine_tuning, "_validate", lambda *_: 0.0)
    more = tiny_config.teacher.model_copy(update={"min_steps": 12, "max_epochs": 1, "patience": 1})

    teacher = a_teacher(tiny_config.model_copy(update={"teacher": more}), tmp_path / "six", rows=20)

    assert len(teacher.members[0].history) == 6  # of two batches each
    rising = iter(range(6))
    monkeypatch.setattr(fine_tuning, "_validate", lambda *_: float(next(rising)))
    last = a_teacher(tiny_config.model_copy(update={"teacher": more}), tmp_path / "last", rows=20)
    texts = [row.text for row in marked(20, seed=5)]
    assert np.abs(teacher.outputs(texts) - last.outputs(texts)).max() < 1e-5  # of equal epochs the last one's are kept


def test_a_finished_network_leaves_weights_and_history_and_no_checkpoint(
    tiny_config: TrainingConfig, tmp_path: Path
) -> None:
    a_teacher(tiny_config, tmp_path)

    [folder] = (tmp_path / "teachers").iterdir()
    assert {path.name for path in folder.iterdir()} == {WEIGHTS, HISTORY, f"{WEIGHTS}.seconds"}


@pytest.mark.parametrize("item", [ITEM, GRADES])
def test_outputs_are_in_the_order_of_the_texts(tiny_config: TrainingConfig, tmp_path: Path, item: Item) -> None:
    """Outputs are computed in batches of like length, and must return to their order."""
    teacher = a_teacher(tiny_config, tmp_path, item=item)
    networks = [member.network for member in teacher.members]
    texts = [row.text for row in marked(70, seed=5)]
    contexts = ["why " * (1 + number % 3) for number in range(70)]

    outputs = outputs_of(networks, teacher.tokenizer, contexts, texts, 64)

    for number in range(0, 70, 9):
        [alone] = outputs_of(networks, teacher.tokenizer, contexts[number : number + 1], texts[number : number + 1], 64)
        assert outputs[number] == pytest.approx(alone, abs=1e-5)


def test_several_networks_probabilities_are_averaged() -> None:
    each = torch.tensor([[[4.0, 0.0], [0.0, 2.0]], [[0.0, 0.0], [1.0, 0.0]]])  # two networks, two texts

    mixed = mixture(each.numpy(), continuous=False)

    wanted = (softmax(each[0].numpy()) + softmax(each[1].numpy())) / 2
    assert np.exp(mixed) == pytest.approx(wanted, abs=1e-6)


def test_several_networks_grades_are_one_distribution() -> None:
    """The variance of a mixture is the variance of its parts, .02, plus the variance between them, .1²."""
    each = torch.tensor([[[0.4, 0.01]], [[0.6, 0.03]]])

    assert mixture(each.numpy(), continuous=True)[0].tolist() == pytest.approx([0.5, 0.02 + 0.01])


def test_one_network_is_its_own_mixture() -> None:
    each = torch.tensor([[[0.4, 0.01]]])

    assert mixture(each.numpy(), continuous=True)[0].tolist() == pytest.approx([0.4, 0.01])


def test_length_of_an_example_counts_context_and_response() -> None:
    assert Example("why?", "warm air", 1.0).length == 12


def test_teacher_in_bfloat16_has_its_own_key_and_learns_as_well(tiny_config: TrainingConfig, tmp_path: Path) -> None:
    narrow = tiny_config.teacher.model_copy(update={"precision": "bfloat16"})

    exact = a_teacher(tiny_config, tmp_path)
    near = a_teacher(tiny_config.model_copy(update={"teacher": narrow}), tmp_path)

    assert near.key != exact.key
    assert near.members[0].history[-1] == pytest.approx(exact.members[0].history[-1], abs=0.1)
    assert {tensor.dtype for tensor in near.members[0].network.state_dict().values()} == {torch.float32}
