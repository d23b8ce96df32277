from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from app.scoring.item import Item
from tests.refusals import refused
from tests.training.example_rows import GRADES, ITEM
from training.common.losses import MIN_VARIANCE
from training.errors import NoWeights
from training.teacher.encoder import ScoringEncoder, load_base, tokenise


def words(ids: list[int]) -> list[int]:
    """Return the words of token ids, without padding, unknown and start."""
    return [number for number in ids if number > 2]


def test_a_response_stands_after_its_context(tiny_encoder: Path) -> None:
    tokenizer, _ = load_base(str(tiny_encoder))

    [ids] = tokenise(tokenizer, ["the air gets warm"], ["because"], 64)["input_ids"].tolist()

    assert words(ids) == words(tokenizer("the air gets warm")["input_ids"] + tokenizer("because")["input_ids"])


def test_without_a_context_a_response_stands_alone(tiny_encoder: Path) -> None:
    tokenizer, _ = load_base(str(tiny_encoder))

    tokens = tokenise(tokenizer, ["", ""], ["because", "so then"], 64)

    assert tokens["input_ids"].tolist()[0] == tokenizer(["because", "so then"], padding=True)["input_ids"][0]


def test_a_long_context_leaves_the_response_whole(tiny_encoder: Path) -> None:
    tokenizer, _ = load_base(str(tiny_encoder))
    response = "cold air takes its place"

    [ids] = tokenise(tokenizer, ["the air gets warm " * 40], [response], 32)["input_ids"].tolist()

    whole = words(tokenizer(response)["input_ids"])
    assert len(ids) == 32
    assert ids[-len(whole) :] == whole
    assert 0 < len(whole) < 20


@pytest.mark.parametrize(("item", "columns"), [(ITEM, 4), (GRADES, 2)])
def test_outputs_do_not_depend_on_padding(tiny_encoder: Path, item: Item, columns: int) -> None:
    tokenizer, encoder = load_base(str(tiny_encoder))
    torch.manual_seed(0)
    network = ScoringEncoder(encoder, item, 0.1).eval()
    texts = ["warm", "cold air takes its place because the air gets warm"]

    with torch.inference_mode():
        together = network(tokenise(tokenizer, ["", ""], texts, 64))
        alone = network(tokenise(tokenizer, [""], texts[:1], 64))

    assert together.shape == (2, columns)
    assert torch.allclose(together[:1], alone, atol=1e-5)
    assert not torch.allclose(together[0], together[1], atol=1e-5)


def test_a_variance_is_above_its_floor(tiny_encoder: Path) -> None:
    tokenizer, encoder = load_base(str(tiny_encoder))
    network = ScoringEncoder(encoder, GRADES, 0.1).eval()

    outputs = network(tokenise(tokenizer, ["", ""], ["warm", "cold"], 64))

    assert (outputs[:, 1] > MIN_VARIANCE).all()


def test_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with refused(NoWeights, "unusable_base", base=str(tmp_path)):
        load_base(str(tmp_path))


def test_in_bfloat16_outputs_are_nearly_the_same_and_in_float32(tiny_encoder: Path) -> None:
    tokenizer, encoder = load_base(str(tiny_encoder))
    torch.manual_seed(0)
    network = ScoringEncoder(encoder, ITEM, 0.1).eval()
    tokens = tokenise(tokenizer, ["", ""], ["warm", "cold air takes its place"], 64)

    with torch.inference_mode():
        exact = network(tokens)
        network.in_bfloat16 = True
        near = network(tokens)

    assert near.dtype == torch.float32
    assert 0 < (near - exact).abs().max() < 0.05
    assert {state.dtype for state in network.hidden_states(tokens)} == {torch.float32}


class Embedding(nn.Embedding):
    """The smallest possible encoder."""

    config = SimpleNamespace(hidden_size=8)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, **_: Tensor) -> SimpleNamespace:  # type: ignore[override]
        return SimpleNamespace(last_hidden_state=super().forward(input_ids) * attention_mask.unsqueeze(2))


def test_tokens_go_to_the_device_that_the_network_is_on(tiny_encoder: Path) -> None:
    """Let torch's device `meta` stand for a GPU: it refuses tensors of other devices as well."""
    tokenizer, _ = load_base(str(tiny_encoder))
    network = ScoringEncoder(Embedding(len(tokenizer), 8), ITEM, 0.1).to("meta")

    outputs = network(tokenise(tokenizer, ["", ""], ["warm", "cold air takes its place"], 64))

    assert outputs.device.type == "meta"
    assert outputs.shape == (2, 4)
