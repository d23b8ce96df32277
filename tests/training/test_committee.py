from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from app.scoring.decoding import softmax
from tests.training.conftest import shared, tiny_settings
from tests.training.data import GRADES, LABELS, item_data, marked, other_dev, some_items
from training.committee import FIRST_SEED, Committee, encoders_of, linear_voice
from training.config import TrainingConfig
from training.datasets import ItemData
from training.groups import Group
from training.linear import Linear
from training.splits import split
from training.teach import Taught, lessons_of, students_of, teach
from training.teacher import FineTuned

TEXTS = [row.text for row in marked(70, seed=6)]


def two_encoders(encoder: Path) -> TrainingConfig:
    tiny = tiny_settings(encoder)
    return tiny.model_copy(update={"teacher": tiny.teacher.model_copy(update={"members": 2, "max_epochs": 1})})


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory, tiny_encoder: Path) -> Taught:
    return teach(Group((item_data(60, 20, 8),)), two_encoders(tiny_encoder), tmp_path_factory.mktemp("cache"))


def committee_of(taught: Taught) -> Committee:
    assert isinstance(taught.teacher, Committee)
    return taught.teacher


def test_each_network_and_the_linear_model_have_one_vote(taught: Taught) -> None:
    teacher = committee_of(taught)
    linear, student = teacher.others
    each = [softmax(member.outputs(TEXTS)) for member in alone(teacher.encoders)]
    each += [softmax(linear.outputs(TEXTS)), softmax(student.outputs(TEXTS))]

    assert np.abs(softmax(teacher.outputs(TEXTS)) - np.mean(each, axis=0)).max() < 1e-6
    assert len({np.round(own, 3).tobytes() for own in each}) == 4  # none says what another does


def alone(encoders: FineTuned) -> list[FineTuned]:
    return [replace(encoders, members=(member,)) for member in encoders.members]


def test_its_rows_are_in_the_texts_order(taught: Taught) -> None:
    teacher = committee_of(taught)

    one_by_one = np.concatenate([teacher.outputs([text]) for text in TEXTS[:9]])

    assert np.abs(teacher.outputs(TEXTS[:9]) - one_by_one).max() < 1e-5


def test_what_the_encoders_said_is_kept(taught: Taught, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes longest, and is asked for twice: for the first student and for those after it."""
    teacher = committee_of(taught)
    [texts] = taught.texts
    before = replace(teacher, others=teacher.others[:1])
    monkeypatch.setattr(FineTuned, "outputs", lambda *_: pytest.fail("asked again"))

    assert teacher.outputs(texts.all).shape == before.outputs(texts.all).shape == (len(texts.all), 4)


def test_the_linear_model_is_fitted_to_what_the_encoders_were(
    tiny_config: TrainingConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    fit = Linear._fit

    def watched(self: Linear, texts: list[str], *others: object) -> None:
        seen.extend(texts)
        fit(self, texts, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(Linear, "_fit", watched)
    parts = split(other_dev(item_data(60, 20, 8)), tiny_config)

    linear_voice(parts)

    assert seen == [row.text for row in parts.fit]
    assert parts.validation
    assert parts.dev


def test_the_first_student_is_none_of_those_that_serve(taught: Taught, tmp_path: Path, tiny_encoder: Path) -> None:
    config = two_encoders(tiny_encoder)
    same_seed = config.model_copy(update={"distillation": config.distillation.model_copy(update={"seed": FIRST_SEED})})
    first = committee_of(taught).others[1]
    for own in (config, same_seed):
        [served] = students_of(taught, own, tmp_path)
        network = served.network(taught.items[0], config.student.max_tokens)
        assert np.abs(network.outputs(TEXTS) - first.outputs(TEXTS)).max() > 1e-3


def test_another_seed_of_the_students_has_the_same_teacher(taught: Taught, tiny_encoder: Path) -> None:
    config = two_encoders(tiny_encoder)
    seeded = config.model_copy(update={"distillation": config.distillation.model_copy(update={"seed": 2})})

    again = teach(taught.group, seeded, committee_of(taught).cache)

    assert committee_of(again).key == committee_of(taught).key


def test_who_speaks_decides_its_key(taught: Taught) -> None:
    teacher = committee_of(taught)
    linear, student = teacher.others

    keys = {replace(teacher, others=others).key for others in ((), (linear,), (student,), (linear, student))}

    assert len(keys | {teacher.encoders.key}) == 5


def test_students_learn_what_it_says(taught: Taught) -> None:
    teacher = committee_of(taught)

    [lesson] = lessons_of(taught, teacher.cache)

    assert lesson.teacher is not None
    assert np.abs(lesson.teacher - teacher.outputs(lesson.texts)).max() < 1e-5


@pytest.mark.parametrize(
    "items", [(item_data(item=GRADES),), tuple(some_items(LABELS))], ids=["grades", "items that share it"]
)
def test_encoders_teach_by_themselves(items: tuple[ItemData, ...], tiny_config: TrainingConfig, tmp_path: Path) -> None:
    taught = teach(Group(items), shared(tiny_config), tmp_path)

    assert isinstance(taught.teacher, FineTuned)
    assert encoders_of(taught.teacher) is taught.teacher
