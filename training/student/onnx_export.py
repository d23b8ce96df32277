"""The student as an ONNX graph, written out node by node.

torch's exporter has no GRU of free length (torch 2.13): it unrolls one for the length it is shown.
"""

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from training.common.losses import MIN_VARIANCE
from training.student.network import StudentNetwork

OPSET, IR_VERSION = 18, 9  # of 2022: every onnxruntime that the service supports reads them


def to_onnx(network: StudentNetwork) -> bytes:
    """Return the ONNX graph of a student.

    ids: int64 (batch, tokens) → logits: float (batch, choices), or for grades mean and variance: float (batch).  Batch
    and tokens are free.
    """
    weights = _weights(network)
    outputs: dict[str, list[str | int]] = {"logits": ["batch", network.head.out_features]}
    last_nodes = [_linear("logits")]
    if network.head.continuous:
        outputs = {"mean": ["batch"], "variance": ["batch"]}
        last_nodes = _grade_nodes(weights)
    value_info = helper.make_tensor_value_info
    graph = helper.make_graph(
        _reading_nodes(network.forwards.hidden_size) + last_nodes,
        "student",
        inputs=[value_info("ids", TensorProto.INT64, ["batch", "tokens"])],
        outputs=[value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()],
        initializer=[numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    onnx.checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def _weights(network: StudentNetwork) -> dict[str, NDArray[Any]]:
    """Return the graph's weights and constants by name."""
    forwards, backwards = _gru_weights(network.forwards), _gru_weights(network.backwards)
    both_ways = {name: np.stack([forwards[name], backwards[name]]) for name in ("W", "R", "B")}
    return {
        "embedding": _array(network.embedding.weight),
        **both_ways,
        "head_weight": _array(network.head.weight),
        "head_bias": _array(network.head.bias),
        "padding": np.array(0, np.int64),
        "nothing": np.array(-1, np.float32),  # a GRU's states lie between -1 and 1
        "over_tokens": np.array([1], np.int64),
        "last": np.array([2], np.int64),
        "both_ways": np.array([0, 0, 2 * network.forwards.hidden_size], np.int64),
    }


def _reading_nodes(hidden_size: int) -> list[onnx.NodeProto]:
    """Return the nodes from ids to `pooled`: (batch, 4 · hidden), mean and maximum over each response."""
    node = helper.make_node
    return [
        node("Equal", ["ids", "padding"], ["is_padding"]),
        node("Not", ["is_padding"], ["is_real"]),
        node("Cast", ["is_real"], ["real"], to=TensorProto.FLOAT),
        node("ReduceSum", ["real", "over_tokens"], ["length"], keepdims=1),
        node("Squeeze", ["length", "over_tokens"], ["lengths"]),
        node("Cast", ["lengths"], ["whole_lengths"], to=TensorProto.INT32),
        node("Gather", ["embedding", "ids"], ["embedded"]),
        node("Transpose", ["embedded"], ["in_time"], perm=[1, 0, 2]),
        node(
            "GRU",
            ["in_time", "W", "R", "B", "whole_lengths"],
            ["states"],
            direction="bidirectional",
            hidden_size=hidden_size,
            linear_before_reset=1,  # as torch has it
        ),
        node("Transpose", ["states"], ["by_response"], perm=[2, 0, 1, 3]),  # batch, tokens, ways, hidden
        node("Reshape", ["by_response", "both_ways"], ["read"]),
        node("Unsqueeze", ["real", "last"], ["real_states"]),
        node("Mul", ["read", "real_states"], ["read_or_0"]),
        node("ReduceSum", ["read_or_0", "over_tokens"], ["sum"], keepdims=0),
        node("Div", ["sum", "length"], ["average"]),
        node("Unsqueeze", ["is_real", "last"], ["is_real_state"]),
        node("Where", ["is_real_state", "read", "nothing"], ["read_or_nothing"]),
        node("ReduceMax", ["read_or_nothing", "over_tokens"], ["maximum"], keepdims=0),
        node("Concat", ["average", "maximum"], ["pooled"], axis=1),
    ]


def _linear(output: str) -> onnx.NodeProto:
    return helper.make_node("Gemm", ["pooled", "head_weight", "head_bias"], [output], transB=1)


def _grade_nodes(weights: dict[str, NDArray[Any]]) -> list[onnx.NodeProto]:
    """Return the nodes of a grade, as in losses.OutputLayer: the mean as it is, the variance above its floor."""
    node = helper.make_node
    weights["min_variance"] = np.array(MIN_VARIANCE, np.float32)
    return [
        _linear("grade"),
        node("Split", ["grade"], ["mean_column", "raw_variance"], axis=1, num_outputs=2),
        node("Squeeze", ["mean_column", "over_tokens"], ["mean"]),
        node("Softplus", ["raw_variance"], ["positive"]),
        node("Add", ["positive", "min_variance"], ["variance_column"]),
        node("Squeeze", ["variance_column", "over_tokens"], ["variance"]),
    ]


def _gru_weights(gru: nn.GRU) -> dict[str, NDArray[np.float32]]:
    """Return the weights of one direction; torch orders the gates as reset, update, new, ONNX as update, reset, new."""

    def reordered(*names: str) -> NDArray[np.float32]:
        gates = [np.split(_array(gru.get_parameter(name)), 3) for name in names]
        return np.concatenate([gate for reset, update, new in gates for gate in (update, reset, new)])

    return {
        "W": reordered("weight_ih_l0"),
        "R": reordered("weight_hh_l0"),
        "B": reordered("bias_ih_l0", "bias_hh_l0"),
    }


def _array(parameter: Tensor) -> NDArray[np.float32]:
    return np.asarray(parameter.detach().numpy(), dtype=np.float32)
