import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.scoring.bundle import STUDENT, TOKENIZER, Bundle
from app.scoring.bundle_files import sha256
from app.scoring.errors import BadBundle
from app.scoring.student import Student
from tests.refusals import refused
from tests.tiny import word_count_onnx, word_grade_onnx, word_tokenizer, write_tiny_bundle
from training.bundle.write import version_of, write_bundle
from training.student.build import StudentFiles

GRADES = {"scale": "continuous", "min_score": 1, "max_score": 6}
OF_POINTS = StudentFiles(word_tokenizer(), word_count_onnx(4), 1, None)
OF_GRADES = StudentFiles(word_tokenizer(), word_grade_onnx(), 1, None)


def a_bundle(tmp_path: Path, item: dict[str, object] | None = None) -> Bundle:
    """As a run has it: without checksums."""
    loaded = Student.load(write_tiny_bundle(tmp_path / "elsewhere", item=item)).bundle
    return loaded.model_copy(update={"sha256": {}})


@pytest.mark.parametrize(("files", "item", "best"), [(OF_POINTS, None, 3), (OF_GRADES, GRADES, 6)])
def test_written_bundle_loads_unchanged(
    tmp_path: Path, files: StudentFiles, item: dict[str, object] | None, best: int
) -> None:
    bundle = a_bundle(tmp_path, item)

    written = write_bundle(tmp_path / "models", bundle, files, "# A card\n")

    student = Student.load(tmp_path / "models" / "heat-1" / written.version)
    assert student.bundle == written
    assert dict(written.sha256).items() >= {
        (STUDENT, sha256(files.student)),
        (TOKENIZER, sha256(files.tokenizer)),
    }
    assert student.score(["warm air goes up"])[0].value == best


def test_mismatched_files_are_not_written(tmp_path: Path) -> None:
    with refused(BadBundle, "wrong_outputs", needed=["logits"]):
        write_bundle(tmp_path / "models", a_bundle(tmp_path), OF_GRADES, "# A card\n")

    assert list((tmp_path / "models" / "heat-1").iterdir()) == []


def test_killed_write_leaves_no_partial_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(_: object) -> None:
        raise KeyboardInterrupt

    bundle = a_bundle(tmp_path)
    monkeypatch.setattr(os, "fsync", killed)
    with pytest.raises(KeyboardInterrupt):
        write_bundle(tmp_path / "models", bundle, OF_POINTS, "# A card\n")

    assert list((tmp_path / "models" / "heat-1").iterdir()) == []


def test_leftovers_of_a_killed_run_are_removed(tmp_path: Path) -> None:
    (tmp_path / "models" / "heat-1" / ".staged-x").mkdir(parents=True)

    written = write_bundle(tmp_path / "models", a_bundle(tmp_path), OF_POINTS, "# A card\n")

    assert [path.name for path in (tmp_path / "models" / "heat-1").iterdir()] == [written.version]


def test_version_holds_time_and_content_hash() -> None:
    first, second = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, microsecond=1, tzinfo=UTC)

    one, same, other, later = (
        version_of(files, made).partition("-")
        for files, made in ((OF_POINTS, first), (OF_POINTS, first), (OF_GRADES, first), (OF_POINTS, second))
    )

    assert one[0] == later[0] == "20260101T000000Z"
    assert one == same
    assert len({one[2], other[2], later[2]}) == 3
