"""Out-of-fold outputs: no student scores a response whose words it has read in marked text.

Every response here has words that no other has, so that each word of an augmented text names its response.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from app.scoring.item import Item
from tests.training.example_rows import GRADES, ITEM, LABELS, item_data, some_items
from training.config import DistillationConfig, StudentConfig, TextConfig, TrainingConfig
from training.data import ItemData
from training.data.item_groups import Group, groups
from training.data.responses import MarkedResponse
from training.data.splits import Parts
from training.data.targets import targets
from training.pipeline.group_run import GroupRun, ItemRun
from training.pipeline.out_of_fold import out_of_fold, outputs_of_folds, touched
from training.pipeline.prepare import prepare, train_teacher
from training.student.build import make_students
from training.student.tokenizer import learn_tokenizer
from training.student.training_set import Texts, TrainingSet, texts_for

ALONE = TrainingConfig(
    validation_share=0.3,
    distillation=DistillationConfig(soft_weight=0, epochs=2, min_steps=20, batch_size=32),
    student=StudentConfig(vocabulary=200, embedding=8, hidden=8, max_tokens=48),
)


def own_words(number: int) -> str:
    return " ".join(f"w{number}x{place}" for place in range(6))


def owner(word: str) -> int:
    """Return the number of the response that a word belongs to, or -1 for unlabelled text."""
    return int(word[1:].partition("x")[0]) if word.startswith("w") else -1


def a_response(number: int, text: str | None = None, learner: str | None = None) -> MarkedResponse:
    return MarkedResponse(f"r{number}", "heat-1", text or own_words(number), number % 4, None, learner, ())


def some_parts(rows: int, item: Item = ITEM) -> Parts:
    """Return parts where every fifth learner wrote two responses, and every seventh response equals the one before."""
    fit = [a_response(number, learner=f"n{number - number % 5 // 4}") for number in range(rows)]
    for number in range(7, rows, 7):
        fit[number] = replace(fit[number], text=fit[number - 1].text.upper() + " ", learner_id=None)
    return Parts(item, tuple(fit), (), (), ("u1 u2 u3", "u4 u5"))


@dataclass
class Scored:
    learnt: TrainingSet
    asked: list[str]


class Watched:
    """A replacement of `make_students` that records training sets and the texts that their students score.

    Its students give a response the place of the call and their own number.
    """

    def __init__(self) -> None:
        self.students: list[Scored] = []

    def __call__(self, _: Sequence[Item], training_sets: Sequence[TrainingSet], *__: object) -> "list[Watched]":
        self.students += [Scored(training_set, []) for training_set in training_sets]
        return [self]

    def network(self, *_: object) -> "Watched":
        return self

    def outputs(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.students[-1].asked += texts
        rows = [[owner(text.split()[0].lower()), len(self.students), 0, 0] for text in texts]
        return np.array(rows, np.float32)


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watched:
    replacement = Watched()
    monkeypatch.setattr("training.pipeline.out_of_fold.make_students", replacement)
    return replacement


def a_training_set(parts: Parts, texts: Texts) -> TrainingSet:
    """Return a training set with teacher outputs i for text i, so that each row can be recognised."""
    soft = np.repeat(np.arange(len(texts.all), dtype=np.float32)[:, None], 4, axis=1)
    known = np.full(len(texts.all), np.nan)
    known[: len(parts.fit)] = targets(parts.item, [row.value for row in parts.fit])
    return TrainingSet(texts.all, known, soft)


def a_run(parts: Parts, texts: Texts, config: TrainingConfig, cache: Path, tokenizer: bytes = b"") -> GroupRun:
    data = ItemData(parts.item, parts.fit, (), ())
    return GroupRun(Group((data,)), config, cache, (ItemRun(data, parts, texts),), tokenizer)


def run_folds(parts: Parts, config: TrainingConfig) -> tuple[NDArray[Any], Texts, TrainingSet]:
    texts = texts_for(parts, config)
    training_set = a_training_set(parts, texts)
    run = a_run(parts, texts, config, Path("/nowhere"))
    outputs = outputs_of_folds(run, run.items[0], training_set)
    assert outputs is not None
    return outputs, texts, training_set


@pytest.mark.parametrize("rows", [3, 20, 61])
@pytest.mark.parametrize("count", [2, 3, 7])
@pytest.mark.parametrize("seed", [0, 1])
def test_no_word_of_a_response_reaches_the_student_that_scores_it(
    watched: Watched, rows: int, count: int, seed: int
) -> None:
    config = TrainingConfig(seed=seed, calibration_folds=count, text=TextConfig(augmented_per_response=6))

    run_folds(some_parts(rows), config)

    for student in watched.students:
        asked = {word.lower() for text in student.asked for word in text.split()}
        learnt = {word.lower() for text in student.learnt.texts for word in text.split()}
        assert asked
        assert not asked & learnt
    assert Counter(text for student in watched.students for text in student.asked) == Counter(
        row.text for row in some_parts(rows).fit
    )


def test_all_other_texts_are_learnt_with_their_own_score_and_teacher_output(watched: Watched) -> None:
    parts = some_parts(40)

    _, texts, training_set = run_folds(parts, TrainingConfig(calibration_folds=3))

    spliced = [
        text for text, text_sources in zip(texts.augmented, texts.sources, strict=True) if len(text_sources) == 2
    ]
    assert spliced
    for student in watched.students:
        asked = {word.lower() for text in student.asked for word in text.split()}
        words = [{word.lower() for word in text.split()} for text in training_set.texts]
        kept = [row for row, of_row in enumerate(words) if not asked & of_row]
        assert student.learnt.texts == tuple(training_set.texts[row] for row in kept)
        assert np.array_equal(student.learnt.targets, training_set.targets[kept], equal_nan=True)
        assert student.learnt.teacher is not None
        assert student.learnt.teacher[:, 0].tolist() == kept
        assert {"u1 u2 u3", "u4 u5"} <= set(student.learnt.texts)
        assert set(student.learnt.texts) & set(texts.augmented)


@pytest.mark.usefixtures("watched")
def test_the_responses_of_a_learner_and_equal_texts_are_scored_by_one_student() -> None:
    parts = some_parts(60)

    outputs, _, _ = run_folds(parts, TrainingConfig(calibration_folds=4))

    of_student: dict[str, set[float]] = {}
    for row, student in zip(parts.fit, outputs[:, 1], strict=True):
        of_student.setdefault(row.text.lower().strip(), set()).add(float(student))
        if row.learner_id:
            of_student.setdefault(row.learner_id, set()).add(float(student))
    assert {len(students) for students in of_student.values()} == {1}
    assert len(of_student) < 2 * len(parts.fit) - 10  # there were learners with two responses, and twins
    assert set(outputs[:, 1]) == {1, 2, 3, 4}


@pytest.mark.usefixtures("watched")
def test_every_response_has_its_own_output() -> None:
    parts = some_parts(40)

    outputs, _, _ = run_folds(parts, TrainingConfig(calibration_folds=3))

    assert outputs.shape == (40, 4)
    assert outputs[:, 0].tolist() == [owner(row.text.split()[0].lower()) for row in parts.fit]


def test_empty_folds_train_no_student(watched: Watched) -> None:
    run_folds(some_parts(4), TrainingConfig(calibration_folds=10))

    assert [len(student.asked) for student in watched.students] == [1, 1, 1, 1]


def test_augmented_text_is_touched_by_any_of_its_sources() -> None:
    texts = Texts(("a", "b", "c"), ("u",), ("a a", "b c", "c"), (frozenset({0}), frozenset({1, 2}), frozenset({2})))

    assert touched({1}, texts) == {1, 5}
    assert touched({2}, texts) == {2, 5, 6}
    assert touched({0, 1}, texts) == {0, 1, 4, 5}
    assert touched(set(), texts) == set()


def test_equal_unlabelled_text_is_touched_regardless_of_case_and_spacing() -> None:
    texts = Texts(("Warm  air", "b"), ("warm air", "c", "B "), (), ())

    assert touched({0}, texts) == {0, 2}
    assert touched({1}, texts) == {1, 4}


@pytest.mark.torch
@pytest.mark.parametrize("item", [ITEM, GRADES, LABELS])
def test_each_output_comes_from_a_student_of_the_other_folds(tmp_path: Path, item: Item) -> None:
    parts = Parts(item, item_data(24, 0, 0, item).train, (), (), ())
    texts = texts_for(parts, ALONE)
    tokenizer = learn_tokenizer(texts.written, ALONE.student.vocabulary)
    run = a_run(parts, texts, ALONE, tmp_path, tokenizer)

    outputs = out_of_fold(run)

    assert outputs is not None
    [whole] = make_students([item], run.training_sets, tokenizer, ALONE, tmp_path)
    assert len([path for path in (tmp_path / "students").iterdir() if not path.suffix]) == 4
    network = whole.network(item, ALONE.student.max_tokens)
    inside = network.outputs(texts.marked)
    assert outputs.shape == inside.shape == (24, 2 if item.is_continuous else 4)
    assert (np.abs(outputs - inside).max(axis=1) > 1e-4).all()


@pytest.mark.torch
def test_items_that_share_a_teacher_have_no_out_of_fold_outputs(tmp_path: Path) -> None:
    alone, shared = ALONE.model_copy(update={"calibration_folds": 2}), some_items()
    [single] = groups(shared[:1], 1)
    [all_] = groups(shared, 300)

    assert out_of_fold(train_teacher(prepare(all_, alone, tmp_path))) is None
    run = train_teacher(prepare(single, alone, tmp_path))
    outputs = out_of_fold(run)
    assert outputs is not None
    assert len(outputs) == len(run.parts[0].fit)
    for count in (0, 1):
        fewer = replace(run, config=alone.model_copy(update={"calibration_folds": count}))
        assert out_of_fold(fewer) is None
