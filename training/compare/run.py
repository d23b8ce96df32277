"""The comparison in order: groups of items, their contestants, their seeds.  Existing results are kept."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from app.scoring.bundle import Head
from app.scoring.decoding import Outputs, decode, distribution
from app.scoring.item import Item
from training.common.cache import key_of
from training.common.progress import console
from training.compare import baselines, encoders, students, tinybert
from training.compare.contest import Competitor, Contestant, ScoreFunction, heads_of
from training.compare.latency import FULL, Effort, milliseconds
from training.compare.results import ContestantResult, ItemResult, Seed, Timing, read_result, write_result
from training.compare.section import CONSTANT, STUDENT
from training.compare.settings import EVERY_PART, Part, hashes
from training.config import TrainingConfig
from training.data import ItemData
from training.data.item_groups import Group, groups
from training.data.splits import Parts, split
from training.pipeline.group_run import GroupRun
from training.pipeline.prepare import prepare, train_teacher

KEY_VERSION = 5  # raised when contestants or decoding change, so that results are computed again
SEEDS = 3  # trainings of a contestant that depends on a seed
TIMED_ITEMS = 3  # of a group, whose networks are of one size

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
    Contestant("human_labels", "student, human labels alone", True, students.human_labels, LABELS_ALONE),
    Contestant("published_loss", "student, published loss alone", True, students.published_loss, PUBLISHED),
    Contestant(STUDENT, "student, full recipe", True, students.full_recipe, EVERY_PART),
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
    """Train every contestant on every item, and write each result as soon as there is one.

    `seeds`: trainings of a contestant that depends on a seed; `timed_items`: the items of a group that are timed.
    """
    results.mkdir(parents=True, exist_ok=True)
    for group in groups(items, config.teacher.own_from):
        of_group = _GroupResults(group, config, results, contestants, seeds, timed_items)
        if of_group.are_whole:
            console.print(f"{group.name}: results exist")
            continue
        run = train_teacher(prepare(group, config, cache))
        for contestant in contestants:
            for seed in of_group.missing_seeds(contestant):
                of_group.note(contestant, seed, contestant.make(run, seed), run)
        _time(run, of_group, effort)


class _GroupResults:
    """The results of a group's items, in memory and in their files."""

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
        self._settings = {
            contestant.name: hashes(contestant.reads, config, several=several) for contestant in contestants
        }
        self._keys = [self._keys_of(group.data_sha256(data)) for data in group.members]
        self.results = [
            read_result(folder, ItemResult.begun(split(data, config), group.name, group.data_sha256(data)))
            for data in group.members
        ]

    def _keys_of(self, data_sha256: str) -> dict[str, str]:
        """Return the key of each contestant's results on an item."""
        return {name: key_of(KEY_VERSION, name, hashed, data_sha256) for name, hashed in self._settings.items()}

    def missing_seeds(self, contestant: Contestant) -> list[int]:
        """Return the seeds for which an item lacks a result of the contestant."""
        count = self._seeds if contestant.seeded else 1
        return [seed for seed in range(count) if not self._has(contestant, seed)]

    @property
    def _numbers(self) -> range:
        return range(len(self.results))

    def _has(self, contestant: Contestant, seed: int) -> bool:
        """Return whether all items have results of the contestant's seed, of the same data and settings."""
        for number in self._numbers:
            result = self.results[number].found.get(contestant.name)
            if result is None or result.key != self._keys[number][contestant.name] or seed not in result.seeds:
                return False
        return True

    @property
    def untimed(self) -> list[int]:
        """The numbers of the items to time that have a contestant without times."""
        measured = [number for number in self._numbers if self.results[number].ids]
        return [number for number in measured[: self._timed_items] if not self._is_timed(number)]

    def _is_timed(self, number: int) -> bool:
        """Return whether an item has times of every contestant that is timed and takes part."""
        timed = [contestant.name for contestant in self.contestants if contestant.timed]
        results = [self.results[number].found.get(name) for name in timed]
        return all(result is not None and (result.timings or result.parameters == 0) for result in results)

    @property
    def are_whole(self) -> bool:
        """Return whether no result and no time is missing."""
        return not any(self.missing_seeds(contestant) for contestant in self.contestants) and not self.untimed

    def note(self, contestant: Contestant, seed: int, competitors: Sequence[Competitor], run: GroupRun) -> None:
        """Write the scores of a contestant on dev; empty ones if the contestant cannot take part."""
        if not competitors:
            for number in self._numbers:
                self._add_absent(number, contestant, seed)
            return
        heads = heads_of(run, competitors)
        for number, competitor in enumerate(competitors):
            parts = run.items[number].parts
            outputs = competitor.outputs([row.text for row in parts.dev])
            values = _values(outputs, parts.item, heads[number])
            predictions = np.round(distribution(outputs, parts.item), 3).tolist()
            self._add(number, contestant, competitor, seed, Seed(values=values, predictions=predictions))
            write_result(self._folder, self.results[number])

    def _add_absent(self, number: int, contestant: Contestant, seed: int) -> None:
        absent = Seed(values=[], predictions=[])
        self.results[number].found[contestant.name] = ContestantResult(
            key=self._keys[number][contestant.name],
            settings=self._settings[contestant.name],
            parameters=0,
            seconds=None,
            seeds={seed: absent},
        )

    def _add(self, number: int, contestant: Contestant, competitor: Competitor, seed: int, scores: Seed) -> None:
        """Add the scores of a seed to the contestant's other seeds and times, if these are of the same data."""
        key, before = self._keys[number][contestant.name], self.results[number].found.get(contestant.name)
        added = ContestantResult(
            key=key,
            settings=self._settings[contestant.name],
            parameters=competitor.parameters,
            seconds=competitor.seconds,
            seeds={},
        )
        if before is not None and before.key == key:
            added.seeds, added.timings = before.seeds, before.timings
        added.seeds[seed] = scores
        self.results[number].found[contestant.name] = added

    def note_timings(self, number: int, timings: dict[str, dict[str, Timing]]) -> None:
        """Write the times of an item, by contestant and precision."""
        for name, of_contestant in timings.items():
            self.results[number].found[name].timings = of_contestant
        write_result(self._folder, self.results[number])


