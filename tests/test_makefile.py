"""Test the Makefile as far as possible without a network."""

import subprocess
from pathlib import Path

from tests.waiting import HANGS

ROOT = Path(__file__).parents[1]


def test_wheelhouse_contains_every_extra_of_the_service() -> None:
    """A machine without a network cannot download the package for feedback by a language model."""
    done = subprocess.run(
        ["make", "--dry-run", "--always-make", "wheelhouse"],  # noqa: S607
        cwd=ROOT, capture_output=True, text=True, timeout=HANGS, check=True,
    )  # fmt: skip

    [line] = [line for line in done.stdout.splitlines() if " wheel " in line]
    assert "'.[feedback]'" in line
