import numpy as np
import pytest

from app.scoring.agreement import none_if_nan
from app.scoring.evidence import (
    LEAST_RESPONSES,
    AttackFigures,
    Evidence,
    GroupFigures,
    Recall,
    by_group,
    difference_of_standardised_means,
    expected_calibration_error,
    recalls,
    reliability,
    sd_ratio,
)

NAN = float("nan")


def a_group(n: int, dsm: float | None) -> GroupFigures:
    return GroupFigures(n=n, dsm=dsm, mean_difference=0, agreement=None)


def an_attack(n: int, accepted: float, *, junk: bool = True) -> AttackFigures:
    return AttackFigures(n=n, accepted=accepted, unguarded=1.0, junk=junk)


def test_calibration_error_weights_bins_by_their_responses() -> None:
    confidence = [0.91, 0.93, 0.95, 0.62, 0.68]  # 3 in the last bin, 2 in the seventh
    correct = [True, True, False, False, True]

    # |.93 - 2/3| · 3/5 + |.65 - 1/2| · 2/5
    assert expected_calibration_error(confidence, correct) == pytest.approx(0.158 + 0.06)


def test_gaps_cancel_out_within_a_bin_only() -> None:
    assert expected_calibration_error([0.5, 0.5], [True, False]) == pytest.approx(0)
    assert expected_calibration_error([0.45, 0.55], [True, False]) == pytest.approx(0.55)


@pytest.mark.parametrize(("confidence", "correct"), [([1.0, 1.0], [1, 1]), ([0.0, 0.0], [0, 0])])
def test_calibration_error_of_certain_and_correct_scores_is_zero(confidence: list[float], correct: list[int]) -> None:
    assert expected_calibration_error(confidence, correct) == 0


def test_calibration_curve_has_a_point_for_each_bin_with_responses() -> None:
    curve = reliability([0.05, 1.0, 0.95, 0.33], [0, 1, 0, 1])

    assert [n for _, _, n in curve] == [1, 1, 2]  # a confidence of 1 is in the last bin
    assert np.array([point[:2] for point in curve]) == pytest.approx(np.array([(0.05, 0), (0.33, 1), (0.975, 0.5)]))


def test_calibration_error_measures_overconfidence() -> None:
    generator = np.random.default_rng(0)
    p = generator.uniform(0.2, 0.8, 20_000)
    correct = generator.random(20_000) < p

    assert expected_calibration_error(p, correct) < 0.02
    assert expected_calibration_error(p + 0.15, correct) == pytest.approx(0.15, abs=0.02)


def test_dsm_is_in_deviations_of_all_scores() -> None:
    human, machine = [0, 1, 2, 3], [0, 0, 2, 2]  # mean 1.5 and 1; deviation 1.291 and 1.155

    # (1 - 1) / 1.155 - (2 - 1.5) / 1.291
    dsm = difference_of_standardised_means([1, 3], [0, 2], human, machine)

    assert dsm == pytest.approx(-0.5 / np.std(human, ddof=1))


def test_dsm_of_an_equally_strict_scorer_is_zero() -> None:
    human = np.array([0, 1, 2, 3, 1, 2])

    assert difference_of_standardised_means(human[:2], human[:2] - 1, human, human - 1) == pytest.approx(0)
    assert difference_of_standardised_means(human, human - 1, human, human - 1) == pytest.approx(0)


def test_dsm_of_a_favoured_group_is_positive() -> None:
    human, machine = [1, 2, 1, 2], [2, 3, 0, 1]

    assert difference_of_standardised_means([1, 2], [2, 3], human, machine) > 0.5
    assert difference_of_standardised_means([1, 2], [0, 1], human, machine) < -0.5


@pytest.mark.parametrize(("human", "machine"), [([1, 1], [0, 1]), ([0, 1], [1, 1]), ([1], [1])])
def test_dsm_of_equal_scores_is_undefined(human: list[float], machine: list[float]) -> None:
    assert np.isnan(difference_of_standardised_means(human[:1], machine[:1], human, machine))


def test_recall_is_the_share_of_a_human_score_that_the_machine_gave() -> None:
    recall_by_name = recalls([0, 0, 0, 2, 2, 3], [0, 1, 0, 2, 3, 1], {0: "0", 1: "1", 2: "2", 3: "3"})

    assert recall_by_name == {
        "0": Recall(n=3, recall=2 / 3),
        "2": Recall(n=2, recall=0.5),
        "3": Recall(n=1, recall=0),
    }  # none for 1, which no rater gave


def test_worst_recall_ignores_rare_scores() -> None:
    rare, frequent = Recall(n=LEAST_RESPONSES - 1, recall=0.1), Recall(n=LEAST_RESPONSES, recall=0.6)

    assert Evidence(recalls={"0": rare, "1": frequent, "2": Recall(n=50, recall=0.9)}).worst_recall == 0.6
    assert Evidence(recalls={"0": rare}).worst_recall is None
    assert Evidence().worst_recall is None


def test_accepted_junk_is_a_share_of_junk_texts_only() -> None:
    attacks = {
        "characters": an_attack(30, 0.1),
        "begging": an_attack(10, 0.5),
        "shuffled": an_attack(100, 1.0, junk=False),
    }

    assert Evidence(attacks=attacks).junk_accepted == pytest.approx((3 + 5) / 40)
    assert Evidence(attacks={"shuffled": an_attack(100, 1.0, junk=False)}).junk_accepted is None
    assert Evidence().junk_accepted is None


def test_worst_group_has_the_largest_absolute_difference() -> None:
    groups = {"a=1": a_group(100, 0.02), "a=2": a_group(120, -0.3), "a=3": a_group(99, 0.9), "a=4": a_group(500, None)}
    evidence = Evidence(groups=groups)

    assert evidence.worst_group(100) == 0.3
    assert evidence.worst_group(99) == 0.9
    assert evidence.worst_group(121) is None


def test_response_belongs_to_one_group_per_column() -> None:
    groups = by_group([{"gender": "f", "year": "7"}, {"gender": "m"}, {}, {"year": "7", "gender": "f"}])

    assert {name: rows.tolist() for name, rows in groups.items()} == {
        "gender=f": [True, False, False, True],
        "gender=m": [False, True, False, False],
        "year=7": [True, False, False, True],
    }
    assert list(groups) == sorted(groups)


def test_value_of_a_group_may_contain_an_equals_sign() -> None:
    assert by_group([{"level": "a=b"}, {"level": "a"}])["level=a=b"].tolist() == [True, False]


def test_column_of_a_group_may_contain_an_equals_sign() -> None:
    """An empty group would have the mean NaN, which JSON writes as null and cannot read again."""
    assert by_group([{"level=a": "b"}, {}])["level=a=b"].tolist() == [True, False]


def test_sd_ratio_of_a_shrinking_machine_is_below_one() -> None:
    assert sd_ratio([0, 1, 2, 3], [0.5, 1, 1.5, 2]) == pytest.approx(0.5)
    assert np.isnan(sd_ratio([2, 2], [0, 3]))


def test_nan_becomes_none() -> None:
    assert (none_if_nan(NAN), none_if_nan(0.0)) == (None, 0.0)


def test_evidence_survives_json() -> None:
    evidence = Evidence(
        ece=0.1 + 0.2,
        recalls={"0": Recall(n=3, recall=1 / 3)},
        groups={"gender=f": a_group(100, 1 / 7)},
        attacks={"characters": an_attack(30, 0.1)},
    )

    assert Evidence.model_validate_json(evidence.model_dump_json()) == evidence
