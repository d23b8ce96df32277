from pathlib import Path

import numpy as np
import pytest

from app.scoring.active import read_active, versions
from app.scoring.bundle import CARD, Bundle
from app.scoring.registry import Registry
from app.scoring.student import Student
from tests.training.data import item_data
from training.config import TextConfig, TrainingConfig
from training.errors import NoParity
from training.export import check_parity
from training.graph import to_onnx
from training.measure import agreement_on
from training.run import split, train_item
from training.student import StudentNetwork


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, tiny_encoder: Path) -> tuple[Path, Bundle, TrainingConfig]:
    from tests.training.conftest import tiny_config

    folder = tmp_path_factory.mktemp("run")
    config = tiny_config.__wrapped__(tiny_encoder)  # type: ignore[attr-defined]
    return folder, train_item(item_data(), folder / "models", config, folder / "cache"), config


def test_a_run_ends_in_a_bundle_that_serves(trained: tuple[Path, Bundle, TrainingConfig]) -> None:
    folder, bundle, _ = trained

    registry = Registry.from_folder(folder / "models")

    assert registry.refused == {}
    assert registry.live["heat-1"].bundle == bundle
    assert registry.live["heat-1"].judge(["the air gets warm"])[0].score is not None


def test_it_has_learnt_something(trained: tuple[Path, Bundle, TrainingConfig]) -> None:
    _, bundle, _ = trained

    assert bundle.agreement is not None
    assert bundle.agreement.n == 40
    assert (bundle.agreement.qwk or 0) > 0.5
    assert bundle.provenance.teacher_agreement is not None


def test_nobody_has_released_it_yet(trained: tuple[Path, Bundle, TrainingConfig]) -> None:
    folder, bundle, _ = trained

    active = read_active(folder / "models" / "heat-1")

    assert (active.version, active.mode) == (bundle.version, "suggest")


def test_the_agreement_in_the_bundle_is_that_of_its_files(trained: tuple[Path, Bundle, TrainingConfig]) -> None:
    folder, bundle, config = trained
    student = Student.load(folder / "models" / "heat-1" / bundle.version)
    dev = split(item_data(), config).dev

    assert agreement_on(bundle.item, dev, student.score([row.text for row in dev])) == bundle.agreement


def test_the_card_gives_the_figures_and_no_response(trained: tuple[Path, Bundle, TrainingConfig]) -> None:
    folder, bundle, _ = trained

    card = (folder / "models" / "heat-1" / bundle.version / CARD).read_text()

    assert bundle.agreement is not None
    assert f"| QWK | {bundle.agreement.qwk:.3f} |" in card
    assert "augmented texts: " in card
    assert not any(row.text in card for row in item_data().train)


def test_the_same_call_again_only_reads(trained: tuple[Path, Bundle, TrainingConfig]) -> None:
    folder, bundle, config = trained

    again = train_item(item_data(), folder / "models", config, folder / "cache")

    assert again == bundle
    assert versions(folder / "models" / "heat-1") == [bundle.version]


def test_killed_before_it_went_live_it_goes_live_when_called_again(
    tiny_config: TrainingConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("training.run.activate", killed)
        with pytest.raises(KeyboardInterrupt):
            train_item(item_data(), tmp_path / "models", tiny_config, tmp_path / "cache")
    bundle = train_item(item_data(), tmp_path / "models", tiny_config, tmp_path / "cache")

    assert read_active(tmp_path / "models" / "heat-1").version == bundle.version


def test_killed_on_the_way_no_half_bundle_is_left(
    tiny_config: TrainingConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("training.run.check_parity", killed)
    with pytest.raises(KeyboardInterrupt):
        train_item(item_data(), tmp_path / "models", tiny_config, tmp_path / "cache")

    assert list((tmp_path / "models" / "heat-1").iterdir()) == []


def test_a_student_without_a_teacher_needs_none(tiny_config: TrainingConfig, tmp_path: Path) -> None:
    alone = tiny_config.model_copy(
        update={"distillation": tiny_config.distillation.model_copy(update={"soft_weight": 0.0})}
    )

    bundle = train_item(item_data(), tmp_path / "models", alone, tmp_path / "cache")

    assert bundle.provenance.teacher is None
    assert not (tmp_path / "cache" / "teachers").exists()


def test_an_item_without_dev_rows_says_so(tiny_config: TrainingConfig, tmp_path: Path) -> None:
    bundle = train_item(item_data(dev=0), tmp_path / "models", tiny_config, tmp_path / "cache")

    assert bundle.agreement is None
    assert "there were no dev rows" in (tmp_path / "models" / "heat-1" / bundle.version / CARD).read_text()


def test_another_network_is_not_passed_off_as_the_exported_one(trained: tuple[Path, Bundle, TrainingConfig]) -> None:
    folder, bundle, config = trained
    student = Student.load(folder / "models" / "heat-1" / bundle.version)
    other = StudentNetwork(student.featurizer.vocabulary, 4, config.student).eval()

    with pytest.raises(NoParity, match="differ by"):
        check_parity(other, student, ["the air gets warm", "it becomes lighter"])


def test_the_exported_file_names_nothing_of_the_machine_that_trained(tiny_config: TrainingConfig) -> None:
    content = to_onnx(StudentNetwork(30, 4, tiny_config.student))

    assert str(Path.cwd()).encode() not in content
    assert b".py" not in content


def test_another_seed_of_distillation_changes_the_student_alone(
    trained: tuple[Path, Bundle, TrainingConfig], tmp_path: Path
) -> None:
    folder, bundle, config = trained
    reseeded = config.model_copy(update={"distillation": config.distillation.model_copy(update={"seed": 1})})

    other = train_item(item_data(), tmp_path, reseeded, folder / "cache")

    assert other.sha256["tokenizer.json"] == bundle.sha256["tokenizer.json"]
    assert other.provenance.teacher_agreement == bundle.provenance.teacher_agreement
    assert other.sha256["student.onnx"] != bundle.sha256["student.onnx"]


def test_dev_text_decides_nothing(tiny_config: TrainingConfig, tmp_path: Path) -> None:
    """Another dev part must give the same student file: tokeniser, stopping and choices see train only."""
    files = []
    for name, data in (("one", item_data(dev=40)), ("other", item_data(dev=8))):
        bundle = train_item(data, tmp_path / name, tiny_config, tmp_path / "cache")
        files.append(Student.load(tmp_path / name / "heat-1" / bundle.version))

    assert files[0].bundle.sha256["tokenizer.json"] == files[1].bundle.sha256["tokenizer.json"]
    texts = ["the air gets warm", "it becomes lighter because cold air takes its place"]
    assert np.array_equal(files[0].logits(texts), files[1].logits(texts))
    assert files[0].bundle.threshold == files[1].bundle.threshold


def test_unlabelled_text_can_be_left_out_of_everything() -> None:
    """Cuts and vocabulary included: what a student without any extra text is compared by."""
    config = TrainingConfig(text=TextConfig(unlabelled=False))

    assert split(item_data(unlabelled=5), TrainingConfig()).unlabelled
    assert split(item_data(unlabelled=5), config).unlabelled == ()
