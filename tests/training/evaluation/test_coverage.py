import numpy as np
import pytest

from app.scoring.agreement import exact_agreement, quadratic_weighted_kappa
from training.evaluation.coverage import agreement_of_first


def test_curve_is_the_agreement_of_the_surest_responses() -> None:
    generator = np.random.default_rng(0)
    human, machine = generator.integers(0, 4, 30).astype(float), generator.integers(0, 4, 30).astype(float)

    qwk = agreement_of_first(human, machine, ordered=True)
    exact = agreement_of_first(human, machine, ordered=False)

    wanted = [quadratic_weighted_kappa(human[:n], machine[:n]) for n in range(1, 31)]
    assert qwk == pytest.approx(np.array(wanted), nan_ok=True)
    assert exact == pytest.approx(np.array([exact_agreement(human[:n], machine[:n]) for n in range(1, 31)]))


def test_equal_scores_have_no_qwk() -> None:
    assert np.isnan(agreement_of_first(np.array([1.0, 1.0]), np.array([1.0, 1.0]), ordered=True)).all()
