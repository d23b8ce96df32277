"""A student's tokenizer and ONNX graph as one function of responses, checked and probed when it is loaded."""

import os
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Since version 1.29, onnxruntime on Linux reports to its vendor unless this variable is set before the import.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime

from app.scoring.bundle import STUDENT
from app.scoring.decoding import Outputs, distribution, output_columns
from app.scoring.errors import BadBundle, refusing
from app.scoring.featurizer import Featurizer, Ids, padded
from app.scoring.item import Item

RESPONSES_PER_RUN = 16  # Responses of similar length in one run.  Larger runs take more memory and are not faster.
PROBE_RESPONSES = ["probe", "A second, longer response so that the first is padded: 3/4 > 0.5."]


class Network:
    """Turns responses into outputs for `decoding`.  Threads may share it, because onnxruntime's run() allows it."""

    def __init__(self, item: Item, featurizer: Featurizer, session: onnxruntime.InferenceSession) -> None:
        self.featurizer = featurizer
        self._item = item
        self._session = session
        self._names = ["mean", "variance"] if item.is_continuous else ["logits"]

    @classmethod
    def from_bytes(cls, tokenizer: bytes, student: bytes, max_tokens: int, item: Item) -> "Network":
        """Load and check a network.

        Args:
            tokenizer: content of tokenizer.json.
            student: content of student.onnx.
            max_tokens: tokens of a response that the network reads.
            item: the item, whose scale decides names and shapes of the outputs.

        Raises:
            BadBundle: a file cannot be used, or the graph has wrong inputs or outputs.
        """
        featurizer = Featurizer.from_bytes(tokenizer, max_tokens)
        network = cls(item, featurizer, load_session(student))
        with refusing("student.onnx cannot be used", code="cannot_be_used", file=STUDENT):  # e.g. names not in UTF-8
            network._check_tensors()
            network._check_probe()
        return network

    def outputs(self, responses: Sequence[str]) -> Outputs:
        """Return the outputs of responses, in order: shape (responses, columns)."""
        return self.outputs_of(self.featurizer.read(responses))

    def outputs_of(self, read: Sequence[Ids]) -> Outputs:
        """Return the outputs of responses, in order, from their ids: shape (responses, columns)."""
        if not read:
            return np.zeros((0, output_columns(self._item)), np.float32)
        if len(read) <= RESPONSES_PER_RUN:
            return self._run(read)
        order = np.argsort([len(ids) for ids in read])  # Responses of similar length need little padding.
        outputs = []
        for start in range(0, len(order), RESPONSES_PER_RUN):
            numbers = order[start : start + RESPONSES_PER_RUN]
            outputs.append(self._run([read[number] for number in numbers]))
        return np.concatenate(outputs)[np.argsort(order)]

    def _run(self, read: Sequence[Ids]) -> NDArray[np.float32]:
        arrays = self._session.run(self._names, {"ids": padded(read)})
        outputs = np.stack(arrays, axis=1) if self._item.is_continuous else arrays[0]
        return np.asarray(outputs, dtype=np.float32)

    def _check_tensors(self) -> None:
        inputs = _signature(self._session.get_inputs())
        if inputs != {("ids", "tensor(int64)", 2)}:
            raise BadBundle(
                f"student.onnx takes {sorted(inputs)}, not ids: int64 (batch, tokens)",
                code="wrong_inputs",
                found=sorted(inputs),
            )
        outputs = _signature(self._session.get_outputs())
        dimensions = 1 if self._item.is_continuous else 2
        if outputs != {(name, "tensor(float)", dimensions) for name in self._names}:
            names, shape = " and ".join(self._names), "(batch)" if dimensions == 1 else "(batch, choices)"
            raise BadBundle(
                f"student.onnx gives {sorted(outputs)}, not {names}: float {shape}",
                code="wrong_outputs",
                found=sorted(outputs),
                needed=self._names,
            )

    def _check_probe(self) -> None:
        with refusing("student.onnx fails on a probe response", code="probe_failed", file=STUDENT):
            together, alone = self.outputs(PROBE_RESPONSES), self.outputs(PROBE_RESPONSES[:1])
        expected = (len(PROBE_RESPONSES), output_columns(self._item))
        if together.shape != expected:
            raise BadBundle(
                f"student.onnx gives outputs of shape {together.shape}; item and probe need {expected}",
                code="wrong_shape",
                found=together.shape,
                needed=expected,
            )
        if not np.isfinite(together).all():
            raise BadBundle("student.onnx gives outputs that are not finite", code="not_finite")
        if self._item.is_continuous and together[:, 1].min() <= 0:
            raise BadBundle("student.onnx gives a variance that is not above 0", code="variance_not_positive")
        difference = distribution(together[:1], self._item) - distribution(alone, self._item)
        if np.max(np.abs(difference)) > 1e-5:
            raise BadBundle("student.onnx gives different scores in a batch and alone", code="batch_differs")


def _signature(tensors: Iterable[Any]) -> set[tuple[str, str, int]]:
    """Return name, type and number of dimensions of each tensor."""
    return {(tensor.name, tensor.type, len(tensor.shape)) for tensor in tensors}


def load_session(content: bytes, name: str = STUDENT) -> onnxruntime.InferenceSession:
    """Return a session on one thread.

    Args:
        content: the ONNX graph.
        name: the name of its file, for messages.

    Raises:
        BadBundle: onnxruntime cannot load the graph.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # Requests run in parallel, on one thread each.
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False  # Each item's arena would keep its largest size forever.
    options.log_severity_level = 4  # BadBundle reports failures.
    with refusing(f"{name} cannot be loaded", code="cannot_be_loaded", file=name):
        # A session from bytes uses exactly the checked bytes and cannot open external data files.
        # The fallback would only try again, and print to stdout.
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"], enable_fallback=0)
