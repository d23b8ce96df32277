"""Claims about troubles with the database, by code and fields."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest

from app.storage.problems import DatabaseUnusable


@contextmanager
def in_trouble(code: str, fields: Mapping[str, object] | None = None) -> Iterator[None]:
    """The block raises DatabaseTrouble with this code, and with these fields if any are given."""
    with pytest.raises(DatabaseUnusable) as caught:
        yield
    assert caught.value.trouble.code == code
    if fields is not None:
        assert dict(caught.value.trouble.fields) == fields
