"""Fine-tuned encoders as ONNX graphs, which onnxruntime runs on one thread."""

import logging
import warnings
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from app.scoring.decoding import Outputs
from app.scoring.network import load_session
from training.common.batches import sorted_batches
from training.teacher.encoder import ScoringEncoder, tokenise

OPSET = 18
RUN_SIZE = 32  # texts in one run


class _Positional(nn.Module):
    """The network with positional inputs, as the exporter wants them."""

    def __init__(self, network: ScoringEncoder, names: Sequence[str]) -> None:
        super().__init__()
        self.network, self.names = network, names

    def forward(self, *tensors: Tensor) -> Tensor:
        outputs: Tensor = self.network(dict(zip(self.names, tensors, strict=True)))
        return outputs


def to_onnx(network: ScoringEncoder, tokenizer: PreTrainedTokenizerBase, max_tokens: int) -> bytes:
    """Return the ONNX graph of a network.

    The tokenizer's tensors: int64 (batch, tokens) → outputs: float (batch, columns).  Batch and tokens are free.
    """
    plain = network.merged()
    example = tokenise(tokenizer, ["", ""], ["two texts", "of different length"], max_tokens)
    names = tuple(example)
    free = {0: torch.export.Dim("batch"), 1: torch.export.Dim("tokens", max=max_tokens)}
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it recommends packages
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of its own code
        program = torch.onnx.export(
            _Positional(plain, names).eval(),
            tuple(example.values()),
            dynamo=True,
            input_names=names,
            output_names=["outputs"],
            dynamic_shapes=((free,) * len(names),),
            opset_version=OPSET,
            verbose=False,
        )
    content: bytes = program.model_proto.SerializeToString()  # type: ignore[union-attr]
    return content


class OnnxEncoder:
    """An exported encoder that scores text."""

    def __init__(self, content: bytes, tokenizer: PreTrainedTokenizerBase, max_tokens: int) -> None:
        self.bytes = len(content)
        self._session = load_session(content)
        self._tokenizer, self._max_tokens = tokenizer, max_tokens
        self._names = {tensor.name for tensor in self._session.get_inputs()}

    def outputs(self, contexts: Sequence[str], texts: Sequence[str]) -> Outputs:
        """Return (texts, columns) in the order given; at most RUN_SIZE texts are in memory together."""
        lengths = [len(context) + len(text) for context, text in zip(contexts, texts, strict=True)]
        batches = sorted_batches(lengths, RUN_SIZE)
        outputs = [self._run([contexts[n] for n in numbers], [texts[n] for n in numbers]) for numbers in batches]
        order = np.argsort(np.concatenate(batches))
        return np.concatenate(outputs)[order]

    def _run(self, contexts: Sequence[str], texts: Sequence[str]) -> Outputs:
        tokens = tokenise(self._tokenizer, contexts, texts, self._max_tokens)
        inputs = {name: tensor.numpy() for name, tensor in tokens.items() if name in self._names}
        [outputs] = self._session.run(["outputs"], inputs)
        return np.asarray(outputs, np.float32)
