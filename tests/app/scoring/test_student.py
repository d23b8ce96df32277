import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.scoring.bundle import METADATA, STUDENT, TOKENIZER
from app.scoring.bundle_files import sha256
from app.scoring.errors import BadBundle
from app.scoring.student import Student
from tests.programs import run
from tests.refusals import refused
from tests.tiny import word_count_onnx, word_grade_onnx, write_tiny_bundle

GRADES = {"scale": "continuous", "min_score": 1, "max_score": 6}


def test_student_scores_points(tmp_path: Path) -> None:
    student = Student.load(write_tiny_bundle(tmp_path))

    scores = student.score(["heat", "warm air", "warm air goes up and cold air sinks"])

    assert [score.value for score in scores] == [1, 2, 3]
    assert all(sum(score.probabilities or ()) == pytest.approx(1) for score in scores)
    assert scores[1].probabilities is not None
    assert scores[1].confidence == scores[1].probabilities[2] == pytest.approx(0.909, abs=1e-3)
    assert scores[1].expected == pytest.approx(2, abs=1e-4)


def test_student_scores_grades(tmp_path: Path) -> None:
    student = Student.load(write_tiny_bundle(tmp_path, item=GRADES))

    scores = student.score(["heat", "warm air", "warm air goes up and cold air sinks"])

    assert [score.value for score in scores] == pytest.approx([2.25, 3.5, 6])
    assert scores[1].interval == pytest.approx((3.5 - 5 * 0.16449, 3.5 + 5 * 0.16449), abs=1e-4)
    assert scores[1].confidence == pytest.approx(0.6827, abs=1e-4)  # one standard deviation either way
    assert scores[2].confidence == pytest.approx(0.8413, abs=1e-4)


def test_no_responses_give_no_scores(tmp_path: Path) -> None:
    assert Student.load(write_tiny_bundle(tmp_path)).score([]) == []


@settings(max_examples=50, deadline=None)
@given(texts=st.lists(st.text(max_size=80), min_size=1, max_size=8))
@pytest.mark.parametrize("item", [None, GRADES])
def test_scores_are_the_same_alone_and_in_any_batch(
    tmp_path_factory: pytest.TempPathFactory, item: dict[str, Any] | None, texts: list[str]
) -> None:
    student = Student.load(write_tiny_bundle(tmp_path_factory.mktemp("models"), item=item))

    together = student.score(texts)

    for text, score in zip(texts, together, strict=True):
        [alone] = student.score([text])
        assert abs(alone.value - score.value) <= 1e-5
        assert abs(alone.confidence - score.confidence) <= 1e-5
        assert np.abs(np.subtract(alone.probabilities or 0, score.probabilities or 0)).max() <= 1e-5
        assert np.abs(np.subtract(alone.interval or 0, score.interval or 0)).max() <= 1e-5


@pytest.mark.parametrize(
    ("item", "student", "code"),
    [
        (None, b"something else", "cannot_be_loaded"),
        (None, word_count_onnx(3), "wrong_shape"),  # the item has four scores
        (None, word_grade_onnx(), "wrong_outputs"),
        (GRADES, word_count_onnx(2), "wrong_outputs"),
    ],
)
def test_graph_that_does_not_fit_the_item_is_refused(
    tmp_path: Path, item: dict[str, Any] | None, student: bytes, code: str
) -> None:
    folder = write_tiny_bundle(tmp_path, item=item, student=student)

    with refused(BadBundle, code):
        Student.load(folder)


def test_graph_with_external_data_is_refused(tmp_path: Path) -> None:
    model = onnx.load_from_string(word_count_onnx(4))
    external = onnx.TensorProto(name="choices", data_type=1, dims=[1, 4], data_location=onnx.TensorProto.EXTERNAL)
    external.external_data.add(key="location", value="../../../secret")
    kept = [tensor for tensor in model.graph.initializer if tensor.name != "choices"]
    del model.graph.initializer[:]
    model.graph.initializer.extend([*kept, external])
    folder = write_tiny_bundle(tmp_path, student=bytes(model.SerializeToString()))
    (tmp_path / "secret").write_bytes(np.zeros(4, np.float32).tobytes())

    with refused(BadBundle, "cannot_be_loaded", file=STUDENT):
        Student.load(folder)


@pytest.mark.parametrize("tokenizer", [b"{}", b"not json", b'{"version": "1.0"}'])
def test_broken_tokenizer_is_refused(tmp_path: Path, tokenizer: bytes) -> None:
    folder = write_tiny_bundle(tmp_path)
    (folder / TOKENIZER).write_bytes(tokenizer)
    metadata: dict[str, Any] = json.loads((folder / METADATA).read_text())
    metadata["sha256"][TOKENIZER] = sha256(tokenizer)
    (folder / METADATA).write_text(json.dumps(metadata))

    with refused(BadBundle, "cannot_be_read", file=TOKENIZER):
        Student.load(folder)


def test_tiny_bundle_has_the_checksum_of_its_student(tmp_path: Path) -> None:
    folder = write_tiny_bundle(tmp_path)

    assert json.loads((folder / METADATA).read_text())["sha256"][STUDENT] == sha256((folder / STUDENT).read_bytes())


def test_memory_does_not_grow_with_long_lists(tmp_path: Path) -> None:
    """Measure in another process, after a first list, which loads everything that is loaded once."""
    folder = write_tiny_bundle(tmp_path)
    program = f"""
import resource
from pathlib import Path
from app.scoring.student import Student
student = Student.load(Path({str(folder)!r}))
responses = ["warm air goes up and cold air sinks " * 40] * 1000
student.score(responses[:200])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for _ in range(3):
    assert len(student.score(responses)) == 1000
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""

    done = run("python", "-c", program)

    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 30_000  # KiB
