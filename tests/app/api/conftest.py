"""What HTTP looks like does not hang on the database: SQLite, where a test does not ask for both."""

import pytest


@pytest.fixture(params=["sqlite"])
def dialect(request: pytest.FixtureRequest) -> str:
    return str(request.param)
