from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import AutoModel, BertConfig, BertModel, DebertaV2Config, DebertaV2Model, MPNetConfig, MPNetModel

from training.compare.pruning import is_prunable, pruned

LAYERS = [1, 2, 4, 5]
IDS = torch.tensor([[5, 9, 14, 3, 7], [8, 4, 6, 0, 0]])
MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
SHAPE: dict[str, Any] = {"vocab_size": 20, "hidden_size": 384, "num_attention_heads": 12, "max_position_embeddings": 16}


@pytest.fixture(scope="module")
def encoder(wide_encoder: Path) -> Any:
    return AutoModel.from_pretrained(wide_encoder).eval()


@pytest.fixture(scope="module")
def cut(encoder: Any) -> tuple[Any, Tensor]:
    small, hidden = pruned(encoder, LAYERS)
    return small, hidden


@torch.no_grad()
def read(encoder: Any) -> Tensor:
    states: Tensor = encoder(input_ids=IDS, attention_mask=MASK).last_hidden_state
    return states


def test_pruned_encoder_has_the_shape_of_tinybert(cut: tuple[Any, Tensor]) -> None:
    small, _ = cut
    config = small.config

    assert (config.num_hidden_layers, config.hidden_size, config.intermediate_size) == (4, 312, 1200)
    assert len(small.encoder.layer) == 4
    for layer in small.encoder.layer:
        attended = layer.attention.self
        assert {tuple(part.weight.shape) for part in (attended.query, attended.key, attended.value)} == {(312, 312)}
        assert layer.intermediate.dense.weight.shape == (1200, 312)
        assert layer.output.dense.weight.shape == (312, 1200)
    assert read(small).shape == (2, 5, 312)
    assert read(small).isfinite().all()


def test_pruned_weights_are_the_originals(encoder: Any, cut: tuple[Any, Tensor]) -> None:
    small, hidden = cut

    assert len(set(hidden.tolist())) == 312
    for name in ("word_embeddings", "position_embeddings", "token_type_embeddings"):
        table = getattr(small.embeddings, name).weight
        assert torch.equal(table, getattr(encoder.embeddings, name).weight[:, hidden])
    for number, layer in zip(LAYERS, small.encoder.layer, strict=True):
        whole = encoder.encoder.layer[number]
        value, inner = layer.attention.self.value.weight, layer.intermediate.dense.weight
        assert rows_of(value) <= rows_of(whole.attention.self.value.weight[:, hidden])
        assert rows_of(inner) <= rows_of(whole.intermediate.dense.weight[:, hidden])
        assert rows_of(layer.output.dense.weight.T) <= rows_of(whole.output.dense.weight[hidden].T)
        assert torch.equal(layer.output.LayerNorm.weight, whole.output.LayerNorm.weight[hidden])


def rows_of(weight: Tensor) -> set[tuple[float, ...]]:
    return {tuple(row) for row in weight.tolist()}


def test_the_most_important_units_are_kept(encoder: Any) -> None:
    """Pruning first drops units that nothing reads, and feed-forward units without input."""
    encoder = AutoModel.from_pretrained(encoder.config._name_or_path)
    with torch.no_grad():
        encoder.embeddings.word_embeddings.weight[:, :72] = 0
        for layer in encoder.encoder.layer:
            attended = layer.attention.self
            for linear in (attended.query, attended.key, attended.value, layer.intermediate.dense):
                linear.weight[:, :72] = 0
            layer.intermediate.dense.weight[:336] = 0
            layer.intermediate.dense.bias[336:] = 1

    small, hidden = pruned(encoder, LAYERS)

    assert hidden.tolist() == list(range(72, 384))
    assert all((layer.intermediate.dense.bias == 1).all() for layer in small.encoder.layer)


def test_keeping_every_unit_gives_the_original(encoder: Any) -> None:
    same, hidden = pruned(encoder, range(6), 384, 1536)

    assert hidden.tolist() == list(range(384))
    assert (read(same) - read(encoder)).abs().max() < 1e-5


def test_narrower_heads_keep_their_attention(encoder: Any) -> None:
    """If all units of a head are equal, 26 of 32 carry as much; the scale of queries and keys makes up for 6."""
    encoder = AutoModel.from_pretrained(encoder.config._name_or_path)
    with torch.no_grad():
        for layer in encoder.encoder.layer:
            for part in (layer.attention.self.query, layer.attention.self.key):
                part.weight.copy_(part.weight[::32].repeat_interleave(32, dim=0))
    small, hidden = pruned(encoder, LAYERS)
    states = torch.zeros(3, 384)
    states[:, hidden] = torch.randn(3, 312, generator=torch.Generator().manual_seed(0))

    for number, layer in zip(LAYERS, small.encoder.layer, strict=True):
        whole = attention(encoder.encoder.layer[number].attention.self, states)
        narrow = attention(layer.attention.self, states[:, hidden])
        assert whole.abs().max() > 0.01
        assert (narrow - whole).abs().max() < 1e-4


@torch.no_grad()
def attention(attended: Any, states: Tensor) -> Tensor:
    """Return (heads, tokens, tokens): scores before the softmax."""
    query, key = (part(states).view(3, 12, -1).transpose(0, 1) for part in (attended.query, attended.key))
    scores: Tensor = query @ key.transpose(1, 2) * attended.scaling
    return scores


def test_original_encoder_stays_unchanged(encoder: Any) -> None:
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}

    small, _ = pruned(encoder, LAYERS)
    with torch.no_grad():
        for parameter in small.parameters():
            parameter.zero_()

    assert (encoder.config.hidden_size, encoder.config.num_hidden_layers) == (384, 6)
    assert all(torch.equal(tensor, before[name]) for name, tensor in encoder.state_dict().items())


def test_smaller_encoder_is_not_prunable(encoder: Any, tiny_encoder: Path) -> None:
    assert is_prunable(encoder, 4)
    assert not is_prunable(AutoModel.from_pretrained(tiny_encoder), 4)


@pytest.mark.parametrize(
    "other",
    [
        lambda: MPNetModel(MPNetConfig(**SHAPE, num_hidden_layers=1)),
        lambda: DebertaV2Model(DebertaV2Config(**SHAPE, num_hidden_layers=1)),
    ],
    ids=["mpnet", "deberta"],
)
def test_other_architecture_is_not_prunable(other: Any) -> None:
    """The encoders have embeddings, layers and twelve heads, but other names for the parts of a layer."""
    encoder: nn.Module = other()

    assert not is_prunable(encoder, 4)


def test_number_of_layers_decides_on_pruning() -> None:
    """Four layers out of three, as of paraphrase-MiniLM-L3, would repeat a layer."""
    encoder = BertModel(BertConfig(**SHAPE, num_hidden_layers=3, intermediate_size=1536))

    if is_prunable(encoder, 4):
        assert read(pruned(encoder, [0, 1, 1, 2])[0]).shape == (2, 5, 312)
