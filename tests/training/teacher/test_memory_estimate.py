"""Estimates of the memory that a teacher needs, compared with real teachers."""

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks
from transformers import MPNetConfig

from tests.refusals import refused
from tests.training.example_rows import GRADES, ITEM, marked
from tests.training.inside import call
from tests.training.teaching import a_teacher
from training.common.cache import CACHE
from training.config import TeacherConfig, TrainingConfig
from training.errors import BadConfig, NoWeights
from training.teacher.ensemble import _network
from training.teacher.memory_estimate import LEARNT_BYTES, available, need

ROWS = '{"item_id": "a", "response": "So.", "score": 1}\n'


def config(base: Path, **settings: Any) -> TeacherConfig:
    return TeacherConfig.model_validate({"base": str(base), "batch_size": 4, "max_tokens": 32} | settings)


@pytest.mark.parametrize("kind", ["full", "lora", "qlora"])
def test_estimated_weights_equal_the_real_network(tiny_decoder: Path, kind: str) -> None:
    settings = config(tiny_decoder, kind=kind)
    _, network = _network(ITEM, settings, 0)

    estimate = need(settings, ITEM)

    learnt = sum(weights.numel() for weights in network.learnt.values())
    assert (estimate.learnt, estimate.learning) == (learnt, LEARNT_BYTES * learnt)
    frozen = [weights for weights in network.parameters() if not weights.requires_grad]
    assert estimate.weights == pytest.approx(sum(weights.nbytes for weights in frozen), rel=0.02)
    assert estimate.adapted.get("up_proj", 0) == (0 if kind == "full" else 2)
    assert (estimate.unpacking > 0) is (kind == "qlora")


@pytest.mark.parametrize(
    ("base", "kind"), [("tiny_encoder", "full"), ("tiny_decoder", "full"), ("tiny_decoder", "lora")]
)
def test_estimated_activations_equal_a_real_step(request: pytest.FixtureRequest, base: str, kind: str) -> None:
    settings = config(request.getfixturevalue(base), kind=kind)
    _, network = _network(ITEM, settings, 0)
    weight_places = {weights.untyped_storage().data_ptr() for weights in network.parameters()}
    kept: dict[int, int] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with saved_tensors_hooks(note, lambda tensor: tensor):
        outputs = network.train()({"input_ids": torch.ones(4, 32, dtype=torch.long)})
    counted = sum(size for place, size in kept.items() if place not in weight_places)

    assert outputs.shape == (4, 4)
    assert need(settings, ITEM).activations == pytest.approx(counted, rel=0.05)


def test_more_responses_need_more_and_checkpointing_and_bfloat16_less(tiny_decoder: Path) -> None:
    plain, more, again, narrow = (
        need(config(tiny_decoder, **settings), ITEM).activations
        for settings in ({}, {"batch_size": 8}, {"checkpointing": True}, {"precision": "bfloat16"})
    )

    assert more == pytest.approx(2 * plain, rel=0.1)
    assert again < 0.7 * plain
    assert narrow < plain


def test_a_configuration_is_enough(tiny_decoder: Path, tmp_path: Path) -> None:
    shutil.copy(tiny_decoder / "config.json", tmp_path)

    assert need(config(tmp_path, kind="qlora"), GRADES) == need(config(tiny_decoder, kind="qlora"), GRADES)


def test_missing_configuration_is_refused(tmp_path: Path) -> None:
    with refused(NoWeights, "unusable_base", base=str(tmp_path)):
        need(config(tmp_path), ITEM)


@pytest.mark.usefixtures("read_once")
def test_gguf_weights_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE, str(tmp_path))

    estimate = need(TeacherConfig(base="smollm2", kind="lora"), ITEM)

    assert estimate.frozen == 134_515_008
    assert list(tmp_path.iterdir()) == []


def test_more_tokens_than_a_base_can_read_are_refused(
    tiny_config: TrainingConfig, tmp_path: Path, tiny_decoder: Path
) -> None:
    long = config(tiny_decoder, max_tokens=65)

    with refused(BadConfig, "base_reads_fewer_tokens", max_tokens=65, limit=64):
        need(long, ITEM)
    with refused(BadConfig, "base_reads_fewer_tokens", max_tokens=65, limit=64):
        a_teacher(tiny_config.model_copy(update={"teacher": long}), tmp_path)


def test_base_without_checkpointing_is_refused(tmp_path: Path) -> None:
    MPNetConfig(vocab_size=100, hidden_size=32, num_hidden_layers=1, num_attention_heads=2).save_pretrained(tmp_path)

    with refused(BadConfig, "no_checkpointing", encoder="MPNetModel"):
        need(config(tmp_path, checkpointing=True), ITEM)


def test_checkpointing_learns_the_same(tiny_config: TrainingConfig, tmp_path: Path, tiny_decoder: Path) -> None:
    lora = tiny_config.teacher.model_copy(update={"kind": "lora", "base": str(tiny_decoder)})
    again = lora.model_copy(update={"checkpointing": True})

    stored, recomputed = (
        a_teacher(tiny_config.model_copy(update={"teacher": teacher}), tmp_path / name)
        for name, teacher in (("kept", lora), ("again", again))
    )

    texts = [row.text for row in marked(20, seed=5)]
    assert stored.key == recomputed.key
    assert np.abs(stored.outputs(texts) - recomputed.outputs(texts)).max() < 1e-4


@pytest.mark.parametrize(("responses", "code"), [(4, 0), (10_000_000, 1)])
def test_dry_run_reports_the_need_and_trains_nothing(
    tmp_path: Path, tiny_decoder: Path, responses: int, code: int
) -> None:
    (tmp_path / "items.jsonl").write_text('{"item_id": "a", "prompt": "Why?", "scale": "points", "max_score": 1}\n')
    (tmp_path / "train.jsonl").write_text(ROWS)
    (tmp_path / "c.toml").write_text(f"[teacher]\nbatch_size = {responses}\nmax_tokens = 32\n")
    shutil.copytree(tiny_decoder, tmp_path / "base", ignore=lambda *_: ["model.safetensors"])

    done = call(
        "run", "--data", tmp_path, "--models", tmp_path / "m", "--config", tmp_path / "c.toml",
        "--teacher", "qlora", "--base", tmp_path / "base", "--dry-run",
    )  # fmt: skip

    assert done.code == code, done.stderr
    *parts, total, _ = map(float, re.findall(r"\d+\.\d\d(?=\s*$)", done.stdout, re.MULTILINE))
    assert total == pytest.approx(sum(parts), abs=0.05)
    assert "2 up_proj" in done.stdout
    assert (done.error is not None and done.error.code == "teacher_too_large") is (code == 1)
    assert not (tmp_path / "m").exists()


def test_available_memory_is_plausible() -> None:
    assert available() > 2**29
