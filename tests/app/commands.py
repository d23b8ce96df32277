"""`scorelet …` within the test's own process, where an error still has its code."""

import os
from typing import Any

import pytest
from typer.main import get_command

from app.cli.main import cli


class Commands:
    """Calls commands under settings of its own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], **settings: object) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys
        self.set(**settings)

    def set(self, **settings: object) -> None:
        for name, value in settings.items():
            self._monkeypatch.setenv(name, str(value))

    def __call__(self, *arguments: object) -> str:
        """Return what the command writes to standard output.  Raises whatever the command raises."""
        self._capsys.readouterr()
        command: Any = get_command(cli)
        command.main([*map(str, arguments)], "scorelet", standalone_mode=False)
        return self._capsys.readouterr().out

    def clear(self, name: str) -> None:
        self._monkeypatch.delenv(name)
        assert name not in os.environ
