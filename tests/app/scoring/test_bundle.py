import json
from pathlib import Path
from typing import Any

import pytest

from app.scoring.bundle import CARD, METADATA, STUDENT, TOKENIZER, read_bundle
from app.scoring.bundle_files import sha256
from app.scoring.errors import BadBundle
from tests.refusals import refused
from tests.tiny import write_tiny_bundle


def with_metadata(folder: Path, **changes: Any) -> Path:
    content = json.loads((folder / METADATA).read_text()) | changes
    (folder / METADATA).write_text(json.dumps(content))
    return folder


def test_bundle_is_read(tmp_path: Path) -> None:
    folder = write_tiny_bundle(tmp_path)

    files = read_bundle(folder)

    assert files.bundle.item.item_id == "heat-1"
    assert files.student == (folder / STUDENT).read_bytes()
    assert files.metadata_sha256 == sha256((folder / METADATA).read_bytes())


@pytest.mark.parametrize("name", [TOKENIZER, STUDENT, CARD])
def test_changed_byte_in_any_file_is_refused(tmp_path: Path, name: str) -> None:
    file = write_tiny_bundle(tmp_path) / name
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)

    with refused(BadBundle, "wrong_checksum", file=name):
        read_bundle(file.parent)


@pytest.mark.parametrize("name", [METADATA, TOKENIZER, STUDENT, CARD])
def test_missing_file_is_named(tmp_path: Path, name: str) -> None:
    folder = write_tiny_bundle(tmp_path)
    (folder / name).unlink()

    with refused(BadBundle, "no_plain_file", file=name):
        read_bundle(folder)


def test_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    folder = write_tiny_bundle(tmp_path)
    (folder / STUDENT).rename(tmp_path / "elsewhere.onnx")
    (folder / STUDENT).symlink_to(tmp_path / "elsewhere.onnx")

    with refused(BadBundle, "no_plain_file", file=STUDENT):
        read_bundle(folder)


def test_unknown_field_is_named(tmp_path: Path) -> None:
    with refused(BadBundle, "bad_metadata", fault="extra_forbidden", where=("flavour",)):
        read_bundle(with_metadata(write_tiny_bundle(tmp_path), flavour="vanilla"))


def test_missing_checksum_is_refused(tmp_path: Path) -> None:
    with refused(BadBundle, "no_checksum", files=sorted([CARD, STUDENT, TOKENIZER])):
        read_bundle(with_metadata(write_tiny_bundle(tmp_path), sha256={}))


def test_checksum_of_an_unknown_file_is_refused(tmp_path: Path) -> None:
    folder = write_tiny_bundle(tmp_path)

    with refused(BadBundle, "unknown_files", files=["../../ACTIVE"]):
        read_bundle(with_metadata(folder, sha256=read_bundle(folder).bundle.sha256 | {"../../ACTIVE": "0" * 64}))


def test_bundle_copied_to_another_item_is_refused(tmp_path: Path) -> None:
    folder = write_tiny_bundle(tmp_path, "heat-1")
    other = tmp_path / "heat-2" / folder.name
    other.parent.mkdir()
    folder.rename(other)

    with refused(BadBundle, "wrong_place", of=f"heat-1/{folder.name}", place=f"heat-2/{folder.name}"):
        read_bundle(other)


LIKELY = {"coverage": 0.9, "least": 0.1}


@pytest.mark.parametrize("cuts", [[0.5, 1.5], [0.5, 2.5, 1.5], [0.5, 1.5, float("nan")], []])
def test_cuts_that_do_not_fit_the_scale_are_refused(tmp_path: Path, cuts: list[float]) -> None:
    with refused(BadBundle, "bad_metadata") as caught:
        read_bundle(with_metadata(write_tiny_bundle(tmp_path), head={"cuts": cuts, "prediction_set": LIKELY}))

    assert caught.value.fields["fault"] in ("cuts_and_scale", "cuts_out_of_order")


GRADES = {"scale": "continuous", "min_score": 1, "max_score": 6}
LABELS = {"scale": "nominal", "labels": ["a", "b", "c", "d"]}
INTERVAL = {"coverage": 0.9, "deviations": 1.6}


def test_bundle_of_grades_is_read(tmp_path: Path) -> None:
    head = read_bundle(write_tiny_bundle(tmp_path, item=GRADES)).bundle.head

    assert head.cuts is None
    assert head.interval is not None
    assert head.interval.coverage == head.coverage == 0.9


def test_coverage_of_prediction_sets_is_read(tmp_path: Path) -> None:
    head = {"cuts": None, "prediction_set": LIKELY | {"coverage": 0.8}}

    assert read_bundle(with_metadata(write_tiny_bundle(tmp_path), head=head)).bundle.head.coverage == 0.8


def test_gate_follows_policy_and_threshold_of_the_bundle(tmp_path: Path) -> None:
    folder = write_tiny_bundle(tmp_path)

    assert read_bundle(folder).bundle.gate.passed
    assert read_bundle(with_metadata(folder, threshold=None)).bundle.gate.failed == ["threshold"]
    assert read_bundle(with_metadata(folder, threshold=0.8, agreement=None)).bundle.gate.failed == ["marked responses"]
    assert read_bundle(with_metadata(folder, policy={"min_responses": 1})).bundle.gate.failed == ["marked responses"]


