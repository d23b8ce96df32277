"""Measure the processor time of markup: reading each form that editors send, beside the student's judgement.

    python -m benchmarks.markup

Figures are microseconds a response on the dev rows of the demo items, of the shortest of many rounds, because a busy
machine disturbs it least.  `judged` is reading and judgement together, one response after another.
"""

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

os.environ["TOKENIZERS_PARALLELISM"] = "false"  # as in the service, where threads for a few words do not pay

from app.scoring.markup import plain_text
from app.scoring.registry import Registry
from tests.editors import FORMS
from training.demo.generator import generate

MODELS = Path(__file__).parents[1] / "models"


def main(rounds: Annotated[int, typer.Option(help="Number of rounds; the shortest is shown.")] = 40) -> None:
    registry = Registry.from_folder(MODELS)
    rows = [{name: str(value) for name, value in row.items()} for row in generate().dev]
    forms: dict[str, Callable[[str], str]] = {"plain": lambda text: text} | FORMS
    table = Table("form", "characters", "read, µs", "judged, µs", box=SIMPLE)
    for name, form in forms.items():
        calls = [(row["item_id"], form(row["response"])) for row in rows]
        characters = sum(len(response) for _, response in calls) / len(calls)
        read = shortest(rounds, calls, lambda _, response: plain_text(response))
        judged = shortest(rounds, calls, lambda item_id, response: judge(registry, item_id, response))
        table.add_row(name, f"{characters:.0f}", f"{read:.2f}", f"{judged:.1f}")
    Console(width=120).print(table)


def judge(registry: Registry, item_id: str, response: str) -> None:
    live = registry.get(item_id)
    live.judge([live.read(response, None)])


def shortest(rounds: int, calls: Sequence[tuple[str, str]], action: Callable[[str, str], object]) -> float:
    """Return the processor time in microseconds a response, of the shortest round."""
    seconds = []
    for _ in range(rounds):
        began = time.process_time()
        for item_id, response in calls:
            action(item_id, response)
        seconds.append(time.process_time() - began)
    return min(seconds) / len(calls) * 1e6


if __name__ == "__main__":
    typer.run(main)
