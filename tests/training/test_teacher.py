from pathlib import Path

import numpy as np
import pytest
import torch

from app.scoring.agreement import quadratic_weighted_kappa
from tests.training.data import ITEM, marked
from training import teacher as teacher_module
from training.config import TrainingConfig
from training.softlabels import teacher_logits
from training.splits import carve
from training.teacher import CHECKPOINT, HISTORY, WEIGHTS, Teacher, fine_tuned


def fine_tune(config: TrainingConfig, cache: Path, rows: int = 120) -> Teacher:
    fit, validation = carve(marked(rows), 0.3, seed=0)
    return fine_tuned(ITEM, fit, validation, config.teacher, config.seed, cache)


def test_it_learns_and_keeps_its_best_epoch(tiny_config: TrainingConfig, tmp_path: Path) -> None:
    teacher = fine_tune(tiny_config, tmp_path)

    rows = marked(40, seed=5)
    choices = teacher.logits([row.text for row in rows]).argmax(axis=1)
    assert quadratic_weighted_kappa([row.choice for row in rows], choices) > 0.5
    assert len(teacher.members[0].history) <= tiny_config.teacher.max_epochs


def test_killed_after_an_epoch_it_becomes_the_teacher_it_would_have_been(
    tiny_config: TrainingConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = fine_tune(tiny_config, tmp_path / "whole")

    class Killed(BaseException):
        pass

    epochs = 0
    validate = teacher_module._validate

    def killed_in_the_third_epoch(*arguments: object) -> float:
        nonlocal epochs
        epochs += 1
        if epochs == 3:
            raise Killed
        return validate(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(teacher_module, "_validate", killed_in_the_third_epoch)
    with pytest.raises(Killed):
        fine_tune(tiny_config, tmp_path / "killed")
    monkeypatch.setattr(teacher_module, "_validate", validate)
    assert len(list((tmp_path / "killed").rglob(CHECKPOINT))) == 1
    gone_on = fine_tune(tiny_config, tmp_path / "killed")

    assert [m.history for m in gone_on.members] == [m.history for m in whole.members]
    texts = [row.text for row in marked(20, seed=5)]
    assert np.abs(gone_on.logits(texts) - whole.logits(texts)).max() < 1e-5


def test_a_finished_teacher_is_only_read(tiny_config: TrainingConfig, tmp_path: Path) -> None:
    first = fine_tune(tiny_config, tmp_path)
    weights = min(tmp_path.rglob(WEIGHTS))
    written = weights.stat().st_mtime_ns

    again = fine_tune(tiny_config, tmp_path)

    assert weights.stat().st_mtime_ns == written
    assert again.key == first.key
    assert not list(tmp_path.rglob(CHECKPOINT))


def test_other_data_or_settings_make_another_teacher(tiny_config: TrainingConfig, tmp_path: Path) -> None:
    key = fine_tune(tiny_config, tmp_path).key

    assert fine_tune(tiny_config, tmp_path, rows=100).key != key
    assert fine_tune(tiny_config.model_copy(update={"seed": 1}), tmp_path).key != key
    assert len(list(tmp_path.rglob(HISTORY))) == 3 * tiny_config.teacher.members


def test_logits_do_not_depend_on_what_else_is_in_the_batch(tiny_config: TrainingConfig, tmp_path: Path) -> None:
    teacher = fine_tune(tiny_config, tmp_path)
    texts = ["warm", "cold air takes its place because the air gets warm in the room"]

    assert np.abs(teacher.logits(texts)[:1] - teacher.logits(texts[:1])).max() < 1e-5


def test_soft_labels_are_in_the_texts_order_and_kept(
    tiny_config: TrainingConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    teacher = fine_tune(tiny_config, tmp_path)
    texts = [row.text for row in marked(70, seed=6)]  # more than a batch, of mixed lengths

    logits = teacher_logits(teacher, texts, "test", tmp_path)

    one_by_one = np.concatenate([teacher.logits([text]) for text in texts])
    assert np.abs(logits - one_by_one).max() < 1e-5
    monkeypatch.setattr(Teacher, "logits", lambda *_: pytest.fail("asked again"))
    assert (teacher_logits(teacher, texts, "test", tmp_path) == logits).all()


def test_training_does_not_depend_on_torchs_global_state(tiny_config: TrainingConfig, tmp_path: Path) -> None:
    torch.manual_seed(1)
    one = fine_tune(tiny_config, tmp_path / "one")
    torch.manual_seed(2)
    other = fine_tune(tiny_config, tmp_path / "other")

    assert one.members[0].history == other.members[0].history
