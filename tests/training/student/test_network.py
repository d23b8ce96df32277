import pytest
import torch

from app.scoring.item import Item
from tests.refusals import refused
from tests.training.example_rows import GRADES, ITEM, LABELS
from training.common.losses import MIN_VARIANCE
from training.config import StudentConfig
from training.errors import OverBudget
from training.student.network import StudentNetwork, parameters


@pytest.mark.parametrize(("item", "columns"), [(ITEM, 4), (LABELS, 4), (GRADES, 2)])
def test_outputs_are_a_column_a_choice_or_mean_and_variance(item: Item, columns: int) -> None:
    network = StudentNetwork(20, item, StudentConfig(embedding=4, hidden=4)).eval()

    assert network(torch.tensor([[2, 5, 6], [2, 3, 0]])).shape == (2, columns)


@pytest.mark.parametrize("item", [ITEM, GRADES])
def test_padding_never_changes_a_response(item: Item) -> None:
    network = StudentNetwork(20, item, StudentConfig(embedding=4, hidden=4)).eval()
    ids = torch.tensor([[2, 5, 6]])

    padded = torch.nn.functional.pad(ids, (0, 7))

    assert torch.allclose(network(ids), network(padded), atol=1e-6)


def test_a_variance_is_above_its_floor() -> None:
    network = StudentNetwork(20, GRADES, StudentConfig(embedding=4, hidden=4)).eval()

    assert (network(torch.randint(1, 20, (50, 6)))[:, 1] > MIN_VARIANCE).all()


def test_a_student_over_the_budget_is_refused() -> None:
    with refused(OverBudget, "over_budget", limit=30_000):
        StudentNetwork(2000, ITEM, StudentConfig(embedding=16))


@pytest.mark.parametrize("item", [ITEM, GRADES])
def test_the_default_student_is_within_the_budget_and_counts_its_embeddings(item: Item) -> None:
    config = StudentConfig()
    network = StudentNetwork(config.vocabulary, item, config)

    assert config.vocabulary * config.embedding < parameters(network) <= 30_000


@pytest.mark.parametrize("item", [ITEM, LABELS, GRADES])
def test_student_of_one_item_gives_the_outputs_of_the_shared_network(item: Item) -> None:
    network = StudentNetwork(20, item, StudentConfig(embedding=4, hidden=4), items=3).eval()
    torch.nn.init.normal_(network.head.bias)
    ids = torch.randint(1, 20, (6, 5))
    numbers = torch.tensor([2, 0, 1, 1, 2, 0])

    together = network(ids, numbers)

    for number in range(3):
        alone = network.alone(number)
        assert torch.allclose(alone(ids)[numbers == number], together[numbers == number], atol=1e-6)
        assert parameters(alone) == parameters(StudentNetwork(20, item, StudentConfig(embedding=4, hidden=4)))


def test_budget_counts_each_student_alone() -> None:
    config = StudentConfig()
    count = parameters(StudentNetwork(config.vocabulary, ITEM, config))

    many = StudentNetwork(config.vocabulary, ITEM, config, items=135)

    assert parameters(many) > 30_000
    assert parameters(many.alone(134)) == count
