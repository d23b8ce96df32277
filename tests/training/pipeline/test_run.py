import shutil
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from app.scoring.bundle import CARD, Bundle, Calibration
from app.scoring.gate import Policy
from app.scoring.live_version import ACTIVE, activate, read_active, versions
from app.scoring.registry import Registry
from app.scoring.student import Student
from tests.refusals import refused
from tests.tiny import BY_ANA, write_tiny_bundle
from tests.training.conftest import tiny_settings
from tests.training.example_rows import ITEM, item_data
from training.calibration.choose import Unfitted, group_threshold
from training.config import TrainingConfig
from training.data import ItemData
from training.data.splits import split
from training.errors import OverBudget, TooFewRows
from training.evaluation.agreement import agreement_on
from training.evaluation.attacks import CHANGED, JUNK
from training.evaluation.evidence import measured
from training.pipeline import run as run_module
from training.pipeline.release import release
from training.pipeline.run import train

Trained = tuple[Path, Bundle, TrainingConfig]


def train_all(items: Sequence[ItemData], folder: Path, config: TrainingConfig) -> list[Bundle]:
    return list(train(items, folder / "models", config, folder / "cache"))


def train_item(data: ItemData, models: Path, config: TrainingConfig, cache: Path) -> Bundle:
    [bundle] = train([data], models, config, cache)
    return bundle


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, tiny_encoder: Path) -> Trained:
    folder, config = tmp_path_factory.mktemp("run"), tiny_settings(tiny_encoder)
    return folder, train_item(item_data(), folder / "models", config, folder / "cache"), config


def test_run_ends_in_a_bundle_that_serves(trained: Trained) -> None:
    folder, bundle, _ = trained

    registry = Registry.from_folder(folder / "models")

    assert registry.refused == {}
    assert registry.live["heat-1"].bundle == bundle.without_limits()
    assert registry.live["heat-1"].judge(["the air gets warm"])[0].score is not None


def test_trained_student_agrees_with_raters(trained: Trained) -> None:
    _, bundle, _ = trained

    assert bundle.agreement is not None
    assert bundle.agreement.n == 40
    assert (bundle.agreement.qwk or 0) > 0.5
    assert bundle.provenance.teacher_agreement is not None


def test_bundle_that_fails_its_gate_goes_live_in_suggest_mode(trained: Trained) -> None:
    folder, bundle, _ = trained

    active = read_active(folder / "models" / "heat-1")

    assert (active.version, active.mode) == (bundle.version, "suggest")
    assert active.gate == bundle.gate
    assert "marked responses" in bundle.gate.failed  # of 40 dev rows, where 100 are asked for


def test_bundle_that_passes_its_gate_goes_live_in_auto_mode(trained: Trained, tmp_path: Path) -> None:
    folder, _, config = trained
    lenient = Policy(
        min_responses=1, min_agreement=-1, max_degradation=2, max_smd=9, max_group_difference=9, min_recall=0,
        max_ece=1, max_junk=1,
    )  # fmt: skip
    settings = config.model_copy(update={"release": lenient, "human_margin": 1.0})

    bundle = train_item(item_data(), tmp_path, settings, folder / "cache")

    active = read_active(tmp_path / "heat-1")
    assert (active.version, active.mode, active.override) == (bundle.version, "auto", False)
    assert bundle.policy == lenient
    assert Registry.from_folder(tmp_path).refused == {}


def test_decision_of_a_person_stays_when_the_same_bundle_is_made_again(trained: Trained, tmp_path: Path) -> None:
    folder, _, config = trained
    bundle = train_item(item_data(), tmp_path, config, folder / "cache")
    activate(tmp_path / "heat-1", bundle.version, mode="auto", by="Ana", reason="read 50 of its scores")

    train_item(item_data(), tmp_path, config, folder / "cache")

    active = read_active(tmp_path / "heat-1")
    assert (active.mode, active.by, active.override) == ("auto", "Ana", True)


@pytest.mark.parametrize("scale", [{"scale": "points", "max_score": 3}, {"scale": "nominal", "labels": ["a", "b"]}])
def test_decision_on_blank_responses_is_kept_by_a_new_version(tmp_path: Path, scale: dict[str, Any]) -> None:
    write_tiny_bundle(tmp_path, version="20200101T000000Z-00000001", blank_is_worst=BY_ANA)
    live = read_active(tmp_path / "heat-1")
    made = Student.load(write_tiny_bundle(tmp_path, version="20260101T000000Z-00000001", item=scale)).bundle
    early = live.model_copy(update={"at": made.provenance.created_at - timedelta(days=1)})
    (tmp_path / "heat-1" / ACTIVE).write_text(early.model_dump_json())

    release(tmp_path / "heat-1", made)

    active = read_active(tmp_path / "heat-1")
    assert active.version == made.version
    assert active.blank_is_worst == (BY_ANA if scale["scale"] == "points" else None)


