from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from app.scoring.gate import Policy
from tests.refusals import refused
from training.config import Phrases, TrainingConfig, read_config
from training.errors import BadConfig


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({}, True),
        ({"teacher": {"members": 2}}, True),  # a setting that the bundle lacks
        ({"teacher": {"members": 3}}, False),
        ({"phrases": {"padding": "und so weiter"}}, False),
        ({"seed": 1}, False),
        ({"release": {"min_responses": 40}}, False),  # another gate
        ({"calibration_folds": 0}, False),
        ({"colour": "red"}, False),  # an unknown setting
        ({"teacher": {"members": "many"}}, False),
    ],
)
def test_settings_of_a_bundle_are_compared_by_meaning(change: dict[str, Any], same: bool) -> None:
    assert TrainingConfig().is_kept_as(TrainingConfig().model_dump() | change) is same


def test_release_policy_is_a_setting() -> None:
    config = TrainingConfig.model_validate({"release": {"min_agreement": 0.6}})

    assert config.release == Policy(min_agreement=0.6)
    assert TrainingConfig().release == Policy()


@pytest.mark.parametrize(
    "wrong",
    [
        {"release": {"min_qwk": 0.6}},
        {"calibration_folds": -1},
        {"target_agreement": 0},
        {"phrases": {"begging": []}},
        {"phrases": {"adverbs": [" "]}},
        {"phrases": {"opposites": [["more", ""]]}},
    ],
)
def test_meaningless_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TrainingConfig.model_validate(wrong)


def test_phrases_are_read_from_a_bundles_settings() -> None:
    german = Phrases(adverbs=("kaum",))

    assert Phrases.kept_in(TrainingConfig(phrases=german).model_dump(mode="json")) == german
    assert Phrases.kept_in({}) == Phrases.kept_in({"phrases": {"verbs": 1}}) == Phrases()


@pytest.mark.parametrize(
    ("content", "code", "settings"),
    [
        (
            'colour = "red"\n[teacher]\nmembers = 0\n',
            "bad_settings",
            {"colour": "extra_forbidden", "teacher.members": "greater_than_equal"},
        ),
        ("seed = \n", "not_toml", None),
        (b"\xff\xfe", "not_toml", None),
    ],
)
def test_settings_file_error_names_every_wrong_setting(
    tmp_path: Path, content: str | bytes, code: str, settings: dict[str, str] | None
) -> None:
    file = tmp_path / "settings.toml"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())

    with refused(BadConfig, code, file=file, settings=settings):
        read_config(file, TrainingConfig)
