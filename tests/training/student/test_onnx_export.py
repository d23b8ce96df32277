from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray

from app.scoring.item import Item
from tests.training.example_rows import GRADES, ITEM
from training.common.losses import MIN_VARIANCE
from training.config import StudentConfig
from training.student.network import StudentNetwork
from training.student.onnx_export import to_onnx

BOTH_KINDS = pytest.mark.parametrize("item", [ITEM, GRADES], ids=["points", "grades"])
IDS = np.array([[2, 5, 6, 7, 3, 9], [2, 8, 0, 0, 0, 0], [2, 4, 4, 1, 0, 0]])


def a_network(seed: int = 0, item: Item = ITEM) -> StudentNetwork:
    torch.manual_seed(seed)
    return StudentNetwork(20, item, StudentConfig(embedding=4, hidden=5)).eval()


def exported(network: StudentNetwork, ids: NDArray[np.int64]) -> NDArray[np.float32]:
    session = onnxruntime.InferenceSession(to_onnx(network), providers=["CPUExecutionProvider"])
    names = ["mean", "variance"] if network.head.continuous else ["logits"]
    arrays = session.run(names, {"ids": ids})
    return np.stack(arrays, axis=1) if network.head.continuous else np.asarray(arrays[0])


@BOTH_KINDS
def test_graph_gives_the_outputs_of_the_network_at_every_length(item: Item) -> None:
    network = a_network(item=item)
    generator = np.random.default_rng(0)

    for tokens in (1, 2, 3, 17, 64):
        ids = generator.integers(1, 20, (5, tokens))
        for row, length in enumerate(generator.integers(1, tokens + 1, 5)):
            ids[row, length:] = 0
        with torch.inference_mode():
            assert np.allclose(exported(network, ids), network(torch.from_numpy(ids)), atol=1e-6)
            assert np.allclose(exported(network, ids[:1]), network(torch.from_numpy(ids[:1])), atol=1e-6)


def test_grades_have_an_output_each_for_mean_and_variance() -> None:
    session = onnxruntime.InferenceSession(to_onnx(a_network(item=GRADES)), providers=["CPUExecutionProvider"])

    assert [(o.name, o.type, o.shape) for o in session.get_outputs()] == [
        ("mean", "tensor(float)", ["batch"]),
        ("variance", "tensor(float)", ["batch"]),
    ]


def test_graph_keeps_variance_above_its_floor() -> None:
    network = a_network(item=GRADES)
    with torch.no_grad():
        network.head.bias[1] = -1e4

    assert exported(network, IDS)[:, 1].tolist() == pytest.approx([MIN_VARIANCE] * 3)


@BOTH_KINDS
def test_outputs_do_not_depend_on_longer_responses_in_the_batch(item: Item) -> None:
    network = a_network(item=item)

    assert np.allclose(exported(network, IDS)[1], exported(network, IDS[1:2, :2])[0], atol=1e-6)


def test_the_order_of_words_matters() -> None:
    network = a_network()
    swapped = IDS[:1, [0, 2, 1, 3, 4, 5]]

    assert not np.allclose(exported(network, IDS[:1]), exported(network, swapped), atol=1e-4)


@BOTH_KINDS
def test_equal_weights_give_equal_bytes(item: Item) -> None:
    content, again, other = (to_onnx(a_network(seed, item)) for seed in (1, 1, 2))

    assert content == again != other


@BOTH_KINDS
def test_exported_file_holds_no_trace_of_the_training_machine(item: Item) -> None:
    content = to_onnx(a_network(item=item))

    assert str(Path.cwd()).encode() not in content
    assert b".py" not in content
