"""The Makefile, as far as it can be judged without a network."""

import subprocess
from pathlib import Path

from tests.waiting import HANGS

ROOT = Path(__file__).parents[1]


def test_a_wheelhouse_has_all_that_a_service_can_use() -> None:
    """Feedback by a language model needs a package of its own, which a machine without a network cannot fetch."""
    done = subprocess.run(
        ["make", "--dry-run", "--always-make", "wheelhouse"],  # noqa: S607
        cwd=ROOT, capture_output=True, text=True, timeout=HANGS, check=True,
    )  # fmt: skip

    [line] = [line for line in done.stdout.splitlines() if " wheel " in line]
    assert "'.[feedback]'" in line
