"""The memory that the training of a teacher will need, from its base's configuration alone: nothing is computed.

The network is built of tensors without content.  One batch of the longest responses is sent through it, and every
tensor that a step keeps for its gradients is counted.
"""

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

# torch keeps this in a private module.  Its estimates are 1.00 of a real step's bytes for both packaged bases, where
# the public device `meta` gives 1.22 for smollm2 and fails at checkpointing (python -m benchmarks.teacher_memory).
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks
from torch.multiprocessing.reductions import StorageWeakRef
from transformers import AutoConfig, AutoModel

from app.scoring.item import Item
from training.common.hardware import device
from training.config import TeacherConfig
from training.teacher.base_models import naming, resolve
from training.teacher.encoder import ScoringEncoder
from training.teacher.ensemble import as_teacher

FLOAT_BYTES = 4
LEARNT_BYTES = 5 * FLOAT_BYTES  # a weight, its gradient, two moments of AdamW, its running mean
NF4_BYTES = (4 + 8 / 64 + 32 / (64 * 256)) / 8  # a scale of 8 bits for 64 weights, one of 32 bits for 256 scales


@dataclass(frozen=True, slots=True)
class Need:
    """Weights in number, memory in bytes, for one member."""

    frozen: int
    learnt: int
    adapted: dict[str, int]  # the number of adapters by kind of layer
    weights: int  # of the frozen layers
    learning: int  # of weights that learn, with gradients, moments and mean
    activations: int  # kept of one batch of the longest responses
    unpacking: int  # the largest layer in full, while it is computed

    @property
    def total(self) -> int:
        """Return all memory in bytes."""
        return self.weights + self.learning + self.activations + self.unpacking


def need(config: TeacherConfig, item: Item) -> Need:
    """Return the memory that one member needs.  Raise NoWeights where the base has no configuration."""
    network = without_content(config, item)
    frozen = {name: weights for name, weights in network.named_parameters() if not weights.requires_grad}
    packed = {name for name in frozen if config.kind == "qlora" and name.endswith("base_layer.weight")}
    learnt = sum(weights.numel() for weights in network.learnt.values())
    adapted = [name.split(".")[-1] for name, module in network.named_modules() if hasattr(module, "lora_A")]
    activations = estimate_activations(network, config)
    if config.checkpointing:
        activations += _layer_bytes(config, item)
    return Need(
        frozen=sum(weights.numel() for weights in frozen.values()),
        learnt=learnt,
        adapted=dict(Counter(adapted)),
        weights=_frozen_bytes(frozen, packed),
        learning=LEARNT_BYTES * learnt,
        activations=activations,
        unpacking=FLOAT_BYTES * max((frozen[name].numel() for name in packed), default=0),
    )


def available() -> int:
    """Return the memory in bytes of the GPU that would train, or else of this machine."""
    if device().type == "cuda":
        return int(torch.cuda.get_device_properties(0).total_memory)
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def without_content(config: TeacherConfig, item: Item) -> ScoringEncoder:
    """Return the network that would be trained, of tensors that take no memory.  Raise NoWeights."""
    source = resolve(config.base)
    packed = Path(source) if source.endswith(".gguf") else None
    with naming(config.base):
        settings = AutoConfig.from_pretrained(packed.parent if packed else source, gguf_file=packed and packed.name)
    with torch.device("meta"):
        encoder: nn.Module = AutoModel.from_config(settings, dtype=torch.float32)  # type: ignore[no-untyped-call]
        return as_teacher(encoder, item, config).train()


def estimate_activations(network: ScoringEncoder, config: TeacherConfig) -> int:
    """Return the bytes that a step of the network without content would keep over the longest responses."""
    with FakeTensorMode():  # tensors of a size and a device, but without memory
        _replace_content(network)
        return saved_bytes(network, torch.zeros(config.batch_size, config.max_tokens, dtype=torch.long))


def saved_bytes(network: nn.Module, ids: Tensor) -> int:
    """Return the bytes of all tensors but weights that a step over `ids` (batch, tokens) keeps for its gradients."""
    kept: dict[StorageWeakRef, int] = {}

    def note(tensor: Tensor) -> Tensor:
        kept[_storage(tensor)] = tensor.untyped_storage().nbytes()
        return tensor

    with saved_tensors_hooks(note, lambda tensor: tensor):
        network({"input_ids": ids})
    weights = {_storage(parameter) for parameter in network.parameters()}
    return sum(size for storage, size in kept.items() if storage not in weights)


def _storage(tensor: Tensor) -> StorageWeakRef:
    """Return a reference to a tensor's memory.  References are equal where tensors share it."""
    return StorageWeakRef(tensor.untyped_storage())  # type: ignore[no-untyped-call]


def _replace_content(network: nn.Module) -> None:
    """Replace weights and buffers by empty tensors of the mode in which this is called."""
    for module in network.modules():
        for name, weights in list(module.named_parameters(recurse=False)):
            empty = torch.empty(weights.shape, dtype=weights.dtype)
            setattr(module, name, nn.Parameter(empty, requires_grad=weights.requires_grad))
        for name, buffer in list(module.named_buffers(recurse=False)):
            setattr(module, name, torch.empty(buffer.shape, dtype=buffer.dtype))


def _frozen_bytes(frozen: Mapping[str, Tensor], packed: set[str]) -> int:
    whole = sum(weights.numel() for name, weights in frozen.items() if name not in packed)
    in_4_bits = sum(frozen[name].numel() for name in packed)
    return round(FLOAT_BYTES * whole + NF4_BYTES * in_4_bits)


def _layer_bytes(config: TeacherConfig, item: Item) -> int:
    """Return the bytes of one layer's tensors: all of them are kept while the layer is computed again."""
    whole = without_content(config.model_copy(update={"checkpointing": False}), item)
    layers = int(whole.encoder.config.num_hidden_layers)  # type: ignore[union-attr, arg-type]
    return estimate_activations(whole, config) // layers
