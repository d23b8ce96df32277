"""Requirements of raters' feedback for a reader of verdicts."""

from dataclasses import replace
from pathlib import Path

from tests.refusals import refused
from tests.training.feedback.told import SAID, told
from training.config import TrainingConfig
from training.errors import TooFewRows
from training.feedback.verdicts import verdict_reader


def test_few_standard_comments_are_too_few_texts(tmp_path: Path) -> None:
    said = [replace(told(number), feedback=SAID[number % 3] + " Go on." * (number % 2)) for number in range(400)]

    with refused(TooFewRows, "too_few_feedback_texts", rows=400, texts=6):
        verdict_reader(said, TrainingConfig(), tmp_path)


def test_feedback_with_a_single_verdict_is_refused(tmp_path: Path) -> None:
    rows = [told(number) for number in range(0, 30, 3)]

    with refused(TooFewRows, "one_verdict", rows=10):
        verdict_reader(rows, TrainingConfig(), tmp_path)
