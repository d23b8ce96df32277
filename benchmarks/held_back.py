"""Count the dev responses that conditions hold back, with limits from train but without training.

    python -m benchmarks.held_back DIR

The table has a row per item and condition: the dev responses under the condition, and how many of them earned more than
the worst score (0 for nominal items, whose labels have no worst).  Tokenizer and limits are learnt as in
`scorelet-train run`.  No response is printed.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE
from rich.table import Table

from app.scoring.conditions import Examiner
from app.scoring.featurizer import Featurizer
from training.calibration.condition_limits import learn_limits
from training.cli.options import print_table
from training.config import TrainingConfig
from training.data import read_data
from training.data.item_groups import Group, groups
from training.data.responses import MarkedResponse
from training.pipeline.prepare import parts_of, tokenizer_for
from training.student.training_set import texts_for


def main(data: Annotated[Path, typer.Argument(metavar="DIR", help="items, train and dev, as for `run`.")]) -> None:
    """Print the counts by item and condition, and their totals."""
    config, read = TrainingConfig(), read_data(data)
    table = Table("item", "condition", "dev", "held back", "more than the worst score", box=SIMPLE)
    held, worth, dev = Counter[str](), Counter[str](), 0
    for group in groups([read.of(item_id) for item_id in read.items], config.teacher.own_from):
        for item_id, rows, held_back in _held_back(group, config):
            dev += rows
            counts = Counter(condition for condition, _ in held_back)
            earned = Counter(condition for condition, row in held_back if _earned(group, row))
            held += counts
            worth += earned
            for condition in sorted(counts):
                table.add_row(item_id, condition, str(rows), str(counts[condition]), str(earned[condition]))
    for condition in sorted(held):
        table.add_row("all", condition, str(dev), str(held[condition]), str(worth[condition]))
    table.add_row("all", "any", str(dev), str(held.total()), str(worth.total()))
    print_table(table)


def _held_back(group: Group, config: TrainingConfig) -> Iterator[tuple[str, int, list[tuple[str, MarkedResponse]]]]:
    """Yield each item's id, its number of dev rows, and the rows held back with their conditions."""
    split_items = parts_of(group, config)
    content = tokenizer_for([texts_for(parts, config) for parts in split_items], config)
    featurizer = Featurizer.from_bytes(content, config.student.max_tokens)
    limits = learn_limits(split_items, content, config.student.max_tokens)
    for parts, limit in zip(split_items, limits, strict=True):
        examiner = Examiner(limit, parts.item, featurizer)
        all_ids = featurizer.read([row.text for row in parts.dev])
        held_back: list[tuple[str, MarkedResponse]] = []
        for row, ids in zip(parts.dev, all_ids, strict=True):
            condition = examiner.examine(row.text, ids).condition
            if condition is not None:
                held_back.append((condition, row))
        yield parts.item.item_id, len(parts.dev), held_back


def _earned(group: Group, row: MarkedResponse) -> bool:
    """Return whether a row earned more than the worst score of its item."""
    [item] = [data.item for data in group.members if data.item.item_id == row.item_id]
    return item.is_ordered and not item.is_worst(row.value)


if __name__ == "__main__":
    typer.run(main)
