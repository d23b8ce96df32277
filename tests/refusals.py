"""Errors by code and fields, and whole texts by golden files: no test but these knows how a sentence is worded."""

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
    """The block raises an error of this kind and code, with at least these fields."""
    with pytest.raises(kind) as caught:
        yield caught
    error = caught.value
    if code:
        assert error.code == code
    assert {name: error.fields.get(name) for name in fields} == fields


def rows_refused(errors: list[RowError]) -> list[tuple[str, int, str]]:
    """File name, line and code of each."""
    return [(error.file.name, error.line, error.code) for error in errors]


def log_lines(caplog: pytest.LogCaptureFixture, code: str) -> list[dict[str, object]]:
    """Return the fields of every log record that has this code."""
    found = [getattr(record, "fields", {}) for record in caplog.records]
    return [{name: value for name, value in own.items() if name != "code"} for own in found if own.get("code") == code]


def check_golden(name: str, text: str) -> None:
    """The text is that of tests/golden/NAME.  `UPDATE_GOLDEN=1 pytest …` writes what was reworded on purpose."""
    path = GOLDEN / name
    if os.environ.get("UPDATE_GOLDEN"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")
