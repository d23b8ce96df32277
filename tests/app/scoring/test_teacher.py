"""Test a sound and damaged teachers that give one point more than a response has words (tests/tiny_teacher.py)."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.scoring import teacher as teacher_module
from app.scoring.bundle import CARD, TOKENIZER
from app.scoring.decoding import softmax
from app.scoring.errors import BadBundle
from app.scoring.item import Item
from app.scoring.registry import Registry
from app.scoring.teacher import (
    TEACHER_JSON,
    TEACHERS_FOLDER,
    ExportedTeacher,
    TeacherNetwork,
    mixture,
    newest_teacher,
    teacher_folder,
)
from tests.refusals import refused
from tests.tiny import write_tiny_bundle
from tests.tiny_teacher import (
    NAME,
    POINTS,
    SURE,
    VERSION,
    change_metadata,
    fall_back,
    item_of,
    pair_tokenizer,
    plus_one_onnx,
    write_tiny_teacher,
)

FIRST = "member-1.onnx"
GRADES = Item(item_id="shade-6", prompt="How warm?", scale="continuous", min_score=1, max_score=6)
LABELS = Item(item_id="belief-3", prompt="Is it air?", scale="nominal", labels=("none", "one", "two", "three"))
TEXTS = ["warm", "warm air goes up", "", "cold air", "Ω → ∞", "heat " * 80]
Damage = Callable[[Path], object]


def named(registry: Registry) -> dict[str, tuple[str, Mapping[str, object]]]:
    """Return code and fields of each error that keeps a teacher from an item."""
    return {name: (error.code, error.fields) for name, error in registry.without_teacher.items()}


def values(teacher: ExportedTeacher, item: Item, *responses: str) -> list[float]:
    return [teacher.score(teacher.taught(item), text).value for text in responses]


def test_teacher_scores_points(tmp_path: Path) -> None:
    teacher = ExportedTeacher.load(write_tiny_teacher(tmp_path))

    assert values(teacher, POINTS, "", "warm", "warm air", "warm air goes up") == [1, 2, 3, 3]
    sure = teacher.score(teacher.taught(POINTS), "warm air")
    assert sure.confidence == pytest.approx(0.9526, abs=1e-4)
    assert sure.prediction_set == (2, 3)
    assert teacher.title == f"{NAME}/{VERSION}"


def test_teacher_scores_grades(tmp_path: Path) -> None:
    teacher = ExportedTeacher.load(write_tiny_teacher(tmp_path, [GRADES]))

    score = teacher.score(teacher.taught(GRADES), "warm")

    assert score.value == pytest.approx(3.5)  # two of four words, from 1 to 6
    assert score.interval == pytest.approx((3.5 - 0.8224, 3.5 + 0.8224), abs=1e-3)


def test_each_item_of_a_teacher_has_its_head_and_threshold(tmp_path: Path) -> None:
    other = POINTS.model_copy(update={"item_id": "heat-2", "prompt": "Why does it fall?"})
    folder = write_tiny_teacher(tmp_path, [POINTS, other])
    raw = ExportedTeacher.load(folder).bundle.model_dump(mode="json")["items"]
    raw[1] |= {"head": raw[1]["head"] | {"cuts": [0.5, 2.5, 2.9]}, "threshold": 0.5}
    change_metadata(folder, items=raw)

    teacher = ExportedTeacher.load(folder)

    assert [values(teacher, item, "warm") for item in (POINTS, other)] == [[2], [1]]
    assert [teacher.taught(item).threshold for item in (POINTS, other)] == [SURE, 0.5]


def test_members_are_averaged_as_probabilities(tmp_path: Path) -> None:
    """One member gives 2, three give 1.  The mean of logits differs from the logarithm of the mean probability."""
    graphs = [plus_one_onnx(POINTS, more=more, sharpness=s) for more, s in [(1, 4.0), (0, 0.2), (0, 0.2), (0, 0.2)]]
    teacher = ExportedTeacher.load(write_tiny_teacher(tmp_path, members=graphs))

    score = teacher.score(teacher.taught(POINTS), "warm")

    def shares(sharpness: float, middle: int) -> Any:
        return softmax(np.array([[-sharpness * (middle - choice) ** 2 for choice in range(4)]]))[0]

    expected = (shares(4.0, 2) + 3 * shares(0.2, 1)) / 4
    assert score.probabilities == pytest.approx(expected, abs=1e-5)
    assert score.value == expected.argmax() == 2


def test_variance_of_grades_includes_disagreement_of_members() -> None:
    each = np.array([[[0.2, 0.01]], [[0.6, 0.03]]], np.float32)

    [[mean, variance]] = mixture(each, continuous=True)

    assert (mean, variance) == (pytest.approx(0.4), pytest.approx(0.02 + 0.04))


def test_probability_of_zero_has_a_finite_logarithm() -> None:
    mixed = mixture(np.array([[[0.0, -5000.0]]], np.float32), continuous=False)

    assert np.isfinite(mixed).all()
    assert softmax(mixed)[0] == pytest.approx([1, 0])


@pytest.mark.parametrize("item", [POINTS, GRADES, LABELS], ids=lambda item: item.scale)
def test_outputs_are_independent_of_other_responses(tmp_path: Path, item: Item) -> None:
    """The network counts the words of its batch, so a batch of two responses would change the outputs."""
    graph = plus_one_onnx(item, counted="batch")
    network = ExportedTeacher.load(write_tiny_teacher(tmp_path, [item], members=[graph])).network

    together = network.outputs("", TEXTS)

    assert together.shape == (len(TEXTS), 2 if item.is_continuous else 4)
    assert together.dtype == np.float32
    for text, output in zip(TEXTS, together, strict=True):
        assert (network.outputs("", [text])[0] == output).all()
    assert len({tuple(row) for row in together.tolist()}) > 2


def test_outputs_without_responses_are_empty(tmp_path: Path) -> None:
    network = ExportedTeacher.load(write_tiny_teacher(tmp_path)).network

    assert network.outputs("", []).shape == (0, 4)


def test_context_is_the_first_segment(tmp_path: Path) -> None:
    """One network counts the second segment, the response; the other counts context and response."""
    context, response = "heat rises", "warm"
    segment, whole = (plus_one_onnx(POINTS, more=0, counted=counted) for counted in ("second", "all"))
    folders = [
        write_tiny_teacher(tmp_path, name=name, members=[graph], context=context)
        for name, graph in (("segment", segment), ("whole", whole))
    ]

    assert [values(ExportedTeacher.load(folder), POINTS, response) for folder in folders] == [[1], [3]]


def test_response_is_the_only_segment_without_a_context(tmp_path: Path) -> None:
    folder = write_tiny_teacher(tmp_path, members=[plus_one_onnx(POINTS, more=0, counted="second")])

    assert values(ExportedTeacher.load(folder), POINTS, "warm air") == [0]


def test_text_between_follows_a_context_only(tmp_path: Path) -> None:
    second, every = plus_one_onnx(POINTS, more=0, counted="second"), plus_one_onnx(POINTS, more=0)
    after, alone = (  # `-` is a separate word
        write_tiny_teacher(tmp_path, name=name, members=[graph], context=context, between="-")
        for name, graph, context in (("after", second, "heat"), ("alone", every, ""))
    )

    assert values(ExportedTeacher.load(after), POINTS, "warm") == [2]
    assert values(ExportedTeacher.load(alone), POINTS, "warm") == [1]


@pytest.mark.parametrize(
    ("context", "words", "counted"),
    [
        ("", 20, 7),  # one of eight tokens is START
        ("heat rises", 20, 4),  # two starts and two words of context
        ("heat " * 30, 2, 2),  # the longer segment is cut at its end
    ],
)
def test_long_input_is_cut_at_the_end(tmp_path: Path, context: str, words: int, counted: int) -> None:
    item = POINTS.model_copy(update={"max_score": 20})
    graph = plus_one_onnx(item, more=0, counted="second" if context else "all")
    folder = write_tiny_teacher(tmp_path, [item], members=[graph], context=context, max_tokens=8)

    assert values(ExportedTeacher.load(folder), item, "warm " * words) == [counted]


def test_padding_and_truncation_of_the_tokenizer_file_are_ignored(tmp_path: Path) -> None:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_buffer(pair_tokenizer())
    tokenizer.enable_padding(length=32)
    tokenizer.enable_truncation(3)
    folder = write_tiny_teacher(
        tmp_path, members=[plus_one_onnx(POINTS, more=0)], tokenizer=tokenizer.to_str().encode()
    )

    assert values(ExportedTeacher.load(folder), POINTS, "warm", "warm air goes up") == [1, 3]


def test_member_gets_only_the_inputs_that_it_takes(tmp_path: Path) -> None:
    few = plus_one_onnx(POINTS, inputs=["input_ids"])
    more = plus_one_onnx(POINTS, inputs=["attention_mask", "input_ids"])

    teacher = ExportedTeacher.load(write_tiny_teacher(tmp_path, members=[few, more]))

    assert values(teacher, POINTS, "warm") == [2]


def altered(name: str) -> Damage:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes() + b"\n")


def removed(name: str) -> Damage:
    return lambda folder: (folder / name).unlink()


def linked(name: str) -> Damage:
    def link(folder: Path) -> None:
        kept = (folder / name).rename(folder.parent / name)
        (folder / name).symlink_to(kept)

    return link


def member(graph: bytes, number: int = 1) -> Damage:
    """Replace a member by another network with a right checksum."""

    def replaced(folder: Path) -> None:
        (folder / f"member-{number}.onnx").write_bytes(graph)
        change_metadata(folder)

    return replaced


def tokenizer(content: bytes) -> Damage:
    def replaced(folder: Path) -> None:
        (folder / TOKENIZER).write_bytes(content)
        change_metadata(folder)

    return replaced


def metadata(**fields: Any) -> Damage:
    return lambda folder: change_metadata(folder, **fields)


def another_scale(folder: Path) -> None:
    items = ExportedTeacher.load(folder).bundle.model_dump(mode="json")["items"]
    other = items[0] | {"item": items[0]["item"] | {"item_id": "heat-2", "max_score": 4}}
    change_metadata(folder, items=[*items, other])


def another_head(**fields: Any) -> Damage:
    def replaced(folder: Path) -> None:
        [item] = ExportedTeacher.load(folder).bundle.model_dump(mode="json")["items"]
        change_metadata(folder, items=[item | {"head": item["head"] | fields}])

    return replaced


def one_checksum_less(folder: Path) -> None:
    files = ExportedTeacher.load(folder).bundle.sha256
    change_metadata(folder, sha256={name: checksum for name, checksum in files.items() if name != CARD})


def one_checksum_more(folder: Path) -> None:
    files = ExportedTeacher.load(folder).bundle.sha256
    change_metadata(folder, sha256=files | {"member-2.onnx": files[FIRST]})


DAMAGES: dict[str, tuple[Damage, str, dict[str, object]]] = {
    "an altered member": (altered(FIRST), "wrong_checksum", {"file": FIRST}),
    "an altered tokenizer": (altered(TOKENIZER), "wrong_checksum", {"file": TOKENIZER}),
    "an altered card": (altered(CARD), "wrong_checksum", {"file": CARD}),
    "a linked member": (linked(FIRST), "no_plain_file", {"file": FIRST}),
    "linked metadata": (linked(TEACHER_JSON), "no_plain_file", {"file": TEACHER_JSON}),
    "no such member": (removed(FIRST), "no_plain_file", {"file": FIRST}),
    "no tokenizer": (removed(TOKENIZER), "no_plain_file", {"file": TOKENIZER}),
    "no metadata": (removed(TEACHER_JSON), "no_plain_file", {"file": TEACHER_JSON}),
    "one member of two": (metadata(members=2), "no_checksum", {"files": ["member-2.onnx"]}),
    "two members of one": (one_checksum_more, "unknown_files", {"files": ["member-2.onnx"]}),
    "a file without a checksum": (one_checksum_less, "no_checksum", {"files": [CARD]}),
    "no JSON": (lambda folder: (folder / TEACHER_JSON).write_text("{"), "bad_metadata", {"fault": "json_invalid"}),
    "a field of another time": (metadata(format=2), "bad_metadata", {"fault": "literal_error", "where": ("format",)}),
    "another name": (metadata(name="other"), "wrong_place", {"of": f"other/{VERSION}", "place": f"{NAME}/{VERSION}"}),
    "another version": (metadata(version="2"), "wrong_place", {"of": f"{NAME}/2", "place": f"{NAME}/{VERSION}"}),
    "two scales": (another_scale, "bad_metadata", {"fault": "several_scales"}),
    "no items": (metadata(items=[]), "bad_metadata", {"fault": "too_short", "where": ("items",)}),
    "no network": (member(b"something else"), "cannot_be_loaded", {"file": FIRST}),
    "cuts of another scale": (
        another_head(cuts=[0.5, 1.5]),
        "bad_metadata",
        {"fault": "cuts_and_scale", "where": ("items", 0)},
    ),
    "an interval about points": (
        another_head(interval={"coverage": 0.9, "deviations": 1.6}),
        "bad_metadata",
        {"fault": "interval_and_scale"},
    ),
    "no prediction sets": (another_head(prediction_set=None), "bad_metadata", {"fault": "prediction_set_and_scale"}),
    "no tokens": (tokenizer(b"{}"), "cannot_be_read", {"file": TOKENIZER}),
    "unknown inputs": (
        member(plus_one_onnx(POINTS, inputs=("input_ids", "bbox"))),
        "unknown_inputs",
        {"inputs": ["bbox"]},
    ),
    "another output": (member(plus_one_onnx(POINTS, output="logits")), "wrong_outputs", {"found": ["logits"]}),
    "a choice too many": (
        member(plus_one_onnx(POINTS, columns=5)),
        "wrong_shape",
        {"found": [(1, 5)], "needed": (1, 4)},
    ),
    "no batch": (member(plus_one_onnx(POINTS, rank=1)), "wrong_shape", {"found": [(4,)]}),
    "no numbers": (member(plus_one_onnx(POINTS, spoilt=float("nan"))), "not_finite", {}),
    "a failing network": (
        member(plus_one_onnx(POINTS, fails_at="[UNK]")),
        "probe_failed",
        {"cause": "InvalidArgument"},
    ),
}


@pytest.mark.parametrize(("damage", "code", "fields"), DAMAGES.values(), ids=DAMAGES)
def test_damaged_teacher_is_refused_and_its_item_is_served_without_it(
    tmp_path: Path, damage: Damage, code: str, fields: dict[str, object]
) -> None:
    write_tiny_bundle(tmp_path, threshold=SURE)
    folder = write_tiny_teacher(tmp_path)
    fall_back(tmp_path)
    assert Registry.from_folder(tmp_path).without_teacher == {}

    damage(folder)

    with refused(BadBundle, code, **fields) as caught:
        ExportedTeacher.load(folder)
    registry = Registry.from_folder(tmp_path)
    assert named(registry) == {"heat-1": (code, caught.value.fields)}
    assert str(registry.without_teacher["heat-1"]) == f"{NAME}/{VERSION}: {caught.value}"
    assert (registry.refused, registry.live["heat-1"].second) == ({}, None)
    [judgement] = registry.live["heat-1"].judge_fully(["warm"])
    assert (judgement.decision, judgement.scored_by) == ("review", "student")


@pytest.mark.parametrize(
    ("graph", "code", "fields"),
    [
        (plus_one_onnx(POINTS, spoilt=float("nan")), "not_finite", {}),
        (plus_one_onnx(POINTS, inputs=("input_ids", "bbox")), "unknown_inputs", {"inputs": ["bbox"]}),
        (plus_one_onnx(POINTS, columns=5), "wrong_shape", {"found": [(1, 5)]}),
        (b"something else", "cannot_be_loaded", {"file": "member-2.onnx"}),
    ],
)
def test_teacher_with_one_bad_member_is_refused(
    tmp_path: Path, graph: bytes, code: str, fields: dict[str, object]
) -> None:
    folder = write_tiny_teacher(tmp_path, members=[plus_one_onnx(POINTS)] * 2)
    assert ExportedTeacher.load(folder).bundle.members == 2

    member(graph, 2)(folder)

    with refused(BadBundle, code, **fields):
        ExportedTeacher.load(folder)


@pytest.mark.parametrize(
    ("graph", "code", "fields"),
    [
        (plus_one_onnx(GRADES, variance=float("nan")), "not_finite", {}),
        (plus_one_onnx(GRADES, variance=0.0), "variance_not_positive", {}),
        (plus_one_onnx(GRADES, variance=-0.1), "variance_not_positive", {}),
        (plus_one_onnx(GRADES, columns=7), "wrong_shape", {"found": [(1, 7)], "needed": (1, 2)}),
    ],
)
def test_teacher_of_grades_without_mean_and_variance_is_refused(
    tmp_path: Path, graph: bytes, code: str, fields: dict[str, object]
) -> None:
    folder = write_tiny_teacher(tmp_path, [GRADES], members=[graph])

    with refused(BadBundle, code, **fields):
        ExportedTeacher.load(folder)


@pytest.mark.parametrize("fields", [{"interval": None}, {"cuts": [0.5]}])
def test_teacher_of_grades_with_a_head_for_scores_is_refused(tmp_path: Path, fields: dict[str, Any]) -> None:
    """Without the check, mean and variance would count as logits of two scores."""
    folder = write_tiny_teacher(tmp_path, [GRADES])

    another_head(**fields)(folder)

    with refused(BadBundle, "bad_metadata", file=TEACHER_JSON, where=("items", 0)):
        ExportedTeacher.load(folder)


def test_too_large_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_tiny_teacher(tmp_path)
    largest = max(path.stat().st_size for path in folder.iterdir() if path.name != TEACHER_JSON)
    monkeypatch.setattr(teacher_module, "MAX_MEMBER_BYTES", largest)
    assert ExportedTeacher.load(folder)

    monkeypatch.setattr(teacher_module, "MAX_MEMBER_BYTES", largest - 1)

    with refused(BadBundle, "too_large", most=largest - 1):
        ExportedTeacher.load(folder)


def test_messages_do_not_quote_the_file(tmp_path: Path) -> None:
    """A wrong field may hold any text."""
    folder = write_tiny_teacher(tmp_path)
    change_metadata(folder, max_tokens="the canary sings")

    with refused(BadBundle, "bad_metadata", file=TEACHER_JSON, where=("max_tokens",)) as caught:
        ExportedTeacher.load(folder)

    assert "canary" not in f"{caught.value} {caught.value.fields}"


@pytest.mark.parametrize(
    "other",
    [
        {"item_id": "heat-2"},
        {"prompt": "Why does cold fall?"},
        {"scale": "continuous", "min_score": 0},
        {"max_score": 4},
        {"references": ("warm air is lighter",)},
    ],
    ids=lambda other: next(iter(other)),
)
def test_teacher_does_not_fit_another_question(tmp_path: Path, other: dict[str, Any]) -> None:
    teacher = ExportedTeacher.load(write_tiny_teacher(tmp_path))

    with refused(BadBundle, "not_taught", item_id=other.get("item_id", "heat-1")):
        teacher.taught(Item.model_validate(POINTS.model_dump() | other))


def test_labels_in_another_order_are_another_scale(tmp_path: Path) -> None:
    teacher = ExportedTeacher.load(write_tiny_teacher(tmp_path, [LABELS]))
    turned = LABELS.model_copy(update={"labels": tuple(reversed(LABELS.labels or ()))})

    assert teacher.taught(LABELS).item == LABELS
    with refused(BadBundle, "not_taught", item_id=LABELS.item_id):
        teacher.taught(turned)


def test_teacher_fits_an_item_with_another_title_or_rubric(tmp_path: Path) -> None:
    teacher = ExportedTeacher.load(write_tiny_teacher(tmp_path))
    said = {"title": "Heat", "rubric": "Three ideas.", "subject": "science", "feedback": {"1": "Say where it rises."}}

    assert teacher.taught(Item.model_validate(POINTS.model_dump() | said)).item == POINTS


def test_item_with_a_changed_question_is_served_without_the_teacher(tmp_path: Path) -> None:
    write_tiny_bundle(tmp_path, threshold=SURE)
    write_tiny_teacher(tmp_path, [POINTS.model_copy(update={"prompt": "Why does cold fall?"})])
    fall_back(tmp_path)

    registry = Registry.from_folder(tmp_path)

    assert named(registry) == {"heat-1": ("not_taught", {"item_id": "heat-1"})}
    assert registry.live["heat-1"].second is None


def test_item_with_a_missing_teacher_is_served_without_it(tmp_path: Path) -> None:
    write_tiny_bundle(tmp_path, threshold=SURE)
    shutil.rmtree(write_tiny_teacher(tmp_path))
    fall_back(tmp_path)

    registry = Registry.from_folder(tmp_path)

    assert named(registry) == {"heat-1": ("no_teacher", {"name": NAME, "version": VERSION})}
    assert registry.live["heat-1"].second is None


def test_item_with_an_unreadable_teacher_folder_is_served_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tiny_bundle(tmp_path, threshold=SURE)
    write_tiny_teacher(tmp_path)
    fall_back(tmp_path)
    is_dir = Path.is_dir

    def closed(path: Path) -> bool:  # like mode 0700 for another user; root may read everything
        if TEACHERS_FOLDER in path.parent.parts:
            raise PermissionError(13, "Permission denied", str(path))
        return is_dir(path)

    monkeypatch.setattr(Path, "is_dir", closed)

    registry = Registry.from_folder(tmp_path)

    assert named(registry) == {"heat-1": ("folder_unreadable", {"name": NAME, "version": VERSION})}
    assert set(registry.live) == {"heat-1"}


def test_refused_teacher_does_not_affect_other_items(tmp_path: Path) -> None:
    heat, wind = (item_of(write_tiny_bundle(tmp_path, name, threshold=SURE)) for name in ("heat-1", "wind-2"))
    altered(FIRST)(write_tiny_teacher(tmp_path, [heat], name="bad"))
    write_tiny_teacher(tmp_path, [wind], name="good")
    fall_back(tmp_path, "heat-1", name="bad")
    fall_back(tmp_path, "wind-2", name="good")

    registry = Registry.from_folder(tmp_path)

    assert set(registry.without_teacher) == {"heat-1"}
    assert set(registry.live) == {"heat-1", "wind-2"}
    assert registry.live["wind-2"].judge_fully(["warm"])[0].scored_by == "teacher"


def notes_of_loading(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Return a list that will hold the folders of loaded teachers."""
    read: list[Path] = []
    load = ExportedTeacher.load

    def noted(folder: Path) -> ExportedTeacher:
        read.append(folder)
        return load(folder)

    monkeypatch.setattr(ExportedTeacher, "load", noted)
    return read


