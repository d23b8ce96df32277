from pathlib import Path

from app.scoring.agreement import Agreement
from app.scoring.bundle import PredictionSet
from app.scoring.evidence import Accepted, Evidence
from app.scoring.student import Student
from tests.refusals import check_golden
from tests.tiny import write_tiny_bundle
from training.bundle.card import student_card


def a_card(tmp_path: Path, threshold: float | None) -> str:
    bundle = Student.load(write_tiny_bundle(tmp_path, threshold=threshold)).bundle
    return student_card(bundle, {"marked_texts": 40})


def test_card_states_the_threshold(tmp_path: Path) -> None:
    check_golden("card/threshold.md", a_card(tmp_path, 0.8))


def test_card_states_that_no_threshold_was_found(tmp_path: Path) -> None:
    check_golden("card/no_threshold.md", a_card(tmp_path, None))


def test_card_states_that_dev_rows_are_missing(tmp_path: Path) -> None:
    bundle = Student.load(write_tiny_bundle(tmp_path)).bundle

    check_golden("card/no_dev.md", student_card(bundle.model_copy(update={"agreement": None}), {}))


def test_card_of_grades_explains_interval_and_confidence(tmp_path: Path) -> None:
    item = {"scale": "continuous", "min_score": 1, "max_score": 6}
    card = student_card(Student.load(write_tiny_bundle(tmp_path, item=item)).bundle, {})

    check_golden("card/grades.md", card)
    assert "| RMSE | 0.400 | - |" in card
    assert "| Pearson's r | 0.910 | - |" in card
    assert "macro-F1" not in card


def test_card_states_that_the_smallest_score_is_best(tmp_path: Path) -> None:
    item = {"scale": "points", "min_score": 1, "max_score": 6, "better": "lower"}

    card = student_card(Student.load(write_tiny_bundle(tmp_path, item=item)).bundle, {})

    check_golden("card/smallest_is_best.md", card)


def test_card_states_the_responses_behind_each_promise(tmp_path: Path) -> None:
    bundle = Student.load(write_tiny_bundle(tmp_path)).bundle
    agreement = Agreement(n=31, exact=0.9, adjacent=1, qwk=0.876, smd=0, macro_f1=1, human_qwk=0.9, human_exact=0.9)
    evidence = Evidence(n=52, ece=0.031, ece_uncalibrated=0.2, accepted=Accepted(share=0.6, agreement=agreement))
    head = bundle.head.model_copy(update={"chosen_on": 1319})
    of_raters = None if bundle.agreement is None else bundle.agreement.model_copy(update={"human_n": 37})

    made = bundle.model_copy(update={"evidence": evidence, "head": head, "agreement": of_raters})

    check_golden("card.md", student_card(made, {"marked_texts": 40}))
    few = PredictionSet(coverage=None, least=0)
    made = made.model_copy(update={"head": head.model_copy(update={"chosen_on": 8, "prediction_set": few})})
    check_golden("card-of-few.md", student_card(made, {"marked_texts": 8}))


def test_card_of_points_has_no_figures_of_grades(tmp_path: Path) -> None:
    card = a_card(tmp_path, 0.8)

    assert "| QWK | 0.900 | - |" in card
    assert "RMSE" not in card


def test_card_states_held_back_shares(tmp_path: Path) -> None:
    bundle = Student.load(write_tiny_bundle(tmp_path)).bundle

    card = student_card(bundle.model_copy(update={"flagged": {"off_topic": 0.013, "refusal": 0.02}}), {})

    check_golden("card/held_back.md", card)
