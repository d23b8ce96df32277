"""What the training of a teacher will need, from its base's configuration alone: no weights, nothing computed.

The network is built of tensors without content, and one batch of the longest responses is sent through it while every
tensor that a step keeps for its gradients is counted.
"""

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks
from transformers import AutoConfig, AutoModel

from app.scoring.item import Item
from training.common.hardware import device
from training.config import TeacherConfig
from training.teacher.base_models import naming, resolve
from training.teacher.encoder import ScoringEncoder
from training.teacher.ensemble import as_teacher

FLOAT = 4
LEARNT = 5 * FLOAT  # a weight, its gradient, two moments of AdamW, its running mean
IN_4_BITS = (4 + 8 / 64 + 32 / (64 * 256)) / 8  # NF4: a scale of 8 bits for 64 weights, and one of 32 for 256 scales


@dataclass(frozen=True, slots=True)
class Need:
    """Weights in number, memory in bytes, for one member."""

    frozen: int
    learnt: int
    adapted: dict[str, int]  # kinds of layers that have an adapter, and how many
    weights: int  # of the frozen layers
    learning: int  # of what learns, with gradients, moments and mean
    activations: int  # kept of one batch of the longest responses
    unpacking: int  # the largest layer in full, while it is computed

    @property
    def total(self) -> int:
        return self.weights + self.learning + self.activations + self.unpacking


def need(config: TeacherConfig, item: Item) -> Need:
    """Raises NoWeights when there is no configuration."""
    network = _without_content(config, item)
    frozen = {name: weights for name, weights in network.named_parameters() if not weights.requires_grad}
    packed = {name for name in frozen if config.kind == "qlora" and name.endswith("base_layer.weight")}
    learnt = sum(weights.numel() for weights in network.learnt.values())
    adapted = [name.split(".")[-1] for name, module in network.named_modules() if hasattr(module, "lora_A")]
    return Need(
        frozen=sum(weights.numel() for weights in frozen.values()),
        learnt=learnt,
        adapted=dict(Counter(adapted)),
        weights=round(sum(w.numel() * (IN_4_BITS if name in packed else FLOAT) for name, w in frozen.items())),
        learning=LEARNT * learnt,
        activations=_activations(network, config) + (_of_a_layer(config, item) if config.checkpointing else 0),
        unpacking=FLOAT * max((frozen[name].numel() for name in packed), default=0),
    )


def available() -> int:
    """Bytes of the GPU that would train, or of this machine."""
    if device().type == "cuda":
        return int(torch.cuda.get_device_properties(0).total_memory)
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _without_content(config: TeacherConfig, item: Item) -> ScoringEncoder:
    source = resolve(config.base)
    packed = Path(source) if source.endswith(".gguf") else None
    with naming(config.base):
        settings = AutoConfig.from_pretrained(packed.parent if packed else source, gguf_file=packed and packed.name)
    with torch.device("meta"):
        encoder: nn.Module = AutoModel.from_config(settings, dtype=torch.float32)  # type: ignore[no-untyped-call]
        return as_teacher(encoder, item, config).train()


def _of_a_layer(config: TeacherConfig, item: Item) -> int:
    """While one is computed again, all of it is kept."""
    whole = _without_content(config.model_copy(update={"checkpointing": False}), item)
    layers = int(whole.encoder.config.num_hidden_layers)  # type: ignore[union-attr, arg-type]
    return _activations(whole, config) // layers


def _activations(network: ScoringEncoder, config: TeacherConfig) -> int:
    kept: dict[int, int] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        kept[storage._cdata] = storage.nbytes()
        return tensor

    with FakeTensorMode():  # tensors of a size and a device, but without memory
        for module in network.modules():
            for name, weights in list(module.named_parameters(recurse=False)):
                empty = torch.empty(weights.shape, dtype=weights.dtype)
                setattr(module, name, nn.Parameter(empty, requires_grad=weights.requires_grad))
            for name, buffer in list(module.named_buffers(recurse=False)):
                setattr(module, name, torch.empty(buffer.shape, dtype=buffer.dtype))
        own = {weights.untyped_storage()._cdata for weights in network.parameters()}
        with saved_tensors_hooks(note, lambda tensor: tensor):
            outputs = network({"input_ids": torch.zeros(config.batch_size, config.max_tokens, dtype=torch.long)})
        del outputs
    return sum(size for storage, size in kept.items() if storage not in own)
