"""Contestants that train nothing, and comparisons of them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from app.scoring.decoding import Outputs
from tests.training.example_rows import ITEM, item_data
from training.compare.contest import Competitor, Contestant, Runtime
from training.compare.latency import Effort
from training.compare.results import ItemResult, read_results
from training.compare.run import TIMED_ITEMS, compare
from training.compare.settings import EVERY_PART
from training.config import TrainingConfig
from training.data import ItemData
from training.pipeline.group_run import GroupRun

A = item_data(20, 20, 2, ITEM.model_copy(update={"item_id": "a"}))
B = item_data(20, 20, 2, ITEM.model_copy(update={"item_id": "b"}), seed=3)


QUICK = Effort(rounds=1, run=3, warm_up=1, batches=1, batch=4)


class Fakes:
    """Contestants that score by the number of words, with a record of each training."""

    def __init__(self) -> None:
        self.made: list[tuple[str, int, str]] = []  # (contestant, seed, first item)
        self.dies: tuple[str, int] | None = None
        self.all = [self.of("once"), self.of("seeded", seeded=True), self.of("last")]

    def of(self, name: str, *, seeded: bool = False, absent: bool = False) -> Contestant:
        def make(run: GroupRun, seed: int) -> list[Competitor]:
            if self.dies == (name, seed):
                raise KeyboardInterrupt
            self.made.append((name, seed, run.items[0].parts.item.item_id))
            outputs = WordCount(run.items[0].parts.item.is_continuous, seed)
            competitor = Competitor(outputs, 7, 1.5, lambda: [Runtime("float32", 99, outputs)])
            return [] if absent else [competitor for _ in run.parts]

        return Contestant(name, f"the {name}", seeded, make, EVERY_PART)

    def making(self) -> list[tuple[str, int, str]]:
        """Return the trainings since the last call."""
        since, self.made = self.made, []
        return since


class WordCount:
    def __init__(self, continuous: bool, seed: int) -> None:
        self.continuous, self.seed = continuous, seed

    def __call__(self, texts: Sequence[str]) -> Outputs:
        words = np.array([len(text.split()) for text in texts], float).reshape(-1, 1)
        if self.continuous:
            return np.concatenate([words / 30, np.full_like(words, 0.01)], axis=1)
        return -np.abs(words / 5 + 0.1 * self.seed - np.arange(4))


def run(
    folder: Path, config: TrainingConfig, fakes: Fakes, *items: ItemData, timed_items: int = TIMED_ITEMS
) -> dict[str, ItemResult]:
    """Compare the fakes, with few responses to time."""
    compare(items, config, folder / "results", folder / "cache", fakes.all, effort=QUICK, timed_items=timed_items)
    return {result.item_id: result for result in read_results(folder / "results")}


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "results").iterdir()}
