"""ONNX graphs with int8 weights, in two ways."""

import logging
import tempfile
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from onnxruntime.quantization import quantize_dynamic

SMALLEST = 64  # values: what is shorter is not worth a scale


def dynamic_int8(content: bytes) -> bytes:
    """For encoders: matrix products in int8, weights with one scale a channel, activations with one as they come.

    That one scale is of the whole batch: an output depends a little on what else is in it.  Weights have 7 bits: with 8
    sums may overflow on processors without VNNI, and one file would give other scores on an older machine.
    """
    model = onnx.load_from_string(content)
    del model.graph.value_info[:]  # shapes of before: quantisation would hold the new ones against them
    logging.disable(logging.WARNING)  # it recommends a step that these graphs do not need
    try:
        with tempfile.TemporaryDirectory() as folder:
            small = Path(folder) / "small.onnx"
            quantize_dynamic(model, small, per_channel=True, reduce_range=True)
            return small.read_bytes()
    finally:
        logging.disable(logging.NOTSET)


def weights_int8(content: bytes) -> bytes:
    """For students: weights kept in int8 with one scale a row, and read as floats.  Outputs depend on no batch."""
    model = onnx.load_from_string(content)
    kept, nodes = [], []
    for tensor in model.graph.initializer:
        array = numpy_helper.to_array(tensor)
        if array.dtype != np.float32 or array.size < SMALLEST:
            kept.append(tensor)
            continue
        axis = max(0, array.ndim - 2)
        scale, whole = _quantised(array, axis)
        parts = [f"{tensor.name}_int8", f"{tensor.name}_scale"]
        kept += [numpy_helper.from_array(whole, parts[0]), numpy_helper.from_array(scale, parts[1])]
        nodes.append(helper.make_node("DequantizeLinear", parts, [tensor.name], axis=axis))
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    own = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*nodes, *own])
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def _quantised(array: NDArray[np.float32], axis: int) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
    """(scale for each place along the axis, whole numbers from -127 to 127)"""
    others = tuple(number for number in range(array.ndim) if number != axis)
    scale = np.maximum(np.abs(array).max(axis=others), 1e-12).astype(np.float32) / 127
    shape = [-1 if number == axis else 1 for number in range(array.ndim)]
    return scale, np.round(array / scale.reshape(shape)).astype(np.int8)
