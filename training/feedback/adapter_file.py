"""Adapters in the format of llama.cpp: a GGUF file with low-rank matrices under the tensor names of the base."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from torch import Tensor

from training.errors import NoWeights
from training.teacher.adapters import ALPHA

PREFIX = "base_model.model."
SIDES = {".lora_A.default.weight": "lora_a", ".lora_B.default.weight": "lora_b"}


def write_adapter(path: Path, base: Path, weights: Mapping[str, Tensor]) -> None:
    """Write an adapter; `weights` have peft's names.  Raises NoWeights if the base lacks a tensor of the adapter."""
    reader = gguf.GGUFReader(base)
    architecture = str(reader.fields["general.architecture"].contents())
    heads = {
        "attn_q": _number(reader, f"{architecture}.attention.head_count"),
        "attn_k": _number(reader, f"{architecture}.attention.head_count_kv"),
    }
    names = _names(architecture, _number(reader, f"{architecture}.block_count"))
    base_tensors = {tensor.name for tensor in reader.tensors}
    rank = next(len(tensor) for name, tensor in weights.items() if name.endswith(".lora_A.default.weight"))
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_string("general.type", "adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", float(ALPHA * rank))
    for name, tensor in weights.items():
        module, side = _split(name)
        target = names.get_name(module, try_suffixes=())
        if target is None or f"{target}.weight" not in base_tensors:
            raise NoWeights(
                f"{base.name} has no tensor for the adapter of {module}: choose another base, or tuning none",
                code="no_tensor_for_adapter",
                base=base.name,
                module=module,
            )
        values = tensor.float().numpy()
        kind = target.rpartition(".")[2]
        if architecture == "llama" and side == "lora_b" and kind in heads:
            values = _interleaved(values, heads[kind])
        writer.add_tensor(f"{target}.weight.{side}", np.ascontiguousarray(values, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _names(architecture: str, blocks: int) -> gguf.TensorNameMap:
    known = {name: number for number, name in gguf.MODEL_ARCH_NAMES.items()}
    if architecture not in known:
        raise NoWeights(
            f"llama.cpp has no adapters for the architecture {architecture!r}: choose another base, or tuning none",
            code="unknown_architecture",
            architecture=architecture,
        )
    return gguf.get_tensor_name_map(known[architecture], blocks)


def _split(name: str) -> tuple[str, str]:
    for ending, side in SIDES.items():
        if name.endswith(ending):
            return name.removeprefix(PREFIX).removesuffix(ending), side
    raise NoWeights(f"{name} is not part of an adapter", code="not_an_adapter", name=name)


def _number(reader: Any, field: str) -> int:
    return int(reader.fields[field].contents())


def _interleaved(values: Any, heads: int) -> Any:
    """Return rows in the order of llama.cpp.

    Rotary embedding pairs neighbouring dimensions of a head in llama.cpp, and the two halves of a head in transformers.
    """
    half = values.shape[0] // heads // 2
    halves = values.reshape(heads, 2, half, -1)
    return halves.swapaxes(1, 2).reshape(values.shape)
