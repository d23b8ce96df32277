"""Exports of encoders, in float32 and in int8.  Each kind of scale is exported once."""

import copy
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from transformers import PreTrainedTokenizerBase

from app.scoring.decoding import Outputs, distribution
from app.scoring.item import Item
from tests.training.example_rows import GRADES, ITEM, marked
from training.common.quantise import dynamic_int8
from training.teacher import onnx_export
from training.teacher.encoder import ScoringEncoder, load_base, tokenise
from training.teacher.fine_tuning import outputs_of
from training.teacher.onnx_export import RUN_SIZE, OnnxEncoder, to_onnx

MAX_TOKENS = 64
TEXTS = [row.text for row in marked(40)]
CONTEXT = "Why does heat rise? the air gets warm"
CASES = pytest.mark.parametrize(
    "texts",
    [
        ["air"],
        ["a"] * 3,
        TEXTS[:2],
        TEXTS[:33],
        [TEXTS[0], " ".join(TEXTS), "so"],  # the longest is cut
    ],
    ids=["one word", "three alike", "two", "many", "too long"],
)


class Exported(NamedTuple):
    item: Item
    network: ScoringEncoder
    tokenizer: PreTrainedTokenizerBase
    content: bytes

    def in_torch(self, contexts: list[str], texts: list[str]) -> Outputs:
        return distribution(outputs_of([self.network], self.tokenizer, contexts, texts, MAX_TOKENS), self.item)

    def in_onnx(self, contexts: list[str], texts: list[str], content: bytes | None = None) -> Outputs:
        outputs = OnnxEncoder(content or self.content, self.tokenizer, MAX_TOKENS).outputs(contexts, texts)
        assert outputs.dtype == np.float32
        return distribution(outputs, self.item)


@pytest.fixture(scope="module", params=[ITEM, GRADES], ids=["points", "grades"])
def exported(request: pytest.FixtureRequest, tiny_encoder: Path) -> Exported:
    tokenizer, base = load_base(str(tiny_encoder))
    torch.manual_seed(0)
    network = ScoringEncoder(base, request.param, 0.1).train()
    with torch.no_grad():
        network.head.weight.mul_(5)
    return Exported(request.param, network, tokenizer, to_onnx(network, tokenizer, MAX_TOKENS))


def test_export_names_no_path_of_the_machine(exported: Exported) -> None:
    folders = {str(Path(module.__file__ or "").parent).encode() for module in (onnx_export, torch)}

    assert [folder for folder in folders if folder in exported.content] == []
    assert b"stack_trace" not in exported.content


@CASES
@pytest.mark.parametrize("context", ["", CONTEXT], ids=["alone", "after a context"])
def test_graph_gives_the_outputs_of_the_network(exported: Exported, context: str, texts: list[str]) -> None:
    contexts = [context] * len(texts)

    given = exported.in_onnx(contexts, texts)

    assert given.shape == (len(texts), 2 if exported.item.is_continuous else 4)
    assert np.abs(given - exported.in_torch(contexts, texts)).max() < 1e-5


def test_outputs_depend_on_context_and_text(exported: Exported) -> None:
    alone, after = (exported.in_onnx([context] * len(TEXTS), TEXTS) for context in ("", CONTEXT))

    assert np.abs(alone - after).max() > 1e-2
    assert np.ptp(alone[:, 0]) > 1e-2


def test_every_response_may_have_a_context_of_its_own(exported: Exported) -> None:
    contexts = [CONTEXT, "", "Is it air?"]

    given = exported.in_onnx(contexts, TEXTS[:3])

    assert np.abs(given - exported.in_torch(contexts, TEXTS[:3])).max() < 1e-5


def test_outputs_run_in_batches_of_limited_size(exported: Exported, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def noted(tokenizer: PreTrainedTokenizerBase, contexts: list[str], texts: list[str], length: int) -> Any:
        seen.append(len(texts))
        return tokenise(tokenizer, contexts, texts, length)

    monkeypatch.setattr(onnx_export, "tokenise", noted)
    texts = [" ".join(TEXTS[: 1 + number % 5]) for number in range(3 * RUN_SIZE + 1)]  # of several lengths, mixed

    given = exported.in_onnx([""] * len(texts), texts)

    assert sorted(seen) == [1, RUN_SIZE, RUN_SIZE, RUN_SIZE]
    assert np.abs(given - exported.in_torch([""] * len(texts), texts)).max() < 1e-5


def test_networks_of_one_architecture_are_traced_once(exported: Exported, monkeypatch: pytest.MonkeyPatch) -> None:
    other = copy.deepcopy(exported.network)
    with torch.no_grad():
        for weights in other.parameters():
            weights.add_(torch.randn_like(weights) * 0.1)
    monkeypatch.setattr(torch.onnx, "export", None)

    content = to_onnx(other, exported.tokenizer, MAX_TOKENS)

    expected = exported._replace(network=other).in_torch([""] * len(TEXTS), TEXTS)
    assert np.abs(exported.in_onnx([""] * len(TEXTS), TEXTS, content) - expected).max() < 1e-5
    assert np.abs(exported.in_onnx([""] * len(TEXTS), TEXTS) - expected).max() > 1e-2
    assert to_onnx(exported.network, exported.tokenizer, MAX_TOKENS) == exported.content


def test_size_equals_the_size_of_the_file(exported: Exported) -> None:
    assert OnnxEncoder(exported.content, exported.tokenizer, MAX_TOKENS).bytes == len(exported.content)


@pytest.mark.parametrize("context", ["", CONTEXT], ids=["alone", "after a context"])
def test_int8_gives_nearly_the_same_outputs(exported: Exported, context: str) -> None:
    content, contexts = dynamic_int8(exported.content), [context] * len(TEXTS)

    whole, small = exported.in_onnx(contexts, TEXTS), exported.in_onnx(contexts, TEXTS, content)

    assert 0 < np.abs(small - whole).max() < 0.05
    assert len(content) < len(exported.content)
    if exported.item.is_continuous:
        assert (small[:, 1] > 0).all()
