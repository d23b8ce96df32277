"""ONNX graphs with int8 weights, in two ways."""

import logging
import tempfile
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from onnxruntime.quantization import quantize_dynamic

SMALLEST = 64  # values: a shorter tensor stays in float32


def dynamic_int8(content: bytes) -> bytes:
    """Return an encoder's graph with matrix products in int8.

    Weights have a scale a channel, activations one scale a batch, so that an output depends a little on the rest of its
    batch.  Weights have 7 bits: with 8 bits, sums may overflow on processors without VNNI, and a file would give other
    scores on an older machine.
    """
    model = onnx.load_from_string(content)
    del model.graph.value_info[:]  # the float32 shapes, which the quantised graph contradicts
    logging.disable(logging.WARNING)  # onnxruntime recommends a step that these graphs do not need
    try:
        with tempfile.TemporaryDirectory() as folder:
            small = Path(folder) / "small.onnx"
            quantize_dynamic(model, small, per_channel=True, reduce_range=True)
            return small.read_bytes()
    finally:
        logging.disable(logging.NOTSET)


def weights_int8(content: bytes) -> bytes:
    """Return a student's graph with weights in int8, a scale a row, which are read as floats.

    An output does not depend on the rest of its batch.
    """
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
    nodes += model.graph.node
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def _quantised(array: NDArray[np.float32], axis: int) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
    """Return the scale for each place along the axis, and whole numbers from -127 to 127."""
    other_axes = tuple(number for number in range(array.ndim) if number != axis)
    largest = np.abs(array).max(axis=other_axes)
    scale = np.maximum(largest, 1e-12).astype(np.float32) / 127
    shape = [-1 if number == axis else 1 for number in range(array.ndim)]
    steps = np.round(array / scale.reshape(shape))
    return scale, steps.astype(np.int8)
