"""Runs of items with few responses: they share a teacher, a head and a threshold, and each has a student."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from app.scoring.bundle import CARD, Bundle
from app.scoring.bundle_files import sha256
from app.scoring.item import Item
from app.scoring.live_version import versions
from app.scoring.registry import Registry
from app.scoring.student import Student
from tests.training.conftest import shared, tiny_settings
from tests.training.example_rows import GRADES, ITEM, some_items
from training.bundle.write import write_bundle
from training.calibration.choose import choose_heads, group_threshold, unfitted
from training.config import TrainingConfig
from training.data.item_groups import groups
from training.data.splits import split
from training.pipeline import run as run_module
from training.pipeline.prepare import prepare, train_teacher
from training.pipeline.run import train
from training.student.build import make_students
from training.teacher.encoder import tokenise
from training.teacher.ensemble import FineTuned
from training.teacher.fine_tuning import HISTORY


class Run(NamedTuple):
    folder: Path
    config: TrainingConfig
    bundles: list[Bundle]
    item: Item


@pytest.fixture(scope="module", params=[ITEM, GRADES], ids=["points", "grades"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, tiny_encoder: Path) -> Run:
    folder, item = tmp_path_factory.mktemp("shared"), request.param
    config = shared(tiny_settings(tiny_encoder)).model_copy(update={"human_margin": 1.0})  # any threshold will do
    bundles = list(train(some_items(item), folder / "models", config, folder / "cache"))
    return Run(folder, config, bundles, item)


def test_every_item_has_a_student_that_serves(run: Run) -> None:
    registry = Registry.from_folder(run.folder / "models")

    assert registry.refused == {}
    assert all(registry.live[bundle.item.item_id].bundle == bundle.without_limits() for bundle in run.bundles)
    assert [bundle.item for bundle in run.bundles] == [data.item for data in some_items(run.item)]
    assert len({bundle.sha256["student.onnx"] for bundle in run.bundles}) == 3


def test_one_teacher_learns_the_rows_of_all_items(run: Run) -> None:
    [teacher] = (run.folder / "cache" / "teachers").iterdir()

    assert (teacher / HISTORY).is_file()
    assert len({bundle.provenance.data_sha256 for bundle in run.bundles}) == 3


def test_head_and_threshold_are_chosen_once_for_all(run: Run) -> None:
    first, *rest = run.bundles

    assert (first.head.interval is not None) == run.item.is_continuous
    assert (first.head.cuts is not None) != run.item.is_continuous
    assert first.threshold is not None
    for bundle in rest:
        assert bundle.threshold == first.threshold
        assert bundle.head.model_copy(update={"cuts": first.head.cuts}) == first.head
    outputs = []
    for data, bundle in zip(some_items(run.item), run.bundles, strict=True):
        network = Student.load(run.folder / "models" / bundle.item.item_id / bundle.version).network
        outputs.append(unfitted(split(data, run.config), lambda texts, own=network: own.outputs(list(texts))))  # type: ignore[misc]
    heads = choose_heads(outputs)
    assert [bundle.head for bundle in run.bundles] == heads
    assert any(choose_heads([item_outputs]) != [head] for item_outputs, head in zip(outputs, heads, strict=True))
    assert first.threshold == group_threshold(outputs, heads, run.config)


def test_each_student_is_measured_on_dev_rows_of_its_item(run: Run) -> None:
    measured = [bundle.agreement and bundle.agreement.n for bundle in run.bundles]
    of_teacher = [bundle.provenance.teacher_agreement for bundle in run.bundles]

    assert measured == [12, 12, None]
    assert [agreement and agreement.n for agreement in of_teacher] == [12, 12, None]
    card = (run.folder / "models" / "few-2" / run.bundles[2].version / CARD).read_text()
    assert "| QWK |" not in card


@pytest.mark.parametrize(("own_from", "epochs"), [(300, 7), (1, 1)])
def test_shared_teacher_trains_for_more_epochs(
    tiny_config: TrainingConfig, tmp_path: Path, own_from: int, epochs: int
) -> None:
    group = groups(some_items(), own_from)[0]
    steps = -(-sum(len(split(data, tiny_config).fit) for data in group.members) // tiny_config.teacher.batch_size)
    brief = {"max_epochs": 1, "min_steps": 1, "shared_min_steps": 7 * steps, "patience": 99}
    config = tiny_config.model_copy(update={"teacher": tiny_config.teacher.model_copy(update=brief)})

    teacher = train_teacher(prepare(group, config, tmp_path)).teacher

    assert isinstance(teacher, FineTuned)
    assert [len(member.history) for member in teacher.members] == [epochs]


def test_second_call_only_reads(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "_train_group", lambda *_: pytest.fail("made again"))

    again = list(train(some_items(run.item), run.folder / "models", run.config, run.folder / "cache"))

    assert again == run.bundles


def test_teacher_labels_texts_in_the_context_of_their_item(run: Run) -> None:
    [group] = groups(some_items(run.item), 300)
    group_run = train_teacher(prepare(group, run.config, run.folder / "cache"))
    teacher = group_run.teacher
    assert teacher is not None

    for item_run, training_set in zip(group_run.items, group_run.training_sets, strict=True):
        context = group.context(item_run.item)
        in_context = np.concatenate([teacher.outputs([text], context) for text in training_set.texts])
        without = teacher.outputs(training_set.texts)
        assert training_set.teacher is not None
        assert np.abs(training_set.teacher - in_context).max() < 1e-5
        assert np.abs(training_set.teacher - without).max() > 1e-3


def test_students_learn_the_training_sets_of_their_items(run: Run) -> None:
    [group] = groups(some_items(run.item), 300)
    cache = run.folder / "cache"
    group_run = train_teacher(prepare(group, run.config, cache))
    items = [item_run.item for item_run in group_run.items]

    student_files = make_students(items, group_run.training_sets, group_run.tokenizer, run.config, cache)

    for files, bundle in zip(student_files, run.bundles, strict=True):
        assert bundle.sha256["student.onnx"] == sha256(files.student)
        assert bundle.sha256["tokenizer.json"] == sha256(files.tokenizer)


def test_teacher_reads_contexts_in_training(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, str]] = []

    def watched(tokenizer: object, contexts: list[str], texts: list[str], max_tokens: int) -> object:
        seen.extend(zip(contexts, texts, strict=True))
        return tokenise(tokenizer, contexts, texts, max_tokens)  # type: ignore[arg-type]

    monkeypatch.setattr("training.teacher.fine_tuning.tokenise", watched)
    items = some_items(run.item)
    [group] = groups(items, 300)
    train_teacher(prepare(group, run.config, tmp_path))

    allowed = {(group.context(data.item), row.text) for data in items for row in data.train}
    assert set(seen) == allowed


def test_run_killed_before_its_students_keeps_its_teacher(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> list[object]:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("training.pipeline.students.make_students", killed)
        with pytest.raises(KeyboardInterrupt):
            list(train(some_items(run.item), tmp_path / "models", run.config, tmp_path / "cache"))
    assert not (tmp_path / "models").exists()
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*") if path.is_file()}

    bundles = list(train(some_items(run.item), tmp_path / "models", run.config, tmp_path / "cache"))

    assert {path.suffix for path in kept} >= {".safetensors", ".npy"}
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    for bundle, whole in zip(bundles, run.bundles, strict=True):
        assert (bundle.sha256["student.onnx"], bundle.head) == (whole.sha256["student.onnx"], whole.head)


def test_run_killed_between_bundles_is_completed_by_the_next_call(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []

    def killed_at_the_second(models: Path, bundle: Bundle, *arguments: object) -> Bundle:
        if written:
            raise KeyboardInterrupt
        written.append(bundle.version)
        return write_bundle(models, bundle, *arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(run_module, "write_bundle", killed_at_the_second)
        with pytest.raises(KeyboardInterrupt):
            list(train(some_items(run.item), tmp_path / "models", run.config, tmp_path / "cache"))
    assert len(Registry.from_folder(tmp_path / "models").live) == 1

    bundles = list(train(some_items(run.item), tmp_path / "models", run.config, tmp_path / "cache"))

    registry = Registry.from_folder(tmp_path / "models")
    assert all(registry.live[bundle.item.item_id].bundle == bundle.without_limits() for bundle in bundles)
    assert all(len(versions(tmp_path / "models" / bundle.item.item_id)) == 1 for bundle in bundles)
