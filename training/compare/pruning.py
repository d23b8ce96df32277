"""Structured pruning of a BERT encoder, as a strong start for a TinyBERT-class model.

Pruning keeps the hidden units with the largest weights over all layers: one set for the whole network, because residual
connections add its layers.  Within each layer it keeps the units of heads and of the feed-forward network with the
largest incoming and outgoing weights.
"""

import copy
from collections.abc import Sequence
from typing import Any  # of Hugging Face's encoders, whose parts torch does not type

import torch
from torch import Tensor, nn

HEADS, WIDTH, FEED_FORWARD = 12, 312, 1200  # TinyBERT-4 (Jiao et al. 2020)


def is_prunable(encoder: Any, layers: int) -> bool:
    """Return whether an encoder is built like BERT and is larger than the pruned network with this number of layers."""
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
    """Return a copy with the given layers alone, counted from 0, and the indices of the hidden units kept.

    The copy has `width` hidden units and `feed_forward` units.  Its heads are narrower by the same share.
    """
    small = copy.deepcopy(encoder)
    kept: Any = nn.ModuleList([small.encoder.layer[number] for number in layers])
    small.encoder.layer = kept
    hidden = kept_units(small, width)
    _cut_embeddings(small.embeddings, hidden)
    for layer in kept:
        _cut_attention(layer.attention, hidden, width)
        _cut_feed_forward(layer, hidden, feed_forward)
    small.pooler = None
    config = small.config
    config.hidden_size, config.intermediate_size, config.num_hidden_layers = width, feed_forward, len(kept)
    return small, hidden


def _cut_embeddings(embeddings: Any, hidden: Tensor) -> None:
    for name in ("word_embeddings", "position_embeddings", "token_type_embeddings"):
        table = getattr(embeddings, name)
        table.weight = nn.Parameter(table.weight[:, hidden].clone())
        table.embedding_dim = len(hidden)
    _cut_norm(embeddings.LayerNorm, hidden)


def _cut_attention(attention: Any, hidden: Tensor, width: int) -> None:
    inner, output = attention.self, attention.output
    head_width = width // HEADS
    reading = _head_units(_outgoing(inner.query) * _outgoing(inner.key), head_width)
    writing = _head_units(_outgoing(inner.value) * _incoming(output.dense), head_width)
    scale = (inner.attention_head_size / head_width) ** 0.25
    _cut_linear(inner.query, reading, hidden, scale)
    _cut_linear(inner.key, reading, hidden, scale)
    _cut_linear(inner.value, writing, hidden)
    _cut_linear(output.dense, hidden, writing)
    _cut_norm(output.LayerNorm, hidden)
    inner.attention_head_size, inner.all_head_size = head_width, width
    if hasattr(inner, "scaling"):
        inner.scaling = head_width**-0.5


def _cut_feed_forward(layer: Any, hidden: Tensor, feed_forward: int) -> None:
    inner, outer = layer.intermediate.dense, layer.output.dense
    units = _largest(_outgoing(inner) * _incoming(outer), feed_forward)
    _cut_linear(inner, units, hidden)
    _cut_linear(outer, hidden, units)
    _cut_norm(layer.output.LayerNorm, hidden)


def _outgoing(linear: nn.Linear) -> Tensor:
    """Return (outputs,): the squared weights of each output unit."""
    return linear.weight.pow(2).sum(1)


def _incoming(linear: nn.Linear) -> Tensor:
    """Return (inputs,): the squared weights of each input unit."""
    return linear.weight.pow(2).sum(0)


def kept_units(encoder: Any, width: int = WIDTH) -> Tensor:
    """Return (width,): the indices of the hidden units with the largest squared weights over all layers."""
    parts = [encoder.embeddings.word_embeddings.weight.var(0)]
    for layer in encoder.encoder.layer:
        attention = layer.attention.self
        readers = (attention.query, attention.key, attention.value, layer.intermediate.dense)
        parts += map(_incoming, readers)
    shares = torch.stack([part / part.sum() for part in parts])
    return _largest(shares.sum(0), width)


def _largest(importance: Tensor, count: int) -> Tensor:
    """Return the indices of the most important units, in order."""
    top = importance.topk(min(count, len(importance)))
    return top.indices.sort().values


def _head_units(importance: Tensor, width: int) -> Tensor:
    """Return the indices of the most important units of every head, `width` of each."""
    heads = importance.view(HEADS, -1)
    within = heads.topk(width, dim=1).indices.sort(dim=1).values
    starts = torch.arange(HEADS) * heads.shape[1]
    return (within + starts.unsqueeze(1)).flatten()


def _cut_linear(linear: nn.Linear, outgoing: Tensor, incoming: Tensor, scale: float = 1.0) -> None:
    linear.weight = nn.Parameter(linear.weight[outgoing][:, incoming].clone() * scale)
    linear.bias = nn.Parameter(linear.bias[outgoing].clone() * scale)
    linear.out_features, linear.in_features = len(outgoing), len(incoming)


def _cut_norm(norm: nn.LayerNorm, kept: Tensor) -> None:
    norm.weight, norm.bias = nn.Parameter(norm.weight[kept].clone()), nn.Parameter(norm.bias[kept].clone())
    norm.normalized_shape = (len(kept),)