def test_decision_taken_after_a_bundle_was_made_stays(trained: Trained, tmp_path: Path) -> None:
    folder, bundle, config = trained
    shutil.copytree(folder / "models", tmp_path / "models")
    item = tmp_path / "models" / "heat-1"
    before = write_tiny_bundle(tmp_path / "models", version="20200101T000000Z-00000001").name  # an older one, now live
    assert read_active(item).version == before

    train_item(item_data(), tmp_path / "models", config, folder / "cache")  # as after a kill, for other items

    assert read_active(item).version == before
    early = read_active(item).model_copy(update={"at": bundle.provenance.created_at - timedelta(seconds=1)})
    (item / ACTIVE).write_text(early.model_dump_json())  # killed after the bundle was made and before it went live
    train_item(item_data(), tmp_path / "models", config, folder / "cache")
    assert read_active(item).version == bundle.version


@pytest.mark.parametrize("share", [0.01, None])
def test_too_few_rows_are_refused_before_any_training(
    tiny_config: TrainingConfig, tmp_path: Path, share: float | None
) -> None:
    few = replace(item_data(), item=ITEM.model_copy(update={"item_id": "few-1"}), train=())
    config = tiny_config if share is None else tiny_config.model_copy(update={"learning_curve": (share,)})

    code, named = ("too_few_to_validate", "heat-1") if share else ("no_marked_responses", "few-1")
    with refused(TooFewRows, code, share=share) as caught:
        train_all([item_data(), few] if share is None else [item_data()], tmp_path, config)

    assert named in (caught.value.fields.get("item_id"), caught.value.fields.get("group"))
    assert not (tmp_path / "cache").exists()


def test_evidence_is_measured_on_dev_and_on_every_possible_attack(trained: Trained) -> None:
    folder, bundle, _ = trained
    student = Student.load(folder / "models" / "heat-1" / bundle.version)

    evidence = measured(student, item_data().dev, {}).evidence

    assert bundle.evidence.model_copy(update={"attacks": {}}) == evidence
    assert set(bundle.evidence.attacks) == {*JUNK, *CHANGED} - {"other_item", "negation"}  # one item, no word to negate
    assert bundle.evidence.attacks["characters"].n == 50
    assert evidence.coverage is not None


