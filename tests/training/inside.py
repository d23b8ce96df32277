"""Calls of `scorelet-train` inside this process: a new process would import torch, which takes seconds."""

import contextlib
import io
import sys
from typing import NamedTuple

import pytest

from app.scoring.errors import CodedError
from training.__main__ import main


class Done(NamedTuple):
    code: int
    stdout: str
    stderr: str
    error: CodedError | None  # that ended it


def call(*arguments: object) -> Done:
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        patch.setattr(sys, "argv", ["scorelet-train", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
    code = ended.value.code
    cause = ended.value.__context__
    error = cause if isinstance(cause, CodedError) else None
    return Done(code if isinstance(code, int) else 0, out.getvalue(), err.getvalue(), error)
