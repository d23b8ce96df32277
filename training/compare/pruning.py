"""A narrower, shallower BERT cut out of a larger one: the start of a TinyBERT-class model that is no strawman.

Kept are the hidden units whose weights are largest over all layers (one set for the whole network, since its layers add
to one another), and within each layer the head units and feed-forward units whose incoming and outgoing weights are.
"""

import copy
from collections.abc import Sequence
from typing import Any  # of Hugging Face's encoders, whose parts torch does not type

import torch
from torch import Tensor, nn

HEADS, WIDTH, FEED_FORWARD = 12, 312, 1200  # of TinyBERT-4 (Jiao et al. 2020)


def is_prunable(encoder: Any, layers: int) -> bool:
    """Whether it is built like BERT, and larger than a network of so many layers that is cut out of it."""
    try:
        first, width = encoder.encoder.layer[0], encoder.config.hidden_size
        parts = [first.attention.self.query, first.attention.self.key, first.attention.self.value]
        parts += [first.attention.output.dense, first.intermediate.dense, first.output.dense]
        embedded = encoder.embeddings.word_embeddings.weight.shape[1]
        heads = first.attention.self.num_attention_heads
        deep = len(encoder.encoder.layer)
    except AttributeError:
        return False
    linear = all(isinstance(part, nn.Linear) for part in parts)
    return linear and embedded == width > WIDTH and heads == HEADS and deep >= layers


@torch.no_grad()
def pruned(
    encoder: Any, layers: Sequence[int], width: int = WIDTH, feed_forward: int = FEED_FORWARD
) -> tuple[Any, Tensor]:
    """Return a copy with the named layers alone (from 0), and the indices of the hidden units that were kept.

    It has `width` hidden and `feed_forward` units; its heads are narrower by the same share as its width.
    """
    small = copy.deepcopy(encoder)
    kept: Any = nn.ModuleList([small.encoder.layer[number] for number in layers])
    small.encoder.layer = kept
    hidden = kept_units(small, width)
    embeddings = small.embeddings
    for name in ("word_embeddings", "position_embeddings", "token_type_embeddings"):
        table = getattr(embeddings, name)
        table.weight = nn.Parameter(table.weight[:, hidden].clone())
        table.embedding_dim = width
    _cut_norm(embeddings.LayerNorm, hidden)
    head_width = width // HEADS
    for layer in kept:
        own, output = layer.attention.self, layer.attention.output
        reading = _head_units(own.query.weight.pow(2).sum(1) * own.key.weight.pow(2).sum(1), head_width)
        writing = _head_units(own.value.weight.pow(2).sum(1) * output.dense.weight.pow(2).sum(0), head_width)
        scale = (own.attention_head_size / head_width) ** 0.25
        _cut_linear(own.query, reading, hidden, scale)
        _cut_linear(own.key, reading, hidden, scale)
        _cut_linear(own.value, writing, hidden)
        _cut_linear(output.dense, hidden, writing)
        _cut_norm(output.LayerNorm, hidden)
        own.attention_head_size, own.all_head_size = head_width, width
        if hasattr(own, "scaling"):
            own.scaling = head_width**-0.5
        inner, outer = layer.intermediate.dense, layer.output.dense
        units = _largest(inner.weight.pow(2).sum(1) * outer.weight.pow(2).sum(0), feed_forward)
        _cut_linear(inner, units, hidden)
        _cut_linear(outer, hidden, units)
        _cut_norm(layer.output.LayerNorm, hidden)
    small.pooler = None
    config = small.config
    config.hidden_size, config.intermediate_size, config.num_hidden_layers = width, feed_forward, len(kept)
    return small, hidden


def kept_units(encoder: Any, width: int = WIDTH) -> Tensor:
    """Return (width,): the hidden units that keep their place, by the squared weights that read them in all layers."""
    parts = [encoder.embeddings.word_embeddings.weight.var(0)]
    for layer in encoder.encoder.layer:
        own = layer.attention.self
        read_by = (own.query, own.key, own.value, layer.intermediate.dense)
        parts += [linear.weight.pow(2).sum(0) for linear in read_by]
    return _largest(torch.stack([part / part.sum() for part in parts]).sum(0), width)


def _largest(importance: Tensor, count: int) -> Tensor:
    """Indices of the most important units, in order."""
    return importance.topk(min(count, len(importance))).indices.sort().values


def _head_units(importance: Tensor, width: int) -> Tensor:
    """The same number of units of every head."""
    heads = importance.view(HEADS, -1)
    within = heads.topk(width, dim=1).indices.sort(dim=1).values
    return (within + torch.arange(HEADS).unsqueeze(1) * heads.shape[1]).flatten()


def _cut_linear(linear: nn.Linear, outgoing: Tensor, incoming: Tensor, scale: float = 1.0) -> None:
    linear.weight = nn.Parameter(linear.weight[outgoing][:, incoming].clone() * scale)
    linear.bias = nn.Parameter(linear.bias[outgoing].clone() * scale)
    linear.out_features, linear.in_features = len(outgoing), len(incoming)


def _cut_norm(norm: nn.LayerNorm, kept: Tensor) -> None:
    norm.weight, norm.bias = nn.Parameter(norm.weight[kept].clone()), nn.Parameter(norm.bias[kept].clone())
    norm.normalized_shape = (len(kept),)
