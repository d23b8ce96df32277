"""Measure the processor time that mark-up costs: read off each form that editors send, beside the student's judgement.

    python -m benchmarks.markup

On the dev rows of the demo items, in microseconds a response: the shortest of many rounds, which a busy machine
disturbs least.  `judged` is reading and judgement together, one response after another.
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


def main(rounds: Annotated[int, typer.Option(help="The shortest of so many is shown.")] = 40) -> None:
    registry = Registry.from_folder(MODELS)
    rows = generate().dev
    forms: dict[str, Callable[[str], str]] = {"plain": lambda text: text} | FORMS
    table = Table("form", "characters", "read, µs", "judged, µs", box=SIMPLE)
    for name, form in forms.items():
        sent = [(str(row["item_id"]), form(str(row["response"]))) for row in rows]
        characters = sum(len(response) for _, response in sent) / len(sent)
        read = shortest(rounds, sent, lambda _, response: plain_text(response))
        judged = shortest(rounds, sent, lambda item_id, response: judge(registry, item_id, response))
        table.add_row(name, f"{characters:.0f}", f"{read:.2f}", f"{judged:.1f}")
    Console(width=120).print(table)


def judge(registry: Registry, item_id: str, response: str) -> None:
    live = registry.get(item_id)
    live.judge([live.read(response, None)])


def shortest(rounds: int, sent: Sequence[tuple[str, str]], action: Callable[[str, str], object]) -> float:
    """Return microseconds of processor time a response, of the shortest round."""
    taken = []
    for _ in range(rounds):
        began = time.process_time()
        for item_id, response in sent:
            action(item_id, response)
        taken.append(time.process_time() - began)
    return min(taken) / len(sent) * 1e6


if __name__ == "__main__":
    typer.run(main)