@pytest.mark.parametrize(
    ("item", "head", "fault"),
    [
        (GRADES, {"cuts": None}, "interval_and_scale"),
        (GRADES, {"cuts": None, "interval": None}, "interval_and_scale"),
        (GRADES, {"cuts": [0.5], "interval": INTERVAL}, "cuts_and_scale"),
        (GRADES, {"cuts": [], "interval": INTERVAL}, "cuts_and_scale"),
        (GRADES, {"cuts": None, "interval": INTERVAL, "prediction_set": LIKELY}, "prediction_set_and_scale"),
        (None, {"cuts": None, "interval": INTERVAL, "prediction_set": LIKELY}, "interval_and_scale"),
        (LABELS, {"cuts": None, "interval": INTERVAL, "prediction_set": LIKELY}, "interval_and_scale"),
        (None, {"cuts": None}, "prediction_set_and_scale"),
        (LABELS, {"cuts": None, "prediction_set": None}, "prediction_set_and_scale"),
        (LABELS, {"cuts": [0.5, 1.5, 2.5], "prediction_set": LIKELY}, "cuts_and_scale"),
        (None, {"cuts": None, "prediction_set": LIKELY | {"coverage": 1}}, "coverage"),
        (None, {"cuts": None, "prediction_set": LIKELY | {"coverage": 0}}, "coverage"),
        (None, {"cuts": None, "prediction_set": LIKELY | {"least": -0.1}}, "least"),
        (None, {"cuts": None, "prediction_set": LIKELY | {"least": 1.1}}, "least"),
        (None, {"cuts": None, "prediction_set": LIKELY | {"least": float("nan")}}, "least"),
        (
            None,
            {"cuts": None, "prediction_set": LIKELY, "calibration": {"temperature": 0}},
            "temperature",
        ),
        (
            None,
            {"cuts": None, "prediction_set": LIKELY, "calibration": {"temperature": float("inf")}},
            "temperature",
        ),
        (None, {"cuts": None, "prediction_set": LIKELY, "calibration": {"slope": 0}}, "slope"),
        (
            None,
            {"cuts": None, "prediction_set": LIKELY, "calibration": {"intercept": float("nan")}},
            "intercept",
        ),
        (None, {"cuts": None, "prediction_set": LIKELY, "calibration": {"bias": 1}}, "bias"),
        (GRADES, {"cuts": None, "interval": INTERVAL | {"coverage": 1}}, "coverage"),
        (GRADES, {"cuts": None, "interval": INTERVAL | {"coverage": 0}}, "coverage"),
        (GRADES, {"cuts": None, "interval": INTERVAL | {"deviations": 0}}, "deviations"),
        (GRADES, {"cuts": None, "interval": INTERVAL | {"deviations": float("nan")}}, "deviations"),
        (GRADES, {"cuts": None, "interval": INTERVAL | {"deviations": float("inf")}}, "deviations"),
        (GRADES, {"cuts": None, "interval": INTERVAL | {"coverage": None}}, "half_an_interval"),
        (GRADES, {"cuts": None, "interval": INTERVAL | {"deviations": None}}, "half_an_interval"),
        (None, {"cuts": None, "prediction_set": LIKELY | {"coverage": None}}, "partial_set"),
        (None, {"cuts": None, "prediction_set": LIKELY, "chosen_on": -1}, "chosen_on"),
        (GRADES, {"cuts": None, "interval": INTERVAL | {"width": 1}}, "width"),
    ],
)
def test_head_that_does_not_fit_the_scale_is_refused(
    tmp_path: Path, item: dict[str, Any] | None, head: dict[str, Any], fault: str
) -> None:
    with refused(BadBundle, "bad_metadata", file=METADATA) as caught:
        read_bundle(with_metadata(write_tiny_bundle(tmp_path, item=item), head=head))

    where = caught.value.fields["where"]
    assert isinstance(where, tuple)
    assert fault in (caught.value.fields["fault"], *where)


def test_head_may_have_no_coverage(tmp_path: Path) -> None:
    head = {"cuts": None, "prediction_set": {"coverage": None, "least": 0}, "chosen_on": 8}
    of_grades = {"cuts": None, "interval": {"coverage": None, "deviations": None}, "chosen_on": 0}

    for item, expected in ((None, head), (GRADES, of_grades)):
        folder = write_tiny_bundle(tmp_path / str(expected["chosen_on"]), item=item)
        read = read_bundle(with_metadata(folder, head=expected)).bundle.head
        assert (read.coverage, read.chosen_on) == (None, expected["chosen_on"])


@pytest.mark.parametrize("content", ["", "{", "null", "[]", '{"format": 2}'])
def test_broken_metadata_is_refused(tmp_path: Path, content: str) -> None:
    folder = write_tiny_bundle(tmp_path)
    (folder / METADATA).write_text(content)

    with refused(BadBundle, "bad_metadata", file=METADATA):
        read_bundle(folder)
