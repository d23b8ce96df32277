import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy as torch_cross_entropy

from tests.training.example_rows import GRADES, ITEM, LABELS
from training.common.losses import MIN_VARIANCE, OutputLayer, human_loss, soft_loss
from training.data.targets import NO_LABEL, targets

STUDENT = torch.tensor([[2.0, 0.0], [0.0, 1.0]])
TEACHER = torch.tensor([[1.0, -1.0], [3.0, 0.0]])
GRADED = torch.tensor([[0.5, 0.04], [0.2, 0.01]])  # mean and variance


def cross_entropy(target: list[float], logits: list[float]) -> float:
    """Compute -Σ target · log softmax(logits) by hand."""
    log_softmax = np.array(logits) - np.log(np.exp(logits).sum())
    return float(-(np.array(target) * log_softmax).sum())


def softmax(logits: list[float]) -> list[float]:
    return list(np.exp(logits) / np.exp(logits).sum())


def gradient(loss: Tensor, of: Tensor) -> Tensor:
    return torch.autograd.grad(loss, of)[0]


def test_scores_and_labels_are_targets_as_they_are_and_grades_as_shares() -> None:
    assert targets(ITEM, [0, 3]).tolist() == [0, 3]
    assert targets(LABELS, [2]).tolist() == [2]
    assert targets(GRADES, [1, 3.5, 6]).tolist() == [0, 0.5, 1]


def test_with_temperature_one_the_loss_is_the_published_one() -> None:
    """Latif et al.: CE(human) + λ · mean CE(teacher's probabilities, student's)."""
    human = human_loss(STUDENT, torch.tensor([0.0, 1.0]), continuous=False)
    soft = soft_loss(STUDENT, TEACHER, 1.0, continuous=False)

    assert human.item() == pytest.approx((cross_entropy([1, 0], [2, 0]) + cross_entropy([0, 1], [0, 1])) / 2, abs=1e-6)
    by_hand = (cross_entropy(softmax([1, -1]), [2, 0]) + cross_entropy(softmax([3, 0]), [0, 1])) / 2
    assert soft.item() == pytest.approx(by_hand, abs=1e-6)


def test_the_temperature_softens_teacher_and_student_alike() -> None:
    loss = soft_loss(STUDENT, TEACHER, 4.0, continuous=False)

    soft = [
        cross_entropy(softmax([0.25, -0.25]), [0.5, 0]),
        cross_entropy(softmax([0.75, 0]), [0, 0.25]),
    ]
    assert loss.item() == pytest.approx(16 * np.mean(soft), abs=1e-5)


def test_a_human_grade_is_met_by_its_square_and_by_the_normal_likelihood() -> None:
    loss = human_loss(GRADED, torch.tensor([0.7, 0.2]), continuous=True)

    first = 0.2**2 + 0.5 * (np.log(0.04) + 0.2**2 / 0.04)
    second = 0.5 * np.log(0.01)
    assert loss.item() == pytest.approx((first + second) / 2, abs=1e-5)


def test_a_teachers_grade_brings_its_own_variance() -> None:
    loss = soft_loss(GRADED[:1], torch.tensor([[0.7, 0.03]]), 1.0, continuous=True)

    assert loss.item() == pytest.approx(0.2**2 + 0.5 * (np.log(0.04) + (0.03 + 0.2**2) / 0.04), abs=1e-5)


def test_loss_is_smallest_at_the_grade_of_the_teacher() -> None:
    teacher = torch.tensor([[0.6, 0.02]])
    least = soft_loss(teacher, teacher, 1.0, continuous=True)

    generator = torch.Generator().manual_seed(0)
    for _ in range(100):
        other = teacher + (torch.rand(1, 2, generator=generator) - 0.5) * torch.tensor([[0.4, 0.038]])
        assert soft_loss(other, teacher, 1.0, continuous=True) > least
    student = teacher.clone().requires_grad_()
    assert gradient(soft_loss(student, teacher, 1.0, continuous=True), student).abs().max() < 1e-5


