"""Assertions about problems with the database, by code and fields."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest

from app.storage.problems import DatabaseUnusable


@contextmanager
def reports_problem(code: str, fields: Mapping[str, object] | None = None) -> Iterator[None]:
    """Assert that the block raises DatabaseUnusable with this code and, if given, these fields."""
    with pytest.raises(DatabaseUnusable) as caught:
        yield
    assert caught.value.problem.code == code
    if fields is not None:
        assert dict(caught.value.problem.fields) == fields
