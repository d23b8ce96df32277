"""LoRA and QLoRA, on an encoder and on a language model."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from app.scoring.decoding import distribution
from tests.training.conftest import tiny_settings
from tests.training.example_rows import GRADES, ITEM, marked
from tests.training.teaching import a_teacher
from training.config import TeacherKind, TrainingConfig
from training.teacher import fine_tuning
from training.teacher.adapters import load_in_4_bits, merged, with_adapters
from training.teacher.encoder import load_base, tokenise
from training.teacher.ensemble import FineTuned
from training.teacher.fine_tuning import WEIGHTS
from training.teacher.onnx_export import OnnxEncoder, to_onnx

TEXTS = [row.text for row in marked(20, seed=5)]


class Case(NamedTuple):
    base: Path
    kind: TeacherKind


@pytest.fixture(scope="module", params=["tiny_encoder lora", "tiny_decoder lora", "tiny_decoder qlora"])
def case(request: pytest.FixtureRequest) -> Case:
    """Return a case; 4 bits come in blocks of 64, and the tiny encoder is narrower."""
    base, _, kind = request.param.partition(" ")
    return Case(request.getfixturevalue(base), kind)


def adapted(config: TrainingConfig, case: Case) -> TrainingConfig:
    teacher = case._asdict() | {"base": str(case.base), "adapter_rank": 8, "adapter_learning_rate": 1e-2}
    return config.model_copy(update={"teacher": config.teacher.model_copy(update=teacher)})


class Made(NamedTuple):
    config: TrainingConfig
    cache: Path
    teacher: FineTuned


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, tiny_encoder: Path, case: Case) -> Made:
    """Train the teacher of a case once for all tests, none of which changes it."""
    config, cache = adapted(tiny_settings(tiny_encoder), case), tmp_path_factory.mktemp("adapters")
    return Made(config, cache, a_teacher(config, cache))


def probabilities(teacher: FineTuned) -> np.ndarray:
    return distribution(teacher.outputs(TEXTS), ITEM)


def test_only_adapters_and_output_layer_learn_and_are_kept(made: Made, case: Case) -> None:
    network = made.teacher.members[0].network
    assert made.teacher.members[0].history[-1] > 0.5  # by chance: 0
    assert all("lora" in name or name.startswith("head.") for name in network.learnt)
    [kept] = made.cache.rglob(WEIGHTS)
    assert load_file(kept).keys() == network.learnt.keys()
    _, untouched = load_base(str(case.base), in_4_bits=case.kind == "qlora")
    tensors = {name.replace(".base_layer", ""): tensor for name, tensor in network.encoder.state_dict().items()}
    for name, tensor in untouched.state_dict().items():
        assert torch.equal(tensors[f"base_model.model.{name}"], tensor), name


def test_finished_teacher_is_read_again(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fine_tuning, "human_loss", None)  # nothing is trained again

    read = a_teacher(made.config, made.cache)

    assert read.key == made.teacher.key
    assert np.abs(probabilities(read) - probabilities(made.teacher)).max() < 1e-5


def test_full_lora_and_qlora_make_three_teachers(
    tiny_config: TrainingConfig, tmp_path: Path, tiny_decoder: Path
) -> None:
    kinds: tuple[TeacherKind, ...] = ("full", "lora", "qlora")
    short = tiny_config.teacher.model_copy(update={"max_epochs": 1, "min_steps": 1})
    config = tiny_config.model_copy(update={"teacher": short})

    assert len({a_teacher(adapted(config, Case(tiny_decoder, kind)), tmp_path).key for kind in kinds}) == 3


def test_killed_training_resumes_to_the_same_teacher(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, whole = made.config, made.teacher
    figures = iter([0.1])
    with monkeypatch.context() as patch:
        patch.setattr(fine_tuning, "_validate", lambda *_: next(figures))
        with pytest.raises(StopIteration):  # as if it were killed in the second epoch
            a_teacher(config, tmp_path / "killed")
    monkeypatch.setattr(fine_tuning, "_stalled", lambda *_: False)

    gone_on = a_teacher(config, tmp_path / "killed")

    assert gone_on.members[0].history[1:] == pytest.approx(whole.members[0].history[1:])
    assert np.abs(probabilities(gone_on) - probabilities(whole)).max() < 1e-5


def test_merged_network_gives_the_same_outputs(made: Made, case: Case) -> None:
    teacher = made.teacher
    network, tokens = teacher.members[0].network, tokenise(teacher.tokenizer, [""] * 20, TEXTS, 64)

    plain = network.merged()

    assert not [name for name, _ in plain.named_parameters() if "lora" in name]
    assert {parameter.dtype for parameter in plain.parameters()} == {torch.float32}
    with torch.inference_mode():
        difference = (torch.softmax(plain(tokens), 1) - torch.softmax(network.eval()(tokens), 1)).abs().max()
    assert difference < (1e-5 if case.kind == "lora" else 0.02)  # 4-bit products are rounded


@pytest.mark.parametrize("case", ["tiny_decoder lora"], indirect=True)
def test_exported_language_model_scores_the_same(made: Made) -> None:
    teacher = made.teacher
    content = to_onnx(teacher.members[0].network, teacher.tokenizer, 64)

    outputs = OnnxEncoder(content, teacher.tokenizer, 64).outputs([""] * 20, TEXTS)

    assert np.abs(distribution(outputs, ITEM) - probabilities(teacher)).max() < 1e-4


def test_grades_are_learnt_beside_4_bits(tiny_config: TrainingConfig, tmp_path: Path, tiny_decoder: Path) -> None:
    teacher = a_teacher(adapted(tiny_config, Case(tiny_decoder, "qlora")), tmp_path, item=GRADES)

    assert teacher.outputs(TEXTS).shape == (20, 2)
    assert teacher.members[0].history[-1] > teacher.members[0].history[0]  # less RMSE


def test_4_bit_weights_take_a_quarter_of_the_memory_and_stay_close(tiny_decoder: Path) -> None:
    packed = load_in_4_bits(str(tiny_decoder))
    _, exact = load_base(str(tiny_decoder))

    name = "layers.0.mlp.up_proj.weight"
    whole = dict(exact.named_parameters())[name]
    assert dict(packed.named_parameters())[name].nbytes * 8 == whole.nbytes  # 4 of 32 bits
    back = dict(merged(with_adapters(packed, 4, 0.0)).named_parameters())[name]
    assert 0 < (back - whole).abs().max() < 0.02


def test_adapters_of_every_layer_still_learn_after_a_validation(
    tiny_config: TrainingConfig, tmp_path: Path, tiny_decoder: Path
) -> None:
    """On some processors bitsandbytes repacks 4-bit weights at the first pass without gradients."""
    teacher = a_teacher(adapted(tiny_config, Case(tiny_decoder, "qlora")), tmp_path)
    network, tokens = teacher.members[0].network, tokenise(teacher.tokenizer, [""] * 20, TEXTS, 64)
    teacher.outputs(TEXTS)

    network.train()(tokens).square().sum().backward()

    assert [name for name, weights in network.learnt.items() if weights.grad is None] == []
