"""An adapter as llama.cpp reads it: a GGUF file with the low-rank matrices under the base's own tensor names."""

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
    """weights: by peft's names.  Raises NoWeights where the base has no tensor that an adapter belongs to."""
    reader = gguf.GGUFReader(base)
    architecture = str(reader.fields["general.architecture"].contents())
    heads = {
        "attn_q": _number(reader, f"{architecture}.attention.head_count"),
        "attn_k": _number(reader, f"{architecture}.attention.head_count_kv"),
    }
    names = _names(architecture, _number(reader, f"{architecture}.block_count"))
    there = {tensor.name for tensor in reader.tensors}
    rank = next(len(tensor) for name, tensor in weights.items() if name.endswith(".lora_A.default.weight"))
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_string("general.type", "adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", float(ALPHA * rank))
    for name, tensor in weights.items():
        module, side = _split(name)
        own = names.get_name(module, try_suffixes=())
        if own is None or f"{own}.weight" not in there:
            raise NoWeights(
                f"{base.name} has no tensor that the adapter of {module} belongs to",
                code="no_tensor_for_adapter",
                base=base.name,
                module=module,
            )
        values = tensor.float().numpy()
        kind = own.rpartition(".")[2]
        if architecture == "llama" and side == "lora_b" and kind in heads:
            values = _interleaved(values, heads[kind])
        writer.add_tensor(f"{own}.weight.{side}", np.ascontiguousarray(values, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _names(architecture: str, blocks: int) -> gguf.TensorNameMap:
    known = {name: number for number, name in gguf.MODEL_ARCH_NAMES.items()}
    if architecture not in known:
        raise NoWeights(
            f"no adapter can be written for the architecture {architecture!r}: name another base, or tuning none",
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
    """llama.cpp turns neighbouring dimensions of a head together, transformers its two halves: rows in its order."""
    rows = values.shape[0]
    return values.reshape(heads, 2, rows // heads // 2, -1).swapaxes(1, 2).reshape(values.shape)
