"""Call `scorelet` commands in the test's process, so that errors keep their code."""

import os
from typing import Any

import pytest
from typer.main import get_command

from app.cli.main import cli


class Commands:
    """Callable that runs commands with given settings."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], **settings: object) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys
        self.set(**settings)

    def set(self, **settings: object) -> None:
        for name, value in settings.items():
            self._monkeypatch.setenv(name, str(value))

    def __call__(self, *arguments: object) -> str:
        """Return the standard output of a command, or raise its error."""
        self._capsys.readouterr()
        command: Any = get_command(cli)
        command.main([*map(str, arguments)], "scorelet", standalone_mode=False)
        return self._capsys.readouterr().out

    def clear(self, name: str) -> None:
        self._monkeypatch.delenv(name)
        assert name not in os.environ
