import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from onnx import numpy_helper

from app.scoring.decoding import distribution
from app.scoring.item import Item
from tests.training.example_rows import GRADES, ITEM
from training.common.quantise import weights_int8
from training.config import StudentConfig
from training.student.network import StudentNetwork
from training.student.onnx_export import to_onnx

BOTH_KINDS = pytest.mark.parametrize("item", [ITEM, GRADES], ids=["points", "grades"])


def a_student(item: Item) -> bytes:
    torch.manual_seed(0)
    return to_onnx(StudentNetwork(300, item, StudentConfig(embedding=16, hidden=24)).eval())


def some_ids() -> NDArray[np.int64]:
    """Return ids of responses with 1 to 40 pieces."""
    generator = np.random.default_rng(0)
    ids = generator.integers(1, 300, (30, 40))
    for row, length in enumerate(generator.integers(1, 41, 30)):
        ids[row, length:] = 0
    return ids


def outputs(content: bytes, item: Item, ids: NDArray[np.int64]) -> NDArray[np.float64]:
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    names = ["mean", "variance"] if item.is_continuous else ["logits"]
    arrays = session.run(names, {"ids": ids})
    return distribution(np.stack(arrays, axis=1) if item.is_continuous else arrays[0], item)


@BOTH_KINDS
def test_student_with_int8_weights_gives_nearly_the_same_outputs(item: Item) -> None:
    content = a_student(item)

    whole, small = (outputs(graph, item, some_ids()) for graph in (content, weights_int8(content)))

    assert 0 < np.abs(small - whole).max() < 0.01
    assert np.abs(whole - whole.mean(axis=0)).max() > 0.02  # so near is no accident


@BOTH_KINDS
def test_a_response_has_the_same_outputs_in_any_batch(item: Item) -> None:
    content, ids = weights_int8(a_student(item)), some_ids()

    together = outputs(content, item, ids)
    alone = np.concatenate([outputs(content, item, row[None, : np.count_nonzero(row)]) for row in ids])

    assert np.abs(together - alone).max() < 1e-6


@BOTH_KINDS
def test_int8_weights_take_less_than_half_the_bytes(item: Item) -> None:
    content = a_student(item)

    assert len(weights_int8(content)) < 0.5 * len(content)


def test_every_weight_stays_within_half_a_step() -> None:
    content = a_student(ITEM)

    whole, small = (initializers(graph) for graph in (content, weights_int8(content)))

    quantised = [name.removesuffix("_int8") for name in small if name.endswith("_int8")]
    assert sum(whole[name].size for name in quantised) > 0.95 * sum(array.size for array in whole.values())
    for name in quantised:
        array, axis = whole[name], max(0, whole[name].ndim - 2)
        scale = np.expand_dims(small[f"{name}_scale"], [n for n in range(array.ndim) if n != axis])
        assert small[f"{name}_int8"].dtype == np.int8
        assert (np.abs(small[f"{name}_int8"] * scale - array) <= scale / 2 + 1e-9).all()


def initializers(content: bytes) -> dict[str, NDArray[np.float32]]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load_from_string(content).graph.initializer}


def test_row_of_zeros_stays_zero() -> None:
    """The embedding of padding is a row of zeros."""
    small = initializers(weights_int8(a_student(ITEM)))

    [name] = [name for name, array in small.items() if array.dtype == np.int8 and array.shape == (300, 16)]
    assert not small[name][0].any()
    assert np.isfinite(small[name.replace("_int8", "_scale")]).all()


def test_the_same_student_has_the_same_bytes() -> None:
    assert weights_int8(a_student(ITEM)) == weights_int8(a_student(ITEM))
