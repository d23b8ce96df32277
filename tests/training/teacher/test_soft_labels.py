from pathlib import Path

import numpy as np
import pytest

from tests.training.example_rows import marked
from tests.training.teaching import a_teacher
from training.config import TrainingConfig
from training.teacher.ensemble import FineTuned
from training.teacher.soft_labels import teacher_outputs

TEXTS = [row.text for row in marked(70, seed=6)]  # more than a batch, of mixed lengths


@pytest.fixture
def teacher(tiny_config: TrainingConfig, tmp_path: Path) -> FineTuned:
    return a_teacher(tiny_config, tmp_path, rows=40)


@pytest.mark.parametrize("chunk", [1024, 33, 1])
def test_soft_labels_are_in_the_texts_order(teacher: FineTuned, tmp_path: Path, chunk: int) -> None:
    outputs = teacher_outputs(teacher, "", TEXTS, "test", tmp_path, chunk)

    one_by_one = np.concatenate([teacher.outputs([text]) for text in TEXTS])
    assert np.abs(outputs - one_by_one).max() < 1e-5


def test_soft_labels_are_cached(teacher: FineTuned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outputs = teacher_outputs(teacher, "", TEXTS, "test", tmp_path)

    monkeypatch.setattr(FineTuned, "outputs", lambda *_: pytest.fail("asked again"))

    assert (teacher_outputs(teacher, "", TEXTS, "test", tmp_path) == outputs).all()


def test_cached_outputs_are_not_given_to_other_texts(teacher: FineTuned, tmp_path: Path) -> None:
    kept = teacher_outputs(teacher, "", TEXTS[:2], "test", tmp_path)

    swapped = teacher_outputs(teacher, "", TEXTS[1::-1], "test", tmp_path)
    in_context = teacher_outputs(teacher, "Why does heat rise?", TEXTS[:2], "test", tmp_path)
    as_context = teacher_outputs(teacher, TEXTS[0], TEXTS[1:2], "test", tmp_path)

    assert np.abs(swapped - kept[::-1]).max() < 1e-5
    assert np.abs(in_context - teacher.outputs(TEXTS[:2], "Why does heat rise?")).max() < 1e-5
    assert np.abs(in_context - kept).max() > 1e-3
    assert np.abs(as_context - teacher.outputs(TEXTS[1:2], TEXTS[0])).max() < 1e-5


def test_another_teacher_has_its_own_cache(teacher: FineTuned, tiny_config: TrainingConfig, tmp_path: Path) -> None:
    other = a_teacher(tiny_config.model_copy(update={"seed": 1}), tmp_path, rows=40)

    outputs = [teacher_outputs(each, "", TEXTS[:4], "test", tmp_path) for each in (teacher, other)]

    assert np.abs(outputs[0] - outputs[1]).max() > 1e-3


def test_repeated_texts_have_repeated_rows(teacher: FineTuned, tmp_path: Path) -> None:
    outputs = teacher_outputs(teacher, "", TEXTS[:2] * 3, "test", tmp_path, 2)

    assert outputs.shape == (6, 4)
    assert np.abs(outputs - np.tile(teacher.outputs(TEXTS[:2]), (3, 1))).max() < 1e-5


def test_no_texts_have_no_rows_and_no_bar(
    teacher: FineTuned, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    capfd.readouterr()

    assert teacher_outputs(teacher, "", [], "test", tmp_path).shape == (0, 4)
    assert not capfd.readouterr().err