def test_confidence_is_calibrated_on_validation_and_out_of_fold_outputs(
    trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, bundle, config = trained
    pooled: list[int] = []

    def watched(group: list[Unfitted], *arguments: object) -> object:
        pooled.append(sum(len(held_out.outputs) for held_out in group))
        return group_threshold(group, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr("training.pipeline.students.group_threshold", watched)
    train_item(item_data(), folder / "again", config, folder / "cache")

    assert pooled == [120]  # validation and, out of fold, all that was fitted
    assert bundle.head.calibration != Calibration()
    assert bundle.head.prediction_set is not None


def test_agreement_in_the_bundle_equals_the_agreement_of_its_files(trained: Trained) -> None:
    folder, bundle, config = trained
    student = Student.load(folder / "models" / "heat-1" / bundle.version)
    dev = split(item_data(), config).dev

    assert agreement_on(bundle.item, dev, student.score([row.text for row in dev])) == bundle.agreement


def test_the_card_gives_the_figures_and_no_response(trained: Trained) -> None:
    folder, bundle, _ = trained

    card = (folder / "models" / "heat-1" / bundle.version / CARD).read_text()

    assert bundle.agreement is not None
    assert f"| QWK | {bundle.agreement.qwk:.3f} |" in card
    assert "augmented texts: " in card
    assert not any(row.text in card for row in item_data().train)


def test_second_call_only_reads(trained: Trained) -> None:
    folder, bundle, config = trained

    again = train_item(item_data(), folder / "models", config, folder / "cache")

    assert again == bundle
    assert versions(folder / "models" / "heat-1") == [bundle.version]


def test_bundle_of_a_killed_run_goes_live_with_the_next_call(
    tiny_config: TrainingConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("training.pipeline.release.activate", killed)
        with pytest.raises(KeyboardInterrupt):
            train_item(item_data(), tmp_path / "models", tiny_config, tmp_path / "cache")
    bundle = train_item(item_data(), tmp_path / "models", tiny_config, tmp_path / "cache")

    assert read_active(tmp_path / "models" / "heat-1").version == bundle.version


def test_student_of_human_scores_alone_needs_no_teacher(tiny_config: TrainingConfig, tmp_path: Path) -> None:
    alone = tiny_config.model_copy(
        update={"distillation": tiny_config.distillation.model_copy(update={"soft_weight": 0.0})}
    )

    bundle = train_item(item_data(), tmp_path / "models", alone, tmp_path / "cache")

    assert bundle.provenance.teacher is None
    assert not (tmp_path / "cache" / "teachers").exists()


def test_two_learners_are_enough(tiny_config: TrainingConfig, tmp_path: Path) -> None:
    """Validation takes one learner, and the other fills a fold, so that no responses are left to learn from."""
    alone = tiny_config.model_copy(
        update={"distillation": tiny_config.distillation.model_copy(update={"soft_weight": 0.0})}
    )
    data = item_data(train=64, dev=8, unlabelled=0)
    rows = tuple(replace(row, learner_id=f"n{number // 32}") for number, row in enumerate(data.train))

    bundle = train_item(replace(data, train=rows), tmp_path / "models", alone, tmp_path / "cache")

    assert bundle.agreement is not None


def test_item_without_dev_rows_has_no_agreement(tiny_config: TrainingConfig, tmp_path: Path) -> None:
    bundle = train_item(item_data(dev=0), tmp_path / "models", tiny_config, tmp_path / "cache")

    assert bundle.agreement is None
    assert "| QWK |" not in (tmp_path / "models" / "heat-1" / bundle.version / CARD).read_text()


def test_other_distillation_seed_changes_only_the_student(trained: Trained, tmp_path: Path) -> None:
    folder, bundle, config = trained
    reseeded = config.model_copy(update={"distillation": config.distillation.model_copy(update={"seed": 1})})

    other = train_item(item_data(), tmp_path, reseeded, folder / "cache")

    assert other.sha256["tokenizer.json"] == bundle.sha256["tokenizer.json"]
    assert other.provenance.teacher_agreement == bundle.provenance.teacher_agreement
    assert other.sha256["student.onnx"] != bundle.sha256["student.onnx"]


def test_run_killed_between_items_makes_no_bundle_twice(tiny_config: TrainingConfig, tmp_path: Path) -> None:
    items = [item_data(item=ITEM.model_copy(update={"item_id": f"heat-{number}"})) for number in range(3)]
    first = next(train(items, tmp_path / "models", tiny_config, tmp_path / "cache"))

    bundles = train_all(items, tmp_path, tiny_config)

    assert bundles[0] == first
    assert [versions(tmp_path / "models" / data.item.item_id) for data in items] == [[b.version] for b in bundles]


def test_bundle_of_other_data_settings_or_version_is_not_reused(
    trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    class MadeAnewError(Exception):
        pass

    def make(*_: object) -> None:
        raise MadeAnewError

    folder, bundle, config = trained
    monkeypatch.setattr(run_module, "_train_group", make)
    changed = [
        (item_data(dev=8), config),
        (item_data(unlabelled=19), config),
        (item_data(), config.model_copy(update={"human_margin": 0.1})),
    ]

    assert train_all([item_data()], folder, config) == [bundle]
    for data, settings in changed:
        with pytest.raises(MadeAnewError):
            train_all([data], folder, settings)
    with monkeypatch.context() as patch:
        patch.setattr("training.bundle.provenance.fingerprint", lambda _: "other weights under the same name")
        with pytest.raises(MadeAnewError):
            train_all([item_data()], folder, config)
    monkeypatch.setattr("training.bundle.provenance.software", lambda: bundle.provenance.software | {"scorelet": "99"})
    with pytest.raises(MadeAnewError):
        train_all([item_data()], folder, config)


@pytest.mark.parametrize("rows", [2, 3])
def test_too_few_rows_to_validate_on_are_refused(tiny_config: TrainingConfig, tmp_path: Path, rows: int) -> None:
    """Give each of four scores one row, so that none is drawn to validate on."""
    with refused(TooFewRows, "too_few_to_validate", rows=rows):
        train_all([item_data(train=rows)], tmp_path, tiny_config)

    assert not (tmp_path / "models").exists()


def test_item_without_marked_responses_is_refused(tiny_config: TrainingConfig, tmp_path: Path) -> None:
    with refused(TooFewRows, "no_marked_responses", item_id="heat-1"):
        train_all([item_data(train=0)], tmp_path, tiny_config)


def test_student_over_the_budget_is_refused_before_a_teacher_is_trained(
    tiny_config: TrainingConfig, tmp_path: Path
) -> None:
    wide = tiny_config.model_copy(update={"student": tiny_config.student.model_copy(update={"hidden": 200})})

    with pytest.raises(OverBudget):
        train_all([item_data()], tmp_path, wide)

    assert not (tmp_path / "cache").exists()


def test_learning_curve_holds_whole_runs_on_shares_of_the_marked_responses(trained: Trained, tmp_path: Path) -> None:
    folder, whole, config = trained
    asked = config.model_copy(update={"learning_curve": (0.25, 0.5)})

    bundle = train_item(item_data(), tmp_path, asked, folder / "cache")

    points = bundle.evidence.learning_curve
    marked = len(split(item_data(), config).marked)
    assert [point.marked for point in points] == [
        pytest.approx(0.25 * marked, abs=3),
        pytest.approx(0.5 * marked, abs=3),
        marked,
    ]
    assert [point.agreement.n for point in points if point.agreement] == [40, 40, 40]
    assert points[-1].agreement == bundle.agreement == whole.agreement
    assert points[0].agreement != points[-1].agreement
    assert whole.evidence.learning_curve == ()
