import numpy as np
import pytest
import torch

from app.scoring.featurizer import Featurizer
from tests.training.data import marked
from training.config import DistillationConfig, StudentConfig
from training.distill import NO_LABEL, Lesson, distillation_loss, distilled
from training.errors import OverBudget
from training.student import StudentNetwork, parameters
from training.tokenizer import learn_tokenizer

STUDENT = torch.tensor([[2.0, 0.0], [0.0, 1.0]])
TEACHER = torch.tensor([[1.0, -1.0], [3.0, 0.0]])


def cross_entropy(target: list[float], logits: list[float]) -> float:
    """By hand: -Σ target · log softmax(logits)"""
    log_softmax = np.array(logits) - np.log(np.exp(logits).sum())
    return float(-(np.array(target) * log_softmax).sum())


def softmax(logits: list[float]) -> list[float]:
    return list(np.exp(logits) / np.exp(logits).sum())


def test_with_temperature_one_the_loss_is_the_published_one() -> None:
    """Latif et al.: CE(human) + λ · mean CE(teacher's probabilities, student's)."""
    loss = distillation_loss(STUDENT, torch.tensor([0, 1]), TEACHER, soft_weight=0.5, temperature=1.0)

    hard = (cross_entropy([1, 0], [2, 0]) + cross_entropy([0, 1], [0, 1])) / 2
    soft = (cross_entropy(softmax([1, -1]), [2, 0]) + cross_entropy(softmax([3, 0]), [0, 1])) / 2
    assert loss.item() == pytest.approx(hard + 0.5 * soft, abs=1e-6)


def test_the_temperature_softens_teacher_and_student_alike() -> None:
    loss = distillation_loss(STUDENT, torch.tensor([NO_LABEL, NO_LABEL]), TEACHER, soft_weight=1.0, temperature=4.0)

    soft = [
        cross_entropy(softmax([0.25, -0.25]), [0.5, 0]),
        cross_entropy(softmax([0.75, 0]), [0, 0.25]),
    ]
    assert loss.item() == pytest.approx(16 * np.mean(soft), abs=1e-5)


def test_text_without_a_human_score_teaches_by_soft_labels_only() -> None:
    loss = distillation_loss(STUDENT, torch.tensor([0, NO_LABEL]), TEACHER, soft_weight=0.0, temperature=1.0)

    assert loss.item() == pytest.approx(cross_entropy([1, 0], [2, 0]) / 2, abs=1e-6)


def test_a_human_score_weighs_the_same_however_few_there_are_in_a_batch() -> None:
    """Averaged over the scored rows alone, one scored row among 63 others outweighed all of them."""
    many = 63
    student = torch.cat([STUDENT[:1], STUDENT[1:].repeat(many, 1)]).requires_grad_()
    choices = torch.tensor([0] + [NO_LABEL] * many)

    distillation_loss(student, choices, None, soft_weight=0.0, temperature=1.0).backward()  # type: ignore[no-untyped-call]

    alone = STUDENT[:1].clone().requires_grad_()
    torch.nn.functional.cross_entropy(alone, choices[:1]).backward()  # type: ignore[no-untyped-call]
    assert student.grad is not None
    assert alone.grad is not None
    assert torch.allclose(student.grad[0] * (many + 1), alone.grad[0])


def test_a_lesson_whose_rows_do_not_match_is_refused() -> None:
    with pytest.raises(ValueError, match="differ in number"):
        Lesson(["a", "b"], np.zeros(2, np.int64), np.zeros((3, 4), np.float32))


def a_student(lesson: Lesson, seed: int = 0, **settings: float) -> tuple[StudentNetwork, Featurizer]:
    featurizer = Featurizer.from_bytes(learn_tokenizer(lesson.texts, 60), 48)
    config = DistillationConfig.model_validate({"epochs": 12, "learning_rate": 1e-2, "batch_size": 16} | settings)
    student = StudentConfig(vocabulary=60, embedding=8, hidden=8, max_tokens=48)
    return distilled(lesson, featurizer, 4, student, config, seed, "test"), featurizer


def test_each_text_learns_from_its_own_teacher_row_however_rows_are_shuffled() -> None:
    """The released notebook read teacher rows in file order beside shuffled samples.

    Here the teacher contradicts the human scores of every text, and the student must follow it text by text.
    """
    rows = marked(80)
    wanted = np.array([3 - row.choice for row in rows])
    soft = np.eye(4, dtype=np.float32)[wanted] * 12 - 6
    lesson = Lesson([row.text for row in rows], np.full(80, NO_LABEL), soft)

    network, featurizer = a_student(lesson, epochs=30)

    ids = torch.from_numpy(featurizer.ids(list(lesson.texts)))
    assert (network(ids).argmax(1).numpy() == wanted).mean() > 0.7  # by chance: .25


def test_the_same_seed_gives_the_same_student() -> None:
    rows = marked(40)
    lesson = Lesson([row.text for row in rows], np.array([row.choice for row in rows]), None)

    one, other, third = (a_student(lesson, seed=seed)[0].head.weight for seed in (0, 0, 1))

    assert torch.equal(one, other)
    assert not torch.equal(one, third)


def test_the_temperature_reaches_the_student() -> None:
    """The released notebook passed one and never used it."""
    rows = marked(40)
    soft = np.eye(4, dtype=np.float32)[[row.choice for row in rows]] * 3
    lesson = Lesson([row.text for row in rows], np.full(40, NO_LABEL), soft)

    cool, warm = (a_student(lesson, temperature=t)[0].head.weight for t in (1.0, 5.0))

    assert not torch.allclose(cool, warm)


def test_padding_never_changes_a_response() -> None:
    network = StudentNetwork(20, 3, StudentConfig(embedding=4, hidden=4)).eval()
    ids = torch.tensor([[2, 5, 6]])

    padded = torch.nn.functional.pad(ids, (0, 7))

    assert torch.allclose(network(ids), network(padded), atol=1e-6)


def test_a_student_over_the_budget_is_refused() -> None:
    with pytest.raises(OverBudget, match="over the budget of 30000"):
        StudentNetwork(2000, 4, StudentConfig(embedding=16))


def test_the_default_student_is_within_the_budget_and_counts_its_embeddings() -> None:
    config = StudentConfig()
    network = StudentNetwork(config.vocabulary, 4, config)

    assert config.vocabulary * config.embedding < parameters(network) <= 30_000