@pytest.mark.parametrize("continuous", [False, True])
def test_text_without_a_human_score_adds_nothing(continuous: bool) -> None:
    outputs = (GRADED if continuous else STUDENT).clone().requires_grad_()

    some = human_loss(outputs, torch.tensor([0.0, NO_LABEL]), continuous)

    alone = human_loss(outputs[:1], torch.tensor([0.0]), continuous)
    assert some.item() == pytest.approx(alone.item() / 2, abs=1e-6)
    assert gradient(some, outputs)[1].tolist() == [0, 0]


@pytest.mark.parametrize("continuous", [False, True])
def test_a_batch_without_human_scores_costs_nothing_and_can_be_learnt_from(continuous: bool) -> None:
    outputs = (GRADED if continuous else STUDENT).clone().requires_grad_()

    loss = human_loss(outputs, torch.tensor([NO_LABEL, NO_LABEL]), continuous)

    assert loss.item() == 0
    assert gradient(loss, outputs).tolist() == [[0, 0], [0, 0]]


@pytest.mark.parametrize("continuous", [False, True])
def test_weight_of_a_human_score_does_not_depend_on_its_batch(continuous: bool) -> None:
    """A mean over scored rows alone would let one scored row outweigh 63 other rows."""
    many = 63
    rows = GRADED if continuous else STUDENT
    outputs = torch.cat([rows[:1], rows[1:].repeat(many, 1)]).requires_grad_()
    alone = rows[:1].clone().requires_grad_()

    gradients = gradient(human_loss(outputs, torch.tensor([1.0] + [NO_LABEL] * many), continuous), outputs)

    wanted = gradient(human_loss(alone, torch.tensor([1.0]), continuous), alone)
    assert torch.allclose(gradients[0] * (many + 1), wanted[0])
    assert wanted.abs().max() > 0.1


def test_loss_of_labels_is_the_cross_entropy_of_torch() -> None:
    loss = human_loss(STUDENT, torch.tensor([1.0, 1.0]), continuous=False)

    assert loss.item() == pytest.approx(torch_cross_entropy(STUDENT, torch.tensor([1, 1])).item())


def a_layer() -> tuple[OutputLayer, Tensor, Tensor]:
    torch.manual_seed(0)
    layer = OutputLayer(5, 2, continuous=True)
    return layer, torch.randn(8, 5, requires_grad=True), torch.rand(8)


@pytest.mark.parametrize("loss", ["human", "soft"])
def test_variance_does_not_change_gradients_of_the_mean(loss: str) -> None:
    """Stirn et al. 2023: the mean and the features get the gradient of the squared error alone."""
    layer, features, target = a_layer()
    outputs = layer(features)
    teacher = torch.stack([target, torch.full((8,), 0.02)], dim=1)

    if loss == "human":
        faithful = human_loss(outputs, target, continuous=True)
    else:
        faithful = soft_loss(outputs, teacher, 1.0, continuous=True)

    squared = ((outputs[:, 0] - target) ** 2).mean()
    inputs = [features, layer.weight, layer.bias]
    gradients = torch.autograd.grad(faithful, inputs, retain_graph=True)
    plain = torch.autograd.grad(squared, inputs)
    assert torch.allclose(gradients[0], plain[0], atol=1e-7)
    assert torch.allclose(gradients[1][0], plain[1][0], atol=1e-7)
    assert torch.allclose(gradients[2][0], plain[2][0], atol=1e-7)
    assert gradients[1][1].abs().max() > 1e-3  # and the variance does learn
    assert plain[1][1].abs().max() == 0


def test_variance_is_never_zero() -> None:
    layer, features, _ = a_layer()
    with torch.no_grad():
        layer.bias[1] = -1e4

    variance = layer(features)[:, 1]

    assert variance.tolist() == pytest.approx([MIN_VARIANCE] * 8)


def test_logits_come_from_a_linear_layer() -> None:
    torch.manual_seed(0)
    layer, features = OutputLayer(5, 4, continuous=False), torch.randn(3, 5)

    assert torch.equal(layer(features), features @ layer.weight.T + layer.bias)
