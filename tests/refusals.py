"""Helpers that assert errors by code and fields, and texts by golden files.  Other tests do not know sentences."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from app.scoring.errors import CodedError, RowError

GOLDEN = Path(__file__).parent / "golden"
ErrorT = TypeVar("ErrorT", bound=CodedError)


@contextmanager
def refused(kind: type[ErrorT], code: str = "", **fields: object) -> Iterator[pytest.ExceptionInfo[ErrorT]]:
    """Assert that the block raises an error of this kind and code, with at least these fields."""
    with pytest.raises(kind) as caught:
        yield caught
    error = caught.value
    if code:
        assert error.code == code
    assert {name: error.fields.get(name) for name in fields} == fields


def rows_refused(errors: list[RowError]) -> list[tuple[str, int, str]]:
    """Return file name, line and code of each error."""
    return [(error.file.name, error.line, error.code) for error in errors]


def log_lines(caplog: pytest.LogCaptureFixture, code: str) -> list[dict[str, object]]:
    """Return the other fields of every log record with this code."""
    records = [dict(getattr(record, "fields", {})) for record in caplog.records]
    return [fields for fields in records if fields.pop("code", None) == code]


def check_golden(name: str, text: str) -> None:
    """Assert that the text equals tests/golden/NAME.  After a change on purpose, run `UPDATE_GOLDEN=1 pytest …`."""
    path = GOLDEN / name
    if os.environ.get("UPDATE_GOLDEN"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")
