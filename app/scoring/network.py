"""A student's tokenizer and ONNX graph as one function of responses, checked and probed before it is trusted."""

import os
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# onnxruntime reports to its vendor from Linux since 1.29 unless this is set before the library loads.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime

from app.scoring.bundle import STUDENT
from app.scoring.decoding import Outputs, distribution, output_columns
from app.scoring.errors import BadBundle, refusing
from app.scoring.featurizer import Featurizer, Ids, padded
from app.scoring.item import Item

RESPONSES_PER_RUN = 16  # responses of like length in one run: more is no faster, and memory grows with it
PROBE_RESPONSES = ["probe", "A second, longer response so that the first is padded: 3/4 > 0.5."]


class Network:
    """Responses to outputs, as `decoding` reads them.  Safe to share between threads: onnxruntime's run() is."""

    def __init__(self, item: Item, featurizer: Featurizer, session: onnxruntime.InferenceSession) -> None:
        self.featurizer = featurizer
        self._item = item
        self._session = session
        self._names = ["mean", "variance"] if item.is_continuous else ["logits"]

    @classmethod
    def from_bytes(cls, tokenizer: bytes, student: bytes, max_tokens: int, item: Item) -> "Network":
        """From the content of tokenizer.json and student.onnx.  Raises BadBundle with the reason."""
        featurizer = Featurizer.from_bytes(tokenizer, max_tokens)
        network = cls(item, featurizer, load_session(student))
        with refusing(
            "student.onnx cannot be used", code="cannot_be_used", file=STUDENT
        ):  # the names in it, say, need not be UTF-8
            network._check()
        return network

    def outputs(self, responses: Sequence[str]) -> Outputs:
        """(responses, columns), in order."""
        return self.outputs_of(self.featurizer.read(responses))

    def outputs_of(self, read: Sequence[Ids]) -> Outputs:
        """(responses, columns), in order, of responses that the featurizer has read."""
        if len(read) <= RESPONSES_PER_RUN:
            return self._run(read) if read else np.zeros((0, output_columns(self._item)), np.float32)
        order = np.argsort([len(ids) for ids in read])  # by length: little of a run is padding
        chunks = [order[start : start + RESPONSES_PER_RUN] for start in range(0, len(order), RESPONSES_PER_RUN)]
        outputs = np.concatenate([self._run([read[number] for number in chunk]) for chunk in chunks])
        return outputs[np.argsort(order)]

    def _run(self, read: Sequence[Ids]) -> NDArray[np.float32]:
        arrays = self._session.run(self._names, {"ids": padded(read)})
        outputs = np.stack(arrays, axis=1) if self._item.is_continuous else arrays[0]
        return np.asarray(outputs, dtype=np.float32)

    def _check(self) -> None:
        inputs = {(i.name, i.type, len(i.shape)) for i in self._session.get_inputs()}
        if inputs != {("ids", "tensor(int64)", 2)}:
            raise BadBundle(
                f"student.onnx takes {sorted(inputs)}, not ids: int64 (batch, tokens)",
                code="wrong_inputs",
                found=sorted(inputs),
            )
        outputs = {(o.name, o.type, len(o.shape)) for o in self._session.get_outputs()}
        if outputs != {(name, "tensor(float)", 1 if self._item.is_continuous else 2) for name in self._names}:
            shape = "(batch)" if self._item.is_continuous else "(batch, choices)"
            raise BadBundle(
                f"student.onnx gives {sorted(outputs)}, not {' and '.join(self._names)}: float {shape}",
                code="wrong_outputs",
                found=sorted(outputs),
                needed=self._names,
            )
        with refusing("student.onnx fails on a probe response", code="probe_failed", file=STUDENT):
            together, alone = self.outputs(PROBE_RESPONSES), self.outputs(PROBE_RESPONSES[:1])
        expected = (len(PROBE_RESPONSES), output_columns(self._item))
        if together.shape != expected:
            raise BadBundle(
                f"student.onnx gives outputs of shape {together.shape}, item and probe need {expected}",
                code="wrong_shape",
                found=together.shape,
                needed=expected,
            )
        if not np.isfinite(together).all():
            raise BadBundle("student.onnx gives outputs that are not finite", code="not_finite")
        if self._item.is_continuous and not (together[:, 1] > 0).all():
            raise BadBundle("student.onnx gives a variance that is not above 0", code="variance_not_positive")
        difference = distribution(together[:1], self._item) - distribution(alone, self._item)
        if np.abs(difference).max() > 1e-5:
            raise BadBundle("student.onnx gives another score in a batch than alone", code="batch_differs")


def load_session(content: bytes, name: str = STUDENT) -> onnxruntime.InferenceSession:
    """A session on one thread.  Raises BadBundle, in which the file has this name."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # requests run in parallel; one thread each
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False  # an arena keeps its largest size for good, one for every item
    options.log_severity_level = 4  # what fails is raised and named by us
    with refusing(f"{name} cannot be loaded", code="cannot_be_loaded", file=name):
        # From bytes: the session reads what was checked, and no external data file can be named.
        # Without fallback: it would try the same again, and print that to stdout.
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"], enable_fallback=0)
