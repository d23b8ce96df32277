import os

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.scoring import network as network_module
from app.scoring.errors import BadBundle
from app.scoring.item import Item
from app.scoring.network import Network, load_session
from tests.refusals import refused
from tests.tiny import word_count_onnx, word_grade_onnx, word_tokenizer

POINTS = Item(item_id="heat-1", prompt="Why?", scale="points", max_score=3)
FLOAT, DOUBLE = "tensor(float)", "tensor(double)"
GRADES = Item(item_id="heat-1", prompt="Why?", scale="continuous", min_score=1, max_score=6)


def a_network(student: bytes, item: Item = POINTS) -> Network:
    return Network.from_bytes(word_tokenizer(), student, 64, item)


POINTS_NETWORK, GRADES_NETWORK = a_network(word_count_onnx(4)), a_network(word_grade_onnx(), GRADES)


def blind_to_padding(student: bytes) -> bytes:
    """Return the graph with padding counted as words, so that a short response scores like the longest in its batch."""
    model = onnx.load_from_string(student)
    [padding_id] = [tensor for tensor in model.graph.initializer if tensor.name == "padding_id"]
    padding_id.CopyFrom(onnx.numpy_helper.from_array(np.array(-1, np.int64), "padding_id"))
    return bytes(model.SerializeToString())


def test_grades_are_mean_and_variance_in_columns() -> None:
    outputs = GRADES_NETWORK.outputs(["warm", "warm air goes", "warm air goes up and cold air sinks"])

    assert outputs == pytest.approx(np.array([[0.25, 0.01], [0.75, 0.01], [1, 0.01]]))


@pytest.mark.parametrize(("network", "columns"), [(POINTS_NETWORK, 4), (GRADES_NETWORK, 2)])
def test_no_responses_give_no_outputs(network: Network, columns: int) -> None:
    assert network.outputs([]).shape == (0, columns)


@pytest.mark.parametrize("network", [POINTS_NETWORK, GRADES_NETWORK])
def test_outputs_keep_their_order_across_runs(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [" ".join(["air"] * (number % 5)) for number in range(10)]
    alone = np.concatenate([network.outputs([text]) for text in texts])

    monkeypatch.setattr(network_module, "RESPONSES_PER_RUN", 3)

    assert network.outputs(texts) == pytest.approx(alone, abs=1e-6)


@settings(max_examples=50, deadline=None)
@given(texts=st.lists(st.text(max_size=80), min_size=1, max_size=8))
@pytest.mark.parametrize("network", [POINTS_NETWORK, GRADES_NETWORK])
def test_outputs_are_the_same_alone_and_in_any_batch(network: Network, texts: list[str]) -> None:
    together = network.outputs(texts)

    alone = np.concatenate([network.outputs([text]) for text in texts])
    assert np.abs(together - alone).max() <= 1e-5


@pytest.mark.parametrize(
    ("student", "code", "fields"),
    [
        (b"something else", "cannot_be_loaded", {"file": "student.onnx"}),
        (word_count_onnx(3), "wrong_shape", {"found": (2, 3), "needed": (2, 4)}),
        (word_count_onnx(4, outputs="scores"), "wrong_outputs", {"needed": ["logits"]}),
        (word_count_onnx(4, dtype=onnx.TensorProto.DOUBLE), "wrong_outputs", {"found": [("logits", DOUBLE, 2)]}),
        (word_count_onnx(4, sharpness=float("nan")), "not_finite", {}),
        (word_grade_onnx(), "wrong_outputs", {"found": [("mean", FLOAT, 1), ("variance", FLOAT, 1)]}),
        (blind_to_padding(word_count_onnx(4)), "batch_differs", {}),
    ],
)
def test_graph_that_does_not_fit_the_scores_is_refused(student: bytes, code: str, fields: dict[str, object]) -> None:
    with refused(BadBundle, code, **fields):
        a_network(student)


@pytest.mark.parametrize(
    ("student", "code", "fields"),
    [
        (word_count_onnx(2), "wrong_outputs", {"needed": ["mean", "variance"]}),
        (word_grade_onnx(outputs=("mean", "deviation")), "wrong_outputs", {"needed": ["mean", "variance"]}),
        (word_grade_onnx(outputs=("grade", "variance")), "wrong_outputs", {"needed": ["mean", "variance"]}),
        (word_grade_onnx(rank=2), "wrong_outputs", {"found": [("mean", FLOAT, 2), ("variance", FLOAT, 2)]}),
        (word_grade_onnx(variance=0), "variance_not_positive", {}),
        (word_grade_onnx(variance=-0.01), "variance_not_positive", {}),
        (word_grade_onnx(variance=float("nan")), "not_finite", {}),
        (word_grade_onnx(variance=float("inf")), "not_finite", {}),
        (word_grade_onnx(offset=float("nan")), "not_finite", {}),
        (blind_to_padding(word_grade_onnx()), "batch_differs", {}),
    ],
)
def test_graph_that_does_not_fit_grades_is_refused(student: bytes, code: str, fields: dict[str, object]) -> None:
    with refused(BadBundle, code, **fields):
        a_network(student, GRADES)


def test_session_has_one_thread_and_no_memory_arena() -> None:
    options = load_session(word_count_onnx(4)).get_session_options()

    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (1, 1)
    assert not options.enable_cpu_mem_arena


def test_telemetry_of_the_runtime_is_off() -> None:
    assert os.environ["ORT_DISABLE_TELEMETRY"] == "1"
