from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from app.scoring.decoding import Outputs
from app.scoring.item import Item
from tests.refusals import refused
from tests.training.example_rows import GRADES, ITEM, item_data
from tests.training.teaching import a_teacher
from training.config import DistillationConfig, TextConfig, TrainingConfig
from training.data.splits import split
from training.data.targets import targets
from training.errors import TrainingError
from training.student.training_set import TrainingSet, join, make_training_set, texts_for
from training.teacher.ensemble import FineTuned


def rows(count: int, columns: int = 4) -> NDArray[np.float32]:
    return np.zeros((count, columns), np.float32)


@pytest.mark.parametrize(
    ("texts", "scores", "teacher"),
    [(2, 2, 3), (2, 2, 1), (2, 3, 2), (2, 1, None), (3, 2, 2), (1, 2, 3), (0, 0, 1)],
)
def test_training_set_with_unequal_rows_is_refused(texts: int, scores: int, teacher: int | None) -> None:
    with refused(TrainingError, "lesson_rows_differ"):
        TrainingSet(("a", "b", "c")[:texts], np.zeros(scores), None if teacher is None else rows(teacher))


@pytest.mark.parametrize("item", [ITEM, GRADES])
@pytest.mark.parametrize("context", ["", "Why does heat rise? the air gets warm"])
def test_every_text_has_its_own_teacher_output_and_human_score(
    tiny_config: TrainingConfig, tmp_path: Path, item: Item, context: str
) -> None:
    """Cross the borders of chunks: 7 divides neither the number of marked texts nor that of all texts."""
    parts = split(item_data(train=60, dev=0, unlabelled=11, item=item), tiny_config)
    texts = texts_for(parts, tiny_config)
    teacher = a_teacher(tiny_config, tmp_path, rows=40, item=item, context=context)

    training_set = make_training_set(parts, texts, teacher, context, tmp_path, 7)

    assert training_set.texts == (*texts.marked, *texts.unlabelled, *texts.augmented)
    assert training_set.teacher is not None
    assert len(training_set.texts) % 7
    one_by_one = np.concatenate([teacher.outputs([text], context) for text in training_set.texts])
    assert np.abs(training_set.teacher - one_by_one).max() < 1e-5
    assert len(np.unique(one_by_one.round(3), axis=0)) > 40  # the rows do differ, so that a wrong one would show
    scores = dict(zip([row.text for row in parts.fit], targets(item, [row.value for row in parts.fit]), strict=True))
    known = ~np.isnan(training_set.targets)
    assert known.tolist() == [number < len(parts.fit) for number in range(len(training_set.texts))]
    assert training_set.targets[known].tolist() == [scores[text] for text in training_set.texts[: len(parts.fit)]]


