"""Progress bars on standard error, the same everywhere."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

T = TypeVar("T")
console = Console(stderr=True)


def track(sequence: Iterable[T], description: str, total: int, done: int = 0) -> Iterator[T]:
    """The sequence, with a bar that begins at `done` of `total`."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(description, total=total, completed=done)
        for element in sequence:
            yield element
            progress.advance(task)
