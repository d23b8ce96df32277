"""Fine-tuned encoders as ONNX graphs, which onnxruntime runs on one thread."""

import logging
import warnings
from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
import torch
from onnx_ir.passes.common import ClearMetadataAndDocStringPass
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from app.scoring.decoding import Outputs
from app.scoring.network import load_session
from training.common.batches import sorted_batches
from training.common.cache import key_of
from training.teacher.encoder import ScoringEncoder, tokenise

OPSET = 18
RUN_SIZE = 32  # texts in one run
# torch notes the stack of every traced line, with paths of the machine that trained: nobody else needs to know them.
_WITHOUT_METADATA = ClearMetadataAndDocStringPass()
# ONNX models by architecture: tracing takes twenty times as long as filling one with weights.
_traced: dict[str, Any] = {}


class _Positional(nn.Module):
    """The network with positional inputs, as the exporter wants them."""

    def __init__(self, network: ScoringEncoder, names: Sequence[str]) -> None:
        super().__init__()
        self.network, self.names = network, names

    def forward(self, *tensors: Tensor) -> Tensor:
        outputs: Tensor = self.network(dict(zip(self.names, tensors, strict=True)))
        return outputs

    @property
    def tensors(self) -> dict[str, Tensor]:
        """Return parameters and buffers by name, those too that the weights' file leaves out."""
        parameters = self.named_parameters(remove_duplicate=False)
        return dict(chain(parameters, self.named_buffers(remove_duplicate=False)))


def to_onnx(network: ScoringEncoder, tokenizer: PreTrainedTokenizerBase, max_tokens: int) -> bytes:
    """Return the ONNX graph of a network.

    The tokenizer's tensors: int64 (batch, tokens) → outputs: float (batch, columns).  Batch and tokens are free.
    Networks of one architecture are traced once in a process.
    """
    plain = network.merged()
    example = tokenise(tokenizer, ["", ""], ["two texts", "of different length"], max_tokens)
    positional = _Positional(plain, tuple(example)).eval()
    tensors = positional.tensors
    shapes = [(name, str(tensor.dtype), list(tensor.shape)) for name, tensor in tensors.items()]
    architecture = key_of(str(plain), str(plain.encoder.config), shapes, positional.names, max_tokens)
    if architecture not in _traced:
        _traced[architecture] = _trace(positional, tuple(example.values()), max_tokens)
    program = torch.onnx.ONNXProgram(_traced[architecture].clone(), None)
    filled = tensors.keys() & program.model.graph.initializers.keys()
    program.apply_weights({name: tensors[name] for name in filled})
    program.optimize()  # only now: the optimiser computes with weights
    _WITHOUT_METADATA(program.model)
    content: bytes = program.model_proto.SerializeToString()
    return content


def _trace(positional: _Positional, example: tuple[Tensor, ...], max_tokens: int) -> Any:
    """Return the network's ONNX model before the optimiser, without weights, which would stay in memory."""
    free = {0: torch.export.Dim("batch"), 1: torch.export.Dim("tokens", max=max_tokens)}
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it recommends packages
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of its own code
        program = torch.onnx.export(
            positional,
            example,
            dynamo=True,
            input_names=positional.names,
            output_names=["outputs"],
            dynamic_shapes=((free,) * len(example),),
            opset_version=OPSET,
            optimize=False,
            verbose=False,
        )
    model = program.model  # type: ignore[union-attr]
    for name in positional.tensors.keys() & model.graph.initializers.keys():
        model.graph.initializers[name].const_value = None
    return model


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
