import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray

from training.config import StudentConfig
from training.graph import to_onnx
from training.student import StudentNetwork

IDS = np.array([[2, 5, 6, 7, 3, 9], [2, 8, 0, 0, 0, 0], [2, 4, 4, 1, 0, 0]])


def a_network(seed: int = 0) -> StudentNetwork:
    torch.manual_seed(seed)
    return StudentNetwork(20, 3, StudentConfig(embedding=4, hidden=5)).eval()


def exported(network: StudentNetwork, ids: NDArray[np.int64]) -> NDArray[np.float32]:
    session = onnxruntime.InferenceSession(to_onnx(network), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(["logits"], {"ids": ids})[0])


def test_the_graph_computes_what_the_network_does_at_every_length() -> None:
    network = a_network()

    with torch.inference_mode():
        assert np.allclose(exported(network, IDS), network(torch.from_numpy(IDS)), atol=1e-6)
        assert np.allclose(exported(network, IDS[1:2, :2]), network(torch.from_numpy(IDS[1:2, :2])), atol=1e-6)


def test_a_response_gets_the_same_logits_alone_and_beside_longer_ones() -> None:
    network = a_network()

    assert np.allclose(exported(network, IDS)[1], exported(network, IDS[1:2, :2])[0], atol=1e-6)


def test_the_order_of_words_matters() -> None:
    network = a_network()
    swapped = IDS[:1, [0, 2, 1, 3, 4, 5]]

    assert not np.allclose(exported(network, IDS[:1]), exported(network, swapped), atol=1e-4)


def test_equal_weights_give_equal_bytes() -> None:
    assert to_onnx(a_network(1)) == to_onnx(a_network(1)) != to_onnx(a_network(2))
