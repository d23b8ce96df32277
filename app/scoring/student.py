"""A student: a bundle loaded whole or not at all, and the step from responses to scores."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

# onnxruntime reports to its vendor from Linux since 1.29 unless this is set before the library loads.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime

from app.scoring.bundle import Bundle, Head, read_bundle
from app.scoring.errors import BadBundle
from app.scoring.featurizer import Featurizer
from app.scoring.item import Item

CHUNK = 128  # responses in one run: more is no faster, and memory grows with it
PROBE = ["probe", "A second, longer response so that the first is padded: 3/4 > 0.5."]


@dataclass(frozen=True, slots=True)
class Score:
    """What a student gives one response.  `choice` counts the item's scores or labels from 0."""

    choice: int
    expected: float | None  # Σ p·score; None for nominal items
    probabilities: tuple[float, ...]
    confidence: float  # the probability of the score given


class Student:
    """Scores responses to one item.  Safe to share between threads: onnxruntime's run() is."""

    def __init__(self, bundle: Bundle, featurizer: Featurizer, session: onnxruntime.InferenceSession) -> None:
        self.bundle = bundle
        self.featurizer = featurizer
        self._session = session

    @classmethod
    def load(cls, folder: Path) -> "Student":
        """Read, check and probe a bundle.  Raises BadBundle with the reason; no half-loaded student exists."""
        files = read_bundle(folder)
        featurizer = Featurizer.from_bytes(files.tokenizer, files.bundle.max_tokens)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # requests run in parallel; one thread each
        options.inter_op_num_threads = 1
        options.enable_cpu_mem_arena = False  # an arena keeps its largest size for good, one for every item
        options.log_severity_level = 4  # what fails is raised and named by us
        try:
            # From bytes: the session reads what was checked, and no external data file can be named.
            session = onnxruntime.InferenceSession(files.student, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's own classes derive from Exception directly
            raise BadBundle(f"student.onnx cannot be loaded: {_first_line(error)}") from None
        student = cls(files.bundle, featurizer, session)
        student._check()
        return student

    def score(self, responses: list[str]) -> list[Score]:
        """One score a response, in order."""
        if not responses:
            return []
        probabilities = softmax(self.logits(responses))
        return decode(probabilities, self.bundle.item, self.bundle.head)

    def logits(self, responses: list[str]) -> NDArray[np.float32]:
        """(responses, choices)"""
        chunks = [responses[start : start + CHUNK] for start in range(0, len(responses), CHUNK)]
        return np.concatenate([self._run(chunk) for chunk in chunks])

    def _run(self, responses: list[str]) -> NDArray[np.float32]:
        [logits] = self._session.run(["logits"], {"ids": self.featurizer.ids(responses)})
        return np.asarray(logits, dtype=np.float32)

    def _check(self) -> None:
        inputs = {(i.name, i.type, len(i.shape)) for i in self._session.get_inputs()}
        if inputs != {("ids", "tensor(int64)", 2)}:
            raise BadBundle(f"student.onnx takes {sorted(inputs)}, not ids: int64 (batch, tokens)")
        outputs = {(o.name, o.type, len(o.shape)) for o in self._session.get_outputs()}
        if outputs != {("logits", "tensor(float)", 2)}:
            raise BadBundle(f"student.onnx gives {sorted(outputs)}, not logits: float (batch, choices)")
        try:
            together, alone = self.logits(PROBE), self.logits(PROBE[:1])
        except Exception as error:  # as above
            raise BadBundle(f"student.onnx fails on a probe response: {_first_line(error)}") from None
        expected = (len(PROBE), self.bundle.item.choices)
        if together.shape != expected:
            raise BadBundle(f"student.onnx gives logits of shape {together.shape}, item and probe need {expected}")
        if not np.isfinite(together).all():
            raise BadBundle("student.onnx gives logits that are not finite")
        if np.abs(softmax(together[:1]) - softmax(alone)).max() > 1e-5:
            raise BadBundle("student.onnx gives another score in a batch than alone")


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """(responses, choices) → the same shape, each row summing to 1."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    exponentials = np.exp(shifted)
    return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True))


def expected_choice(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """(responses, choices) → Σ p·choice for each response."""
    return np.asarray(probabilities @ np.arange(probabilities.shape[1]))


def decode(probabilities: NDArray[np.float64], item: Item, head: Head) -> list[Score]:
    """Probabilities (responses, choices) → scores, by the head's cuts."""
    expected = expected_choice(probabilities)
    choices = probabilities.argmax(axis=1) if head.cuts is None else np.searchsorted(head.cuts, expected, side="right")
    return [
        Score(
            choice=int(choice),
            expected=float(mean) if item.is_ordered else None,
            probabilities=tuple(map(float, row)),
            confidence=float(row[choice]),
        )
        for choice, mean, row in zip(choices, expected, probabilities, strict=True)
    ]


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
