from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, RoFormerConfig, RoFormerModel

from app.scoring.agreement import quadratic_weighted_kappa, root_mean_squared_error
from tests.refusals import refused
from tests.training.example_rows import GRADES, marked
from tests.training.teaching import a_teacher
from training.config import TrainingConfig
from training.data.targets import targets
from training.errors import NoWeights
from training.teacher.fine_tuning import CHECKPOINT, HISTORY, WEIGHTS


def changed(config: TrainingConfig, **settings: object) -> TrainingConfig:
    return config.model_copy(update={"teacher": config.teacher.model_copy(update=settings)})


def test_teacher_learns_and_keeps_its_best_epoch(tiny_config: TrainingConfig, tmp_path: Path) -> None:
    teacher = a_teacher(tiny_config, tmp_path)

    rows = marked(40, seed=5)
    choices = teacher.outputs([row.text for row in rows]).argmax(axis=1)
    assert quadratic_weighted_kappa([row.value for row in rows], choices) > 0.5
    assert len(teacher.members[0].history) <= tiny_config.teacher.max_epochs
    assert teacher.columns == 4


def test_teacher_learns_grades(tiny_config: TrainingConfig, tmp_path: Path) -> None:
    teacher = a_teacher(tiny_config, tmp_path, item=GRADES)

    rows = marked(40, seed=5, item=GRADES)
    human, outputs = targets(GRADES, [row.value for row in rows]), teacher.outputs([row.text for row in rows])
    assert root_mean_squared_error(human, outputs[:, 0]) < 0.5 * human.std()
    assert (outputs[:, 1] > 0).all()
    assert teacher.columns == 2
    assert all(-1 < figure < 0 for figure in teacher.members[0].history)


def test_a_finished_teacher_is_only_read(tiny_config: TrainingConfig, tmp_path: Path) -> None:
    first = a_teacher(tiny_config, tmp_path)
    weights = min(tmp_path.rglob(WEIGHTS))
    written = weights.stat().st_mtime_ns

    again = a_teacher(tiny_config, tmp_path)

    assert weights.stat().st_mtime_ns == written
    assert again.key == first.key
    assert not list(tmp_path.rglob(CHECKPOINT))


def test_other_data_or_settings_make_another_teacher(tiny_config: TrainingConfig, tmp_path: Path) -> None:
    keys = [
        a_teacher(tiny_config, tmp_path).key,
        a_teacher(tiny_config, tmp_path, rows=100).key,
        a_teacher(tiny_config, tmp_path, context="Why does heat rise?").key,
        a_teacher(tiny_config, tmp_path, item=GRADES).key,
        a_teacher(tiny_config.model_copy(update={"seed": 1}), tmp_path).key,
        a_teacher(changed(tiny_config, learning_rate=1e-3), tmp_path).key,
    ]

    assert len(set(keys)) == len(list(tmp_path.rglob(HISTORY))) == len(keys)


def test_name_of_the_group_does_not_change_a_teacher(tiny_config: TrainingConfig, tmp_path: Path) -> None:
    """A teacher depends on its rows only: a change of `own_from` alone must keep finished work."""
    assert a_teacher(tiny_config, tmp_path).key == a_teacher(changed(tiny_config, own_from=7), tmp_path).key


def test_another_member_keeps_finished_members(tiny_config: TrainingConfig, tmp_path: Path) -> None:
    a_teacher(tiny_config, tmp_path)
    weights = min(tmp_path.rglob(WEIGHTS))
    written = weights.stat().st_mtime_ns

    two = a_teacher(changed(tiny_config, members=2), tmp_path)

    assert len(two.members) == 2
    assert weights.stat().st_mtime_ns == written
    first, second = (member.network.head.weight for member in two.members)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("context", ["", "Why does heat rise?"])
def test_outputs_do_not_depend_on_what_else_is_in_the_batch(
    tiny_config: TrainingConfig, tmp_path: Path, context: str
) -> None:
    teacher = a_teacher(tiny_config, tmp_path)
    texts = ["warm", "cold air takes its place because the air gets warm in the room"]

    assert np.abs(teacher.outputs(texts, context)[:1] - teacher.outputs(texts[:1], context)).max() < 1e-5


def test_training_does_not_depend_on_torchs_global_state(tiny_config: TrainingConfig, tmp_path: Path) -> None:
    torch.manual_seed(1)
    first = a_teacher(tiny_config, tmp_path / "one")
    torch.manual_seed(2)
    second = a_teacher(tiny_config, tmp_path / "other")

    assert first.members[0].history == second.members[0].history


def test_teacher_with_frozen_weights_is_read_again(
    tiny_config: TrainingConfig, tmp_path: Path, tiny_encoder: Path
) -> None:
    """RoFormer has such weights: a table of sines."""
    AutoTokenizer.from_pretrained(tiny_encoder).save_pretrained(tmp_path / "base")
    settings = RoFormerConfig(
        vocab_size=300,
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    RoFormerModel(settings).save_pretrained(tmp_path / "base")
    teacher = tiny_config.teacher.model_copy(update={"base": str(tmp_path / "base")})
    config = tiny_config.model_copy(update={"teacher": teacher})

    made, read = a_teacher(config, tmp_path), a_teacher(config, tmp_path)

    texts = [row.text for row in marked(20, seed=5)]
    assert np.abs(made.outputs(texts) - read.outputs(texts)).max() < 1e-5


def test_weights_of_another_network_are_refused(tiny_config: TrainingConfig, tmp_path: Path) -> None:
    a_teacher(tiny_config, tmp_path)
    [kept] = tmp_path.rglob(WEIGHTS)
    save_file({"head.weight": load_file(kept)["head.weight"]}, kept)

    with refused(NoWeights, "foreign_weights", folder=kept.parent):
        a_teacher(tiny_config, tmp_path)
