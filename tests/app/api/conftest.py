"""Run the tests of HTTP on SQLite, unless a test asks for both databases."""

import pytest


@pytest.fixture(params=["sqlite"])
def dialect(request: pytest.FixtureRequest) -> str:
    return str(request.param)
