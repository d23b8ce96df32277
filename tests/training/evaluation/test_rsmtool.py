"""Figures compared with the numbers of RSMTool 12.0.0 for the same scores.

They are kept here, for RSMTool is nothing that a test should need: rsmtool.utils.prmse, rsmtool.utils.metrics and
rsmtool.fairness_utils.get_fairness_analyses.
"""

from collections.abc import Sequence

import numpy as np
import pytest

from app.scoring.agreement import quadratic_weighted_kappa, standardised_mean_difference
from app.scoring.evidence import difference_of_standardised_means
from training.evaluation.fairness import fairness
from training.evaluation.truescore import prmse

Scores = Sequence[float]
HUMAN = [0, 1, 2, 3, 2, 1, 0, 3, 2, 1, 1, 2, 3, 0, 2, 1]
SECOND = [0, 1, 1, 3, 3, 1, 0, 3, 2, 0, 1, 2, 2, 0, 2, 2]  # rater
WHOLE = [0, 1, 1, 3, 2, 2, 0, 2, 2, 1, 0, 3, 3, 1, 2, 1]
REAL = [0.2, 1.4, 1.1, 2.8, 2.3, 1.6, -0.1, 2.2, 2.0, 0.9, 0.4, 2.7, 3.1, 0.8, 1.9, 1.2]
EVEN, THREE, FEW = "abbaabababbaabba", "aabbccaabbccaabc", "aaaaaaaaaaaaaabb"
BY_SCORE = ["low" if score < 2 else "high" for score in HUMAN]  # determined by the human score


@pytest.mark.parametrize(
    ("machine", "raters", "expected"),
    [
        (WHOLE, (HUMAN, SECOND), 0.6781115879828326),
        (REAL, (HUMAN, SECOND), 0.8512875536480686),
        (HUMAN, (HUMAN, SECOND), 1.0),
        (np.mean([HUMAN, SECOND], axis=0), (HUMAN, SECOND), 1.0804721030042919),  # nearer than rater errors allow
        ([1.5] * 16, (HUMAN, SECOND), 0.0665236051502146),
        ([3 - score for score in WHOLE], (HUMAN, SECOND), -2.6051502145922747),
        (REAL, (HUMAN, HUMAN), 0.7826171875),  # raters without error
        ([1, 2], ([1, 3], [1, 2]), 1.0),
    ],
)
def test_prmse(machine: Scores, raters: tuple[Scores, Scores], expected: float) -> None:
    assert prmse(machine, list(zip(*raters, strict=True))) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("machine", "groups", "expected"),
    [
        (WHOLE, EVEN, (0.21428571428571408, -0.02678571428571419, -0.03282828282828287)),
        (REAL, EVEN, (0.22777987245603015, -0.005993667979795614, 0.038018486335184454)),
        (WHOLE, THREE, (-0.02564102564102555, -0.07692307692307665, -0.1167369901547115)),
        (REAL, THREE, (-0.1285892176206993, 0.05552880548651162, -0.01839950831853887)),
        (WHOLE, FEW, (0.020408163265306034, -0.0714285714285714, -0.101010101010101)),
        (REAL, FEW, (0.019453889544696845, -0.07119552270239837, -0.09596899463250286)),
        (WHOLE, BY_SCORE, (-0.0714285714285714, -0.02678571428571419, 0.0)),
        (REAL, BY_SCORE, (-0.058601785491699365, 0.02445803224013332, 0.0)),
    ],
)
def test_fairness(machine: Scores, groups: Sequence[str], expected: tuple[float, float, float]) -> None:
    """RSMTool's base is the largest group, ours the first by name; the explained variance is the same."""
    figures = fairness(HUMAN, machine, list(groups))

    of_rsmtool = (
        figures.overall_score_accuracy,
        figures.overall_score_difference,
        figures.conditional_score_difference,
    )
    assert of_rsmtool == pytest.approx(expected, abs=1e-12)


def test_fairness_of_many_scores() -> None:
    """Twelve scores, each a category."""
    human = [(7 * n) % 12 for n in range(48)]
    machine = [(7 * n) % 12 + ((n * n) % 5 - 2) / 2 for n in range(48)]

    figures = fairness(human, machine, ["abc"[(n * n + n // 3) % 3] for n in range(48)])

    assert (
        figures.overall_score_accuracy,
        figures.overall_score_difference,
        figures.conditional_score_difference,
    ) == pytest.approx((-0.043396320415643785, -0.042216028254178584, -0.0696981027552952), abs=1e-12)


@pytest.mark.parametrize(
    ("machine", "groups", "group", "expected"),
    [
        (WHOLE, EVEN, "a", 0.12103072956898178),
        (WHOLE, EVEN, "b", -0.12103072956898178),
        (WHOLE, THREE, "a", 0.0),
        (WHOLE, THREE, "b", -0.19364916731037088),
        (REAL, EVEN, "a", 0.1331480205773702),
        (REAL, THREE, "b", -0.26644162968905133),
        (REAL, THREE, "c", 0.2102274106435579),
        (REAL, FEW, "b", 0.01955221154971931),
    ],
)
def test_difference_of_standardised_means(machine: Scores, groups: str, group: str, expected: float) -> None:
    inside = np.array([name == group for name in groups])
    human, given = np.array(HUMAN, float), np.array(machine, float)

    figures = difference_of_standardised_means(human[inside], given[inside], human, given)

    assert figures == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("machine", "expected"), [(WHOLE, 0.8125), (REAL, 0.8755451190875546)])
def test_quadratic_weighted_kappa(machine: Scores, expected: float) -> None:
    assert quadratic_weighted_kappa(HUMAN, machine) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("human", "machine", "expected"),
    [
        (HUMAN, WHOLE, 0.0),
        (HUMAN, REAL, 0.03025768239224545),
        (SECOND, REAL, 0.08573061691110236),
        (REAL, WHOLE, -0.03258701924953231),
    ],
)
def test_standardised_mean_difference(human: Scores, machine: Scores, expected: float) -> None:
    assert standardised_mean_difference(human, machine) == pytest.approx(expected, abs=1e-12)
