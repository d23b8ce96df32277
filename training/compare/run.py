"""The comparison in order: groups of items, their contestants, seeds; what was found before is not made again."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from app.scoring.bundle import Head
from app.scoring.decoding import Outputs, decode, distribution
from app.scoring.item import Item
from training.common.cache import key_of
from training.common.progress import console
from training.compare import baselines, distilled, encoders, tinybert
from training.compare.contest import Competitor, Contestant, heads_of
from training.compare.figures import CONSTANT, STUDENT
from training.compare.latency import FULL, Effort, milliseconds
from training.compare.results import ContestantResult, ItemResult, Seed, Timing, read_result, write_result
from training.compare.settings import EVERY_PART, Part, hashes
from training.config import TrainingConfig
from training.data import ItemData
from training.data.item_groups import Group, groups
from training.data.splits import split
from training.pipeline.group_run import GroupRun
from training.pipeline.prepare import prepare, train_teacher

FORMAT = 5  # of the keys: raised when contestants, or how all are decoded, change
SEEDS = 3  # of what is seeded, if nobody says otherwise
TIMED_ITEMS = 3  # of a group: its networks are of one size

TEACHER, TINY_BERT = "teacher", "tiny_bert"
SPLIT: tuple[Part, ...] = ("split",)
TAUGHT: tuple[Part, ...] = ("split", "teacher")
LABELS_ALONE: tuple[Part, ...] = ("split", "student", "distillation")
PUBLISHED: tuple[Part, ...] = (*LABELS_ALONE, "teacher", "soft_weight")
PRUNED: tuple[Part, ...] = (*TAUGHT, "unlabelled", "augmented")
CONTESTANTS = (
    Contestant(CONSTANT, "the commonest score", False, baselines.constant, SPLIT, timed=False),
    Contestant("tf_idf", "TF-IDF, linear", False, baselines.linear, SPLIT),
    Contestant("tf_idf_small", "TF-IDF, linear, at most 30,000 weights", False, baselines.linear_within_budget, SPLIT),
    Contestant("human_labels", "student, human labels alone", True, distilled.human_labels, LABELS_ALONE),
    Contestant("published_loss", "student, published loss alone", True, distilled.published_loss, PUBLISHED),
    Contestant(STUDENT, "student, full recipe", True, distilled.full_recipe, EVERY_PART),
    Contestant(TINY_BERT, "TinyBERT-class, distilled", False, tinybert.tiny_berts, PRUNED),
    Contestant(TEACHER, "teacher", False, encoders.teachers, TAUGHT),
)
TITLES = {contestant.name: contestant.title for contestant in CONTESTANTS}


def compare(
    items: Sequence[ItemData],
    config: TrainingConfig,
    results: Path,
    cache: Path,
    contestants: Sequence[Contestant] = CONTESTANTS,
    seeds: int = SEEDS,
    effort: Effort = FULL,
    timed_items: int = TIMED_ITEMS,
) -> None:
    """Make every contestant on every item; each finding is written as soon as it is made."""
    results.mkdir(parents=True, exist_ok=True)
    for group in groups(items, config.teacher.own_from):
        of_group = _GroupResults(group, config, results, contestants, seeds, timed_items)
        if of_group.are_whole:
            console.print(f"{group.name}: found before")
            continue
        run = train_teacher(prepare(group, config, cache))
        for contestant in contestants:
            for seed in of_group.missing_seeds(contestant):
                of_group.note(contestant, seed, contestant.make(run, seed), run)
        _time(run, of_group, effort)


class _GroupResults:
    """The result files of a group's items, in step with them."""

    def __init__(
        self,
        group: Group,
        config: TrainingConfig,
        folder: Path,
        contestants: Sequence[Contestant],
        seeds: int,
        timed_items: int,
    ) -> None:
        self._folder, self.contestants = folder, contestants
        self._seeds, self._timed_items = seeds, timed_items
        several = len(group.members) > 1
        self._settings = {own.name: hashes(own.reads, config, several=several) for own in contestants}
        self._keys = [
            {name: key_of(FORMAT, name, read, group.data_sha256(data)) for name, read in self._settings.items()}
            for data in group.members
        ]
        self.results = [
            read_result(folder, ItemResult.begun(split(data, config), group.name, group.data_sha256(data)))
            for data in group.members
        ]

    def missing_seeds(self, contestant: Contestant) -> list[int]:
        seeds = range(self._seeds if contestant.seeded else 1)
        return [seed for seed in seeds if not all(self._has(number, contestant, seed) for number in self._numbers)]

    @property
    def _numbers(self) -> range:
        return range(len(self.results))

    def _has(self, number: int, contestant: Contestant, seed: int) -> bool:
        found = self.results[number].found.get(contestant.name)
        return found is not None and found.key == self._keys[number][contestant.name] and seed in found.seeds

    @property
    def untimed(self) -> list[int]:
        """Of the items that are timed those that have a contestant without a time."""
        measured = [number for number in self._numbers if self.results[number].ids]
        return [
            number
            for number in measured[: self._timed_items]
            if any(not self._timed(number, contestant) for contestant in self.contestants if contestant.timed)
        ]

    def _timed(self, number: int, contestant: Contestant) -> bool:
        found = self.results[number].found.get(contestant.name)
        return found is not None and (bool(found.timings) or found.parameters == 0)

    @property
    def are_whole(self) -> bool:
        return not any(self.missing_seeds(contestant) for contestant in self.contestants) and not self.untimed

    def note(self, contestant: Contestant, seed: int, made: Sequence[Competitor], run: GroupRun) -> None:
        """Scores on dev; empty ones where the contestant cannot take part."""
        if not made:
            for number, result in enumerate(self.results):
                absent = Seed(values=[], predictions=[])
                result.found[contestant.name] = ContestantResult(
                    key=self._keys[number][contestant.name],
                    settings=self._settings[contestant.name],
                    parameters=0,
                    seconds=None,
                    seeds={seed: absent},
                )
            return
        heads = heads_of(run, made)
        for number, own in enumerate(made):
            parts, result = run.items[number].parts, self.results[number]
            outputs = own.outputs([row.text for row in parts.dev])
            key, before = self._keys[number][contestant.name], result.found.get(contestant.name)
            read = self._settings[contestant.name]
            found = ContestantResult(key=key, settings=read, parameters=own.parameters, seconds=own.seconds, seeds={})
            if before is not None and before.key == key:
                found.seeds, found.timings = before.seeds, before.timings
            found.seeds[seed] = Seed(
                values=_values(outputs, parts.item, heads[number]),
                predictions=np.round(distribution(outputs, parts.item), 3).tolist(),
            )
            result.found[contestant.name] = found
            write_result(self._folder, result)

    def note_timings(self, number: int, timings: dict[str, dict[str, Timing]]) -> None:
        for name, of_contestant in timings.items():
            self.results[number].found[name].timings = of_contestant
        write_result(self._folder, self.results[number])


