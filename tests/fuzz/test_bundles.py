"""Damage files of bundles: each bundle works, or is refused with BadBundle.

Damaged files get right checksums, so that the damage reaches the code behind the check.
"""

import json
import shutil
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.scoring.bundle import METADATA, STUDENT, TOKENIZER
from app.scoring.bundle_files import sha256
from app.scoring.errors import BadBundle
from app.scoring.feedback.bundle import FEEDBACK_JSON, READER, READER_TOKENIZER, load_feedback
from app.scoring.feedback.bundle import TOKENIZER as FEEDBACK_TOKENIZER
from app.scoring.item import Item
from app.scoring.live_version import ACTIVE, activate
from app.scoring.registry import Registry, load_item
from app.scoring.teacher import TEACHER_JSON, ExportedTeacher
from tests.fuzz.cases import TIMES, altered, cases, damaged
from tests.refusals import refused
from tests.tiny import word_count_onnx, word_grade_onnx, word_tokenizer, write_tiny_bundle
from tests.tiny_feedback import write_tiny_feedback
from tests.tiny_teacher import fall_back, pair_tokenizer, write_tiny_teacher

RESPONSES = ["", "warm air rises", "é 🔥 \u202e", "9" * 300, "warm " * 100, "zzz qqq, xxx?"]
POINTS = {"item_id": "heat-1", "prompt": "Why does heat rise?", "scale": "points", "max_score": 3}
GRADES = {"item_id": "shade-6", "prompt": "Why does heat rise?", "scale": "continuous", "min_score": 1, "max_score": 6}
GRAPHS = {"heat-1": word_count_onnx(4), "shade-6": word_grade_onnx()}
ITEMS = st.sampled_from(list(GRAPHS))


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with sound items of points and of grades, a teacher for each, and a feedback model."""
    models = tmp_path_factory.mktemp("models")
    for item in (POINTS, GRADES):
        described = Item.model_validate(item)
        write_tiny_bundle(models, described.item_id, item=item)
        write_tiny_teacher(models, [described], name=described.item_id)
        fall_back(models, described.item_id, name=described.item_id)
    write_tiny_feedback(models, [Item.model_validate(POINTS)])
    return models


def written(value: Any) -> bytes:
    return json.dumps(value).encode()


def wrong(sound: bytes) -> st.SearchStrategy[bytes]:
    """Return a strategy for JSON with altered content and for text that is not JSON."""
    return altered(json.loads(sound)).map(written) | damaged(sound)


def changed(folder: Path, metadata: str, files: Mapping[str, bytes]) -> Path:
    """Return a copy of a bundle in another folder of models, with other files and their right checksums."""
    models = folder.parents[1]
    copied = models.with_name("changed") / folder.relative_to(models)
    shutil.rmtree(copied.parent, ignore_errors=True)
    shutil.copytree(folder, copied)
    for name, content in files.items():
        (copied / name).write_bytes(content)
    if metadata not in files:
        described = json.loads((copied / metadata).read_bytes())
        described["sha256"] |= {name: sha256(content) for name, content in files.items()}
        (copied / metadata).write_bytes(written(described))
    return copied


def judge(folder: Path) -> None:
    """Activate a bundle and judge responses with it.  Raises BadBundle."""
    activate(folder.parent, folder.name, by="a test", reason="to test")
    live = load_item(folder.parents[1], folder.parent.name)
    assert len(live.judge_fully(RESPONSES)) == len(RESPONSES)


def judge_or_refuse(models: Path, item_id: str, **files: bytes) -> None:
    [path] = (models / item_id).glob(f"*/{METADATA}")
    with suppress(BadBundle):
        judge(changed(path.parent, METADATA, {name.replace("_", "."): content for name, content in files.items()}))


@given(data=st.data(), item_id=ITEMS)
@cases(50)
def test_altered_bundle_json_is_refused_or_read(models: Path, data: st.DataObject, item_id: str) -> None:
    [path] = (models / item_id).glob(f"*/{METADATA}")

    judge_or_refuse(models, item_id, bundle_json=data.draw(wrong(path.read_bytes())))


@given(content=wrong(word_tokenizer()))
@cases(80)
def test_altered_tokenizer_is_refused_or_read(models: Path, content: bytes) -> None:
    judge_or_refuse(models, "heat-1", tokenizer_json=content)


@given(data=st.data(), item_id=ITEMS)
@cases(80)
def test_altered_graph_is_refused_or_read(models: Path, data: st.DataObject, item_id: str) -> None:
    judge_or_refuse(models, item_id, student_onnx=data.draw(damaged(GRAPHS[item_id])))


@given(data=st.data(), item_id=ITEMS)
@cases(50)
def test_altered_active_file_is_refused_or_read(models: Path, data: st.DataObject, item_id: str) -> None:
    """The other item is still served."""
    path = models / item_id / ACTIVE
    sound = path.read_bytes()
    path.write_bytes(data.draw(wrong(sound)))
    try:
        registry = Registry.from_folder(models)
    finally:
        path.write_bytes(sound)

    assert {*registry.live, *registry.refused} == {*GRAPHS}
    assert {*GRAPHS} - {item_id} <= {*registry.live}
    for live in registry.live.values():
        live.judge_fully(RESPONSES)


@pytest.mark.parametrize("name", [TEACHER_JSON, TOKENIZER, "member-1.onnx"])
@given(data=st.data(), item_id=ITEMS)
@cases(30)
def test_altered_teacher_is_refused_or_read(models: Path, name: str, data: st.DataObject, item_id: str) -> None:
    [path] = models.glob(f"_teachers/{item_id}/*/{TEACHER_JSON}")
    content = data.draw(
        {
            TEACHER_JSON: wrong(path.read_bytes()),
            TOKENIZER: wrong(pair_tokenizer()),
            "member-1.onnx": damaged((path.parent / "member-1.onnx").read_bytes()),
        }[name]
    )
    with suppress(BadBundle):
        teacher = ExportedTeacher.load(changed(path.parent, TEACHER_JSON, {name: content}))
        taught = teacher.taught(Item.model_validate(POINTS if item_id == "heat-1" else GRADES))
        assert [teacher.score(taught, response) for response in RESPONSES]


@pytest.mark.parametrize("name", [FEEDBACK_JSON, FEEDBACK_TOKENIZER, READER, READER_TOKENIZER])
@given(data=st.data())
@cases(30)
def test_altered_feedback_model_is_refused_or_read(models: Path, name: str, data: st.DataObject) -> None:
    [path] = models.glob(f"_feedback/*/*/{FEEDBACK_JSON}")
    sound = (path.parent / name).read_bytes()
    content = data.draw(damaged(sound) if name == READER else wrong(sound))
    with suppress(BadBundle):
        files = load_feedback(changed(path.parent, FEEDBACK_JSON, {name: content}))
        for response in RESPONSES:
            assert files.prompter.ids(files.bundle.items[0], response, 0)


def test_tokenizer_that_makes_its_library_panic_is_refused(models: Path) -> None:
    """A panic is not an Exception: it would end the service, and its message may quote a response."""
    unknown = json.loads(word_tokenizer())
    unknown["post_processor"]["special_tokens"] = {}
    [path] = models.glob(f"heat-1/*/{METADATA}")

    with refused(BadBundle, "probe_failed", cause="Panicked"):
        judge(changed(path.parent, METADATA, {TOKENIZER: written(unknown)}))


@pytest.mark.parametrize(("item_id", "name"), [("heat-1", b"logits"), ("heat-1", b"batch"), ("shade-6", b"tokens")])
def test_names_in_a_graph_that_are_not_utf_8_are_refused(models: Path, item_id: str, name: bytes) -> None:
    [path] = models.glob(f"{item_id}/*/{METADATA}")
    graph = GRAPHS[item_id].replace(name, b"\xff" * len(name))

    with pytest.raises(BadBundle):
        judge(changed(path.parent, METADATA, {STUDENT: graph}))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_refused_bundles_leave_nothing_in_memory(models: Path) -> None:
    sound = GRAPHS["heat-1"]
    broken = [sound[:place] + bytes([sound[place] ^ 0x40]) + sound[place + 1 :] for place in range(0, len(sound), 9)]
    after = []
    for _ in range(4 * TIMES):
        for graph in broken:
            judge_or_refuse(models, "heat-1", student_onnx=graph)
        after.append(resident())

    assert after[-1] - after[0] < 8, after


def resident() -> float:
    """Return the memory of this process in MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20
