from typing import Any

import pytest

from training.config import TrainingConfig


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({}, True),
        ({"teacher": {"members": 2}}, True),  # settings that were not there yet
        ({"teacher": {"members": 3}}, False),
        ({"seed": 1}, False),
        ({"colour": "red"}, False),  # a setting that is no more
        ({"teacher": {"members": "many"}}, False),
    ],
)
def test_what_a_bundle_keeps_is_compared_by_meaning(change: dict[str, Any], same: bool) -> None:
    assert TrainingConfig().is_kept_as(TrainingConfig().model_dump() | change) is same
