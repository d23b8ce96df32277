"""The options on how files of responses are read, alike in every command that reads such a file."""

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any

import typer

from app.scoring.files.options import Decimal, Delimiter, ReadOptions


def with_reading_options(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command that takes the four reading options in place of its parameter `reading`.

    The decorator hands the options over as ReadOptions.  Typer reads the options from the signature.
    """
    signature = inspect.signature(command)
    options = inspect.signature(_read_options).parameters.values()
    parameters: list[inspect.Parameter] = []
    for parameter in signature.parameters.values():
        parameters += options if parameter.name == "reading" else [parameter]

    @wraps(command)
    def with_options(**arguments: Any) -> None:
        reading = {option.name: arguments.pop(option.name) for option in options}
        command(**arguments, reading=_read_options(**reading))

    replaced: Any = with_options
    replaced.__signature__ = signature.replace(parameters=parameters)
    replaced.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return with_options


def _read_options(
    delimiter: Annotated[
        Delimiter | None,
        typer.Option("--delimiter", help="Separator of columns in .csv and .tsv files. Default: detected."),
    ] = None,
    decimal: Annotated[
        Decimal | None,
        typer.Option("--decimal", help="Decimal separator of scores in text files. Default: detected if possible."),
    ] = None,
    keep_na: Annotated[
        bool,
        typer.Option(
            "--keep-na", help="Read NA, None and the like in group_* columns as group names, not as missing values."
        ),
    ] = False,
    score_column: Annotated[
        str,
        typer.Option(
            "--score-column",
            help="Column of the human score or label, instead of score and label. In a file that scorelet wrote it is "
            "input_score, with labels in input_label.",
        ),
    ] = "",
) -> ReadOptions:
    return ReadOptions(delimiter, decimal, keep_na, score_column.strip())