def _values(outputs: Outputs, item: Item, head: Head) -> list[float]:
    return [round(score.value, 4) for score in decode(outputs, item, head)]


def _time(run: GroupRun, of_group: _GroupResults, effort: Effort) -> None:
    """All contestants of an item together, at the first seed, each in every precision it runs in."""
    untimed = of_group.untimed
    made = {c.name: c.make(run, 0) for c in of_group.contestants if c.timed} if untimed else {}
    heads = {name: heads_of(run, own) for name, own in made.items() if own}
    for number in untimed:
        parts = run.items[number].parts
        texts = [row.text for row in parts.dev]
        runtimes = {(name, r.name): r for name, own in made.items() if own for r in own[number].runtimes()}
        served = {
            f"{name} {kind}": _served(r.outputs, parts.item, heads[name][number])
            for (name, kind), r in runtimes.items()
        }
        times = milliseconds(served, texts, effort)
        timings: dict[str, dict[str, Timing]] = {name: {} for name, _ in runtimes}
        for (name, kind), runtime in runtimes.items():
            alone, batched = times[f"{name} {kind}"]
            timings[name][kind] = Timing(
                bytes=runtime.bytes,
                alone_ms=round(alone, 4),
                batched_ms=round(batched, 4),
                values=_values(runtime.outputs(texts), parts.item, heads[name][number]),
            )
        of_group.note_timings(number, timings)


def _served(outputs: Callable[[Sequence[str]], Outputs], item: Item, head: Head) -> Callable[[Sequence[str]], Outputs]:
    """Text to score, as the service has it: decoding included."""

    def serve(texts: Sequence[str]) -> Outputs:
        made = outputs(texts)
        decode(made, item, head)
        return made

    return serve
