"""The wheel's own GGUF file: there is no smaller real one."""

from pathlib import Path

import pytest
import torch

from training import unpacking
from training.cache import CACHE
from training.encoder import load_base, tokenise


def test_a_gguf_file_becomes_a_folder_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE, str(tmp_path))

    tokenizer, encoder = load_base("smollm2")
    monkeypatch.setattr(unpacking, "AutoModelForCausalLM", None)  # not unpacked again
    _, again = load_base("smollm2")

    assert sum(parameter.numel() for parameter in encoder.parameters()) == 134_515_008
    tokens = tokenise(tokenizer, ["", "Why?"], ["The air gets warm.", "Because."], 32)
    with torch.inference_mode():
        hidden = [model.eval()(**tokens).last_hidden_state for model in (encoder, again)]
    assert hidden[0].shape == (*tokens["input_ids"].shape, 576)
    assert hidden[0].isfinite().all()
    assert torch.equal(*hidden)
    assert [path.name for path in (tmp_path / "bases").iterdir() if path.name.startswith("tmp")] == []
