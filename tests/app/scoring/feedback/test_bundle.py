import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from app.scoring.errors import BadBundle, UnknownItem
from app.scoring.feedback.bundle import REQUIRED_FILES, feedback_folder, feedback_names, load_feedback
from app.scoring.feedback.model import LanguageModel
from app.scoring.item import Item
from tests.refusals import refused
from tests.tiny_feedback import VERSION, write_tiny_feedback

HEAT = Item(item_id="heat-1", prompt="Why does heat rise?", scale="points", max_score=3)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_tiny_feedback(tmp_path, [HEAT], text="Quite right, warm air rises.")


def test_feedback_bundle_is_read_and_its_model_writes(folder: Path) -> None:
    files = load_feedback(folder)

    written = LanguageModel(files.base, files.adapter, files.bundle.prompt).write(files.prompter.ids(HEAT, "warm", 3))

    assert (written.text, written.tokens) == ("Quite right, warm air rises.", 6)
    assert files.screen.objection(written.text, "warm", HEAT, 3) is None


def test_model_knows_an_item_by_question_and_scale(folder: Path) -> None:
    files = load_feedback(folder)

    assert files.knows(HEAT)
    assert files.knows(HEAT.model_copy(update={"title": "Heat", "feedback": {"0": "No."}}))
    changes = ({"prompt": "Why?"}, {"max_score": 4}, {"references": ("air",)}, {"item_id": "heat-2"})
    assert not any(files.knows(HEAT.model_copy(update=change)) for change in changes)


def edit(**fields: object) -> Callable[[Path], object]:
    def write(folder: Path) -> None:
        metadata = folder / "feedback.json"
        metadata.write_text(json.dumps(json.loads(metadata.read_text()) | fields))

    return write


def a_pipe(folder: Path) -> None:
    (folder / "feedback.json").unlink()
    os.mkfifo(folder / "feedback.json")


@pytest.mark.parametrize(
    ("harm", "code", "fields"),
    [
        (lambda folder: (folder / "feedback.json").unlink(), "no_plain_file", {"file": "feedback.json"}),
        (lambda folder: (folder / "feedback.json").write_text("{"), "bad_metadata", {"fault": "json_invalid"}),
        (edit(more=1), "bad_metadata", {"where": ("more",), "fault": "extra_forbidden"}),
        (edit(items=[]), "bad_metadata", {"where": ("items",), "fault": "too_short"}),
        (edit(sha256={}), "no_checksum", {"files": sorted(REQUIRED_FILES)}),
        (edit(name="other"), "wrong_place", {"of": f"other/{VERSION}", "place": f"tiny/{VERSION}"}),
        (
            lambda folder: (
                folder.joinpath("feedback.json").rename(folder / "x")
                and folder.joinpath("feedback.json").symlink_to(folder / "x")
            ),
            "no_plain_file",
            {"file": "feedback.json"},
        ),
        (a_pipe, "no_plain_file", {"file": "feedback.json"}),
        (
            edit(verdict={"item": HEAT.model_dump(mode="json"), "max_tokens": 64, "threshold": 0.5}),
            "bad_metadata",
            {"where": ("verdict", "item"), "fault": "verdicts_have_no_order"},
        ),
        (lambda folder: (folder / "base.gguf").write_bytes(b"GGUF"), "wrong_checksum", {"file": "base.gguf"}),
        (lambda folder: (folder / "verdict.onnx").unlink(), "no_plain_file", {"file": "verdict.onnx"}),
        (lambda folder: (folder / "card.md").write_text(""), "wrong_checksum", {"file": "card.md"}),
    ],
)
def test_bad_feedback_bundle_is_refused_with_its_reason(
    folder: Path, harm: Callable[[Path], object], code: str, fields: dict[str, object]
) -> None:
    harm(folder)

    with refused(BadBundle, code, **fields):
        load_feedback(folder)


def test_broken_tokenizer_with_a_right_checksum_is_refused(folder: Path) -> None:
    from app.scoring.bundle_files import file_sha256

    (folder / "tokenizer.json").write_text("{}")
    sums = json.loads((folder / "feedback.json").read_text())["sha256"]
    edit(sha256=sums | {"tokenizer.json": file_sha256(folder / "tokenizer.json")})(folder)

    with pytest.raises(BadBundle):
        load_feedback(folder)


def test_file_that_llama_cannot_load_is_refused(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "other.gguf").write_bytes(b"no model")

    with refused(BadBundle, "llama_cannot_load", file="other.gguf"):
        LanguageModel(tmp_path / "other.gguf", None, load_feedback(folder).bundle.prompt)


def test_feedback_models_are_found_by_name(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "_feedback" / ".staged-x").mkdir()

    assert feedback_names(tmp_path) == ["tiny"]
    assert feedback_folder(tmp_path, "tiny") / VERSION == folder
    assert feedback_names(tmp_path / "nothing") == []
    for name in ("other", "../tiny", ".staged-x", ""):
        with pytest.raises(UnknownItem):
            feedback_folder(tmp_path, name)