def test_shared_teacher_is_in_memory_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    items = [item_of(write_tiny_bundle(tmp_path, f"heat-{number}", threshold=SURE)) for number in range(3)]
    write_tiny_teacher(tmp_path, items)
    for item in items:
        fall_back(tmp_path, item.item_id)
    read = notes_of_loading(monkeypatch)

    registry = Registry.from_folder(tmp_path)

    assert read == [tmp_path / TEACHERS_FOLDER / NAME / VERSION]
    assert [live.second is not None for live in registry.live.values()] == [True] * 3


def test_teacher_changed_after_the_release_is_refused(tmp_path: Path) -> None:
    """A lowered threshold would let every score stand."""
    write_tiny_bundle(tmp_path, threshold=SURE)
    folder = write_tiny_teacher(tmp_path, threshold=None)
    fall_back(tmp_path)
    [item] = ExportedTeacher.load(folder).bundle.model_dump(mode="json")["items"]
    change_metadata(folder, items=[item | {"threshold": 0.0}])

    registry = Registry.from_folder(tmp_path)

    assert named(registry) == {"heat-1": ("not_released", {})}
    assert registry.live["heat-1"].judge_fully(["warm"])[0].decision == "review"


def test_refused_teacher_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A teacher may have gigabytes."""
    items = [item_of(write_tiny_bundle(tmp_path, f"heat-{number}")) for number in range(3)]
    altered(FIRST)(write_tiny_teacher(tmp_path, items))
    for item in items:
        fall_back(tmp_path, item.item_id)
    read = notes_of_loading(monkeypatch)

    registry = Registry.from_folder(tmp_path)

    assert len(read) == 1
    assert len(registry.without_teacher) == 3
    assert len(set(map(str, registry.without_teacher.values()))) == 1


def test_teachers_are_not_items(tmp_path: Path) -> None:
    write_tiny_bundle(tmp_path)
    write_tiny_teacher(tmp_path)

    registry = Registry.from_folder(tmp_path)

    assert (set(registry.live), registry.refused, registry.without_teacher) == ({"heat-1"}, {}, {})


def test_the_newest_teacher_of_an_item_is_found(tmp_path: Path) -> None:
    old, new, newer = (f"2026010{day}T000000Z-0000000a" for day in (1, 2, 3))
    write_tiny_teacher(tmp_path, name="zebra", version=old)
    write_tiny_teacher(tmp_path, name="ant", version=new)
    write_tiny_teacher(tmp_path, [GRADES], name="ant-of-grades", version=newer)

    assert newest_teacher(tmp_path, POINTS) == ("ant", new)
    assert newest_teacher(tmp_path, GRADES) == ("ant-of-grades", newer)


def test_unreadable_teacher_is_never_the_newest(tmp_path: Path) -> None:
    write_tiny_teacher(tmp_path)
    newer = write_tiny_teacher(tmp_path, version="20260103T000000Z-0000000b")
    (newer / TEACHER_JSON).write_text("{}")
    linked(TEACHER_JSON)(write_tiny_teacher(tmp_path, version="20260104T000000Z-0000000c"))

    assert newest_teacher(tmp_path, POINTS) == (NAME, VERSION)


@pytest.mark.parametrize("others", [[], [GRADES]])
def test_message_without_a_teacher_says_how_to_train_it(tmp_path: Path, others: list[Item]) -> None:
    if others:
        write_tiny_teacher(tmp_path, others)

    with refused(BadBundle, "none_taught", item_id="heat-1"):
        newest_teacher(tmp_path, POINTS)


@pytest.mark.parametrize(
    ("name", "version"),
    [(NAME, "2"), ("other", VERSION), ("..", NAME), (NAME, ".."), (f"../{TEACHERS_FOLDER}/{NAME}", VERSION)],
)
def test_only_existing_folders_lead_to_a_teacher(tmp_path: Path, name: str, version: str) -> None:
    folder = write_tiny_teacher(tmp_path)
    assert teacher_folder(tmp_path, NAME, VERSION) == folder

    with refused(BadBundle, "no_teacher", name=name, version=version):
        teacher_folder(tmp_path, name, version)


def test_a_network_needs_no_bundle() -> None:
    """The export measures a network before it writes a bundle."""
    network = TeacherNetwork(pair_tokenizer(), [plus_one_onnx(LABELS)], 64, "", LABELS)

    assert network.outputs("", ["warm"]).argmax(axis=1).tolist() == [2]