def _values(outputs: Outputs, item: Item, head: Head) -> list[float]:
    return [round(score.value, 4) for score in decode(outputs, item, head)]


def _time(run: GroupRun, of_group: _GroupResults, effort: Effort) -> None:
    """Time all contestants on an item together, at the first seed, each in every precision that it runs in."""
    untimed = of_group.untimed
    if not untimed:
        return
    timed = [contestant for contestant in of_group.contestants if contestant.timed]
    by_name = {contestant.name: contestant.make(run, 0) for contestant in timed}
    taking_part = {name: competitors for name, competitors in by_name.items() if competitors}
    heads = {name: heads_of(run, competitors) for name, competitors in taking_part.items()}
    for number in untimed:
        of_item = {name: (competitors[number], heads[name][number]) for name, competitors in taking_part.items()}
        of_group.note_timings(number, _timings(run.items[number].parts, of_item, effort))


def _timings(
    parts: Parts, competitors: Mapping[str, tuple[Competitor, Head]], effort: Effort
) -> dict[str, dict[str, Timing]]:
    """Return the times of each competitor on an item, by name and precision."""
    texts = [row.text for row in parts.dev]
    runtimes = {
        (name, runtime.name): runtime
        for name, (competitor, _) in competitors.items()
        for runtime in competitor.runtimes()
    }
    served = {
        f"{name} {precision}": _served(runtime.outputs, parts.item, competitors[name][1])
        for (name, precision), runtime in runtimes.items()
    }
    times = milliseconds(served, texts, effort)
    timings: dict[str, dict[str, Timing]] = {name: {} for name, _ in runtimes}
    for (name, precision), runtime in runtimes.items():
        alone, batched = times[f"{name} {precision}"]
        timings[name][precision] = Timing(
            bytes=runtime.bytes,
            alone_ms=round(alone, 4),
            batched_ms=round(batched, 4),
            values=_values(runtime.outputs(texts), parts.item, competitors[name][1]),
        )
    return timings


def _served(outputs: ScoreFunction, item: Item, head: Head) -> ScoreFunction:
    """Return a function from text to decoded scores, as the service runs it; its result are the outputs."""

    def serve(texts: Sequence[str]) -> Outputs:
        computed = outputs(texts)
        decode(computed, item, head)
        return computed

    return serve
