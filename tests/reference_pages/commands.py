"""The page of commands, written from the help of `scorelet` and `scorelet-train`."""

import inspect
from collections.abc import Iterator
from enum import Enum
from typing import Any, Literal, get_args, get_origin

from typer.main import get_command

from app.cli.main import cli as scorelet
from training.__main__ import cli as scorelet_train

HEAD = """# Commands

For people at a terminal: every command and option of `scorelet` and `scorelet-train`, as `--help` shows them.

The exit code is 0, 1 (the work failed) or 2 (bad usage). Without Docker the programs are in `.venv/bin` of the
project's folder.
"""


def page() -> str:
    programs = (("scorelet", get_command(scorelet)), ("scorelet-train", get_command(scorelet_train)))
    sections = [_section(name, command) for program, group in programs for name, command in commands(program, group)]
    return "\n".join([HEAD, *sections])


def commands(program: str, group: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(`program group command`, the command) for every one there is."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(program, command, f"{prefix}{name} ")
        else:
            yield f"{program} {prefix}{name}", command


def _section(name: str, command: Any) -> str:
    parameters = [_line(own) for own in command.params if own.name != "help"]
    paragraphs = [" ".join(paragraph.split()) for paragraph in inspect.cleandoc(command.help).split("\n\n")]
    body = [*paragraphs, "\n".join(parameters)] if parameters else paragraphs
    return f"## {name}\n\n" + "\n\n".join(body) + "\n"


def _line(parameter: Any) -> str:
    names = [*parameter.opts, *parameter.secondary_opts] if parameter.opts[0].startswith("-") else [_shown(parameter)]
    said = [parameter.help.rstrip(".") + "."] if parameter.help else []
    if choices := _choices(parameter.type_descriptor.annotation):
        said.append(f"One of {', '.join(f'`{own}`' for own in choices)}.")
    if parameter.default not in (None, "", ()) and not isinstance(parameter.default, bool):
        said.append(f"Default: {parameter.default}.")
    if parameter.required:
        said.append("Required.")
    return f"- {' or '.join(f'`{own}`' for own in names)}: {' '.join(said)}"


def _choices(kind: Any) -> list[str]:
    if get_origin(kind) is list:
        return _choices(*get_args(kind))
    if get_origin(kind) is Literal:
        return list(get_args(kind))
    return [own.value for own in kind] if isinstance(kind, type) and issubclass(kind, Enum) else []


def _shown(argument: Any) -> str:
    return str(argument.metavar or argument.name.upper())