def test_teacher_labels_only_new_unlabelled_text(
    tiny_config: TrainingConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = split(item_data(train=40, dev=0, unlabelled=5), tiny_config)
    teacher = a_teacher(tiny_config, tmp_path, rows=40)
    before = make_training_set(parts, texts_for(parts, tiny_config), teacher, "", tmp_path)
    asked: list[str] = []
    answer = FineTuned.outputs

    def outputs(self: FineTuned, texts: Sequence[str], context: str = "") -> Outputs:
        asked.extend(texts)
        return answer(self, texts, context)

    monkeypatch.setattr(FineTuned, "outputs", outputs)
    more = replace(parts, unlabelled=(*parts.unlabelled, "as warm air is lighter"))

    after = make_training_set(more, texts_for(more, tiny_config), teacher, "", tmp_path)

    assert asked == list(more.unlabelled)
    assert before.teacher is not None
    assert after.teacher is not None
    assert len(after.teacher) == len(before.teacher) + 1


def test_training_set_without_some_rows_keeps_the_other_rows_in_step() -> None:
    soft = np.arange(16, dtype=np.float32).reshape(4, 4)
    training_set = TrainingSet(("a", "b", "c", "d"), np.array([0, 1, 2, np.nan]), soft)

    less = training_set.without({0, 2, 9})

    assert less.texts == ("b", "d")
    assert np.array_equal(less.targets, [1, np.nan], equal_nan=True)
    assert less.teacher is not None
    assert less.teacher.tolist() == soft[[1, 3]].tolist()
    assert less.key != training_set.key == training_set.without(set()).key
    assert TrainingSet(("a", "b"), np.array([0.0, 1.0]), None).without({0}).teacher is None


def test_key_of_a_training_set_follows_all_its_content() -> None:
    training_set = TrainingSet(("a", "b"), np.array([0, np.nan]), rows(2))
    changed = rows(2)
    changed[1, 3] = 1e-3
    variants = [
        TrainingSet(("b", "a"), training_set.targets, training_set.teacher),
        TrainingSet(("ab", ""), training_set.targets, training_set.teacher),
        TrainingSet(training_set.texts, np.array([1, np.nan]), training_set.teacher),
        TrainingSet(training_set.texts, np.array([0, 0.0]), training_set.teacher),
        TrainingSet(training_set.texts, training_set.targets, changed),
        TrainingSet(training_set.texts, training_set.targets, None),
    ]

    assert TrainingSet(("a", "b"), np.array([0, np.nan]), rows(2)).key == training_set.key
    assert len({training_set.key, *(variant.key for variant in variants)}) == 1 + len(variants)


def a_config(**text: int) -> TrainingConfig:
    return TrainingConfig(text=TextConfig.model_validate(text))


@pytest.mark.parametrize(("per_response", "augmented"), [(2, 72), (0, 0)])
def test_each_response_gives_the_configured_number_of_augmented_texts(per_response: int, augmented: int) -> None:
    parts = split(item_data(train=40, dev=8, unlabelled=5), a_config())

    texts = texts_for(parts, a_config(augmented_per_response=per_response))

    assert len(parts.fit) == 36
    assert texts.marked == tuple(row.text for row in parts.fit)
    assert texts.unlabelled == parts.unlabelled
    assert len(texts.augmented) == len(texts.sources) == augmented


def test_augmented_text_holds_only_words_of_its_sources() -> None:
    parts = split(item_data(train=40, dev=8, unlabelled=5), a_config())

    texts = texts_for(parts, a_config())

    for text, sources in zip(texts.augmented, texts.sources, strict=True):
        assert set(text.split()) <= {word for number in sources for word in texts.marked[number].split()}
    assert {len(sources) for sources in texts.sources} == {1, 2}


def test_tokenizer_learns_only_text_of_learners() -> None:
    parts = split(item_data(train=40, dev=8, unlabelled=5), a_config())

    texts = texts_for(parts, a_config())

    assert texts.written == (*texts.marked, *texts.unlabelled)
    assert texts.augmented
    assert not {row.text for row in (*parts.validation, *parts.dev)} & set(texts.all)


def test_without_a_teacher_only_marked_text_is_read(tmp_path: Path) -> None:
    config = TrainingConfig(distillation=DistillationConfig(soft_weight=0))
    parts = split(item_data(train=40, unlabelled=5), config)
    texts = texts_for(parts, config)

    training_set = make_training_set(parts, texts, None, "", tmp_path)

    assert (texts.unlabelled, texts.augmented) == ((), ())
    assert training_set.texts == tuple(row.text for row in parts.fit)
    assert training_set.teacher is None
    assert training_set.targets.tolist() == [row.value for row in parts.fit]


def test_joined_rows_stay_in_step_and_keep_their_number() -> None:
    soft = np.arange(12, dtype=np.float32).reshape(3, 4)
    first, second = (
        TrainingSet(("a", "b"), np.array([0, np.nan]), soft[:2]),
        TrainingSet(("c",), np.array([2.0]), soft[2:]),
    )

    training_set, numbers = join([first, TrainingSet((), np.zeros(0), rows(0)), second])

    assert training_set.texts == ("a", "b", "c")
    assert training_set.targets[[0, 2]].tolist() == [0, 2]
    assert training_set.teacher is not None
    assert (training_set.teacher == soft).all()
    assert numbers.tolist() == [0, 0, 2]


def test_training_sets_with_and_without_a_teacher_are_not_joined() -> None:
    with refused(TrainingError, "some_untaught"):
        join([TrainingSet(("a",), np.zeros(1), rows(1)), TrainingSet(("b",), np.zeros(1), None)])
