"""Progress bars and notes on standard error, the same everywhere."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

T = TypeVar("T")
console = Console(stderr=True)


def note(lines: Iterable[str]) -> None:
    for line in lines:
        typer.echo(f"scorelet-train: {line}", err=True)


def track(sequence: Iterable[T], description: str, total: int, done: int = 0) -> Iterator[T]:
    """Yield the elements and show a bar that begins at `done` of `total`."""
    with bar() as progress:
        task = progress.add_task(description, total=total, completed=done)
        for element in sequence:
            yield element
            progress.advance(task)


def bar() -> Progress:
    """Return a progress bar in the style of all others, for loops of other libraries."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console)


def hide_loading() -> None:
    """Stop transformers from showing bars over weights that it reads from disk; bars of downloads stay."""
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, enable_progress_bars
    from transformers.utils.logging import disable_progress_bar

    user_hides_bars = are_progress_bars_disabled()
    disable_progress_bar()  # type: ignore[no-untyped-call]
    if not user_hides_bars:
        enable_progress_bars()
