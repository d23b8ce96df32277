from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from tests.refusals import refused
from tests.training.tiny_gguf import write_tiny_gguf
from training.common.cache import CACHE
from training.errors import NoWeights
from training.feedback.adapter_file import write_adapter
from training.teacher.adapters import with_adapters
from training.teacher.gguf import unpacked

PROMPT = [60, 21, 33, 250, 5, 77, 130, 12, 90]


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(CACHE, str(tmp_path / "cache"))
    return write_tiny_gguf(tmp_path / "base.gguf")


def weights(adapted: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Return large weights, so that a matrix in the wrong place shows."""
    generator = torch.Generator().manual_seed(0)
    learnt = {name: p for name, p in adapted.named_parameters() if p.requires_grad}
    return {name: torch.randn(p.shape, generator=generator) * 0.3 for name, p in learnt.items()}


def told_by_llama_cpp(base: Path, adapter: Path | None) -> dict[int, float]:
    """Return log-probabilities of the likeliest next tokens."""
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path, parameters.warmup, parameters.verbosity = str(base), False, -1
    parameters.n_ctx, parameters.n_parallel = 256, 1
    if adapter is not None:
        lora = xllamacpp.CommonAdapterLoraInfo()
        lora.path, lora.scale = str(adapter), 1.0
        parameters.lora_adapters = [lora]
    asked = {"prompt": PROMPT, "n_predict": 1, "temperature": 0.0, "n_probs": 8}
    reply: Any = xllamacpp.Server(parameters).handle_completions(asked)
    [first] = reply["choices"][0]["logprobs"]["content"]
    return {token["id"]: token["logprob"] for token in first["top_logprobs"]}


def test_llama_cpp_and_torch_agree_on_the_adapter(base: Path, tmp_path: Path) -> None:
    adapted = with_adapters(AutoModelForCausalLM.from_pretrained(unpacked(base)), 4, 0.0).eval()
    learnt = weights(adapted)
    adapted.load_state_dict(learnt, strict=False)

    write_adapter(tmp_path / "adapter.gguf", base, learnt)

    with torch.inference_mode():
        wanted = adapted(torch.tensor([PROMPT])).logits[0, -1].log_softmax(0).numpy()
    likeliest = told_by_llama_cpp(base, tmp_path / "adapter.gguf")
    assert list(likeliest) == np.argsort(-wanted)[:8].tolist()
    assert list(likeliest.values()) == pytest.approx(wanted[list(likeliest)].tolist(), abs=0.02)
    assert likeliest.keys() != told_by_llama_cpp(base, None).keys()  # the adapter matters


def test_adapter_of_another_base_is_refused(base: Path, tmp_path: Path) -> None:
    strange = {"base_model.model.model.layers.7.self_attn.q_proj.lora_A.default.weight": torch.zeros(4, 32)}

    with refused(NoWeights, "no_tensor_for_adapter", base="base.gguf", module="model.layers.7.self_attn.q_proj"):
        write_adapter(tmp_path / "adapter.gguf", base, strange)


def test_weights_that_are_no_adapter_are_refused(base: Path, tmp_path: Path) -> None:
    strange = {"base_model.model.model.layers.0.self_attn.q_proj.lora_A.default.weight": torch.zeros(4, 32)}

    with refused(NoWeights, "not_an_adapter", name="lm_head.weight"):
        write_adapter(tmp_path / "adapter.gguf", base, strange | {"lm_head.weight": torch.zeros(4, 32)})


def test_unknown_architecture_is_refused(tmp_path: Path) -> None:
    base = write_tiny_gguf(tmp_path / "base.gguf", architecture="brontosaurus")
    weight = {"base_model.model.model.layers.0.self_attn.q_proj.lora_A.default.weight": torch.zeros(4, 32)}

    with refused(NoWeights, "unknown_architecture", architecture="brontosaurus"):
        write_adapter(tmp_path / "adapter.gguf", base, weight)
