"""Comparisons that reuse results: exactly the results of the same data, settings and contestants."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.training.compare.fakes import QUICK, A, B, Fakes, bytes_of, run
from tests.training.example_rows import other_dev
from training.compare import run as run_module
from training.compare.baselines import constant
from training.compare.contest import Contestant
from training.compare.figures import sections
from training.compare.results import read_results
from training.compare.run import SEEDS, compare
from training.config import Phrases, TrainingConfig
from training.data import ItemData


def test_repeated_call_trains_nothing(tmp_path: Path, config: TrainingConfig, fakes: Fakes) -> None:
    run(tmp_path, config, fakes, A, B)
    fakes.making()
    before = bytes_of(tmp_path)

    run(tmp_path, config, fakes, A, B)

    assert fakes.making() == []
    assert bytes_of(tmp_path) == before


def test_absent_contestant_is_not_tried_again(tmp_path: Path, config: TrainingConfig, fakes: Fakes) -> None:
    """A TinyBERT is absent if the teacher is small itself."""
    fakes.all.insert(1, fakes.of("absent", absent=True))
    result = run(tmp_path, config, fakes, A)["a"]
    assert result.found["absent"].seeds[0].values == []
    fakes.making()

    run(tmp_path, config, fakes, A)

    assert fakes.making() == []
    [section] = sections([result], {contestant.name: "any" for contestant in fakes.all})
    assert [row.name for row in section.contestants] == ["once", "seeded", "last"]


def test_settings_of_attacks_keep_results(tmp_path: Path, config: TrainingConfig, fakes: Fakes) -> None:
    run(tmp_path, config, fakes, A)
    fakes.making()

    run(tmp_path, config.model_copy(update={"phrases": Phrases(padding="und so weiter")}), fakes, A)

    assert fakes.making() == []


def test_unrelated_setting_keeps_results(tmp_path: Path, config: TrainingConfig, fakes: Fakes) -> None:
    fakes.all = [replace(fakes.of("linear"), reads=("split",), timed=False), replace(fakes.of("student"), timed=False)]
    run(tmp_path, config, fakes, A)
    fakes.making()

    wider = config.student.model_copy(update={"hidden": 2 * config.student.hidden})
    run(tmp_path, config.model_copy(update={"student": wider}), fakes, A)

    assert fakes.making() == [("student", 0, "a")]


def test_untimed_contestant_needs_no_times(tmp_path: Path, config: TrainingConfig, fakes: Fakes) -> None:
    fakes.all = [Contestant("constant", "the commonest score", False, constant, (), timed=False), fakes.of("once")]
    result = run(tmp_path, config, fakes, A)["a"]
    fakes.making()

    run(tmp_path, config, fakes, A)

    assert fakes.making() == []
    assert (result.found["constant"].timings, list(result.found["once"].timings)) == ({}, ["float32"])


def test_new_item_keeps_existing_results(tmp_path: Path, config: TrainingConfig, fakes: Fakes) -> None:
    run(tmp_path, config, fakes, A)
    fakes.making()
    before = bytes_of(tmp_path)
    written = (tmp_path / "results" / "a.result.json").stat().st_mtime_ns

    results = run(tmp_path, config, fakes, A, B)

    assert {item for _, _, item in fakes.making()} == {"b"}
    assert bytes_of(tmp_path)["a.result.json"] == before["a.result.json"]
    assert (tmp_path / "results" / "a.result.json").stat().st_mtime_ns == written
    assert results["b"].found.keys() == results["a"].found.keys()


def test_new_contestant_is_added(tmp_path: Path, config: TrainingConfig, fakes: Fakes) -> None:
    first = run(tmp_path, config, fakes, A)["a"]
    fakes.making()
    fakes.all.append(fakes.of("new"))

    second = run(tmp_path, config, fakes, A)["a"]

    assert fakes.making()[0] == ("new", 0, "a")
    assert list(second.found["new"].timings) == ["float32"]
    assert {name: second.found[name].seeds for name in first.found} == {n: f.seeds for n, f in first.found.items()}


def test_more_seeds_keep_times(tmp_path: Path, config: TrainingConfig, fakes: Fakes) -> None:
    seeded, all_seeded = fakes.of("seeded"), fakes.of("seeded", seeded=True)
    fakes.all = [seeded]
    one = run(tmp_path, config, fakes, A)["a"].found["seeded"]
    fakes.all = [replace(all_seeded, timed=False)]

    three = run(tmp_path, config, fakes, A)["a"].found["seeded"]

    assert (list(one.seeds), list(three.seeds)) == ([0], list(range(SEEDS)))
    assert one.timings
    assert three.timings == one.timings


def test_changed_settings_replace_results(tmp_path: Path, config: TrainingConfig, fakes: Fakes) -> None:
    first = run(tmp_path, config, fakes, A)["a"]
    whole = fakes.making()

    second = run(tmp_path, config.model_copy(update={"seed": 1}), fakes, A)["a"]

    assert fakes.making() == whole
    assert all(second.found[name].key != outcome.key for name, outcome in first.found.items())


@pytest.mark.parametrize("other", [replace(A, train=A.train[:16]), replace(A, unlabelled=()), other_dev(A)])
def test_changed_data_replace_results(tmp_path: Path, config: TrainingConfig, fakes: Fakes, other: ItemData) -> None:
    run(tmp_path, config, fakes, A)
    whole = fakes.making()

    result = run(tmp_path, config, fakes, other)["a"]

    assert fakes.making() == whole
    assert result.ids == [row.id for row in other.dev]
    assert {len(seed.values) for outcome in result.found.values() for seed in outcome.seeds.values()} == {
        len(other.dev)
    }


@pytest.mark.parametrize("dies", [("seeded", 0), ("seeded", 2), ("last", 0)])
def test_killed_comparison_resumes(tmp_path: Path, config: TrainingConfig, fakes: Fakes, dies: tuple[str, int]) -> None:
    whole = run(tmp_path / "whole", config, fakes, A)["a"]
    everything = [("once", 0), *(("seeded", seed) for seed in range(SEEDS)), ("last", 0)]
    fakes.making()
    fakes.dies = dies
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, config, fakes, A)
    before = [(name, seed) for name, seed, _ in fakes.making()]
    fakes.dies = None

    result = run(tmp_path, config, fakes, A)["a"]

    after = [(name, seed) for name, seed, _ in fakes.making()]
    assert before + after[: -len(fakes.all)] == everything  # at the end each is trained once more, for timing
    assert {name: outcome.seeds for name, outcome in result.found.items()} == {
        name: outcome.seeds for name, outcome in whole.found.items()
    }
    assert all(outcome.timings for outcome in result.found.values())


def test_later_call_adds_contestants_and_seeds(tmp_path: Path, config: TrainingConfig, fakes: Fakes) -> None:
    folders = (tmp_path / "results", tmp_path / "cache")
    compare([A], config, *folders, fakes.all[:2], 1, QUICK)
    assert [(name, seed) for name, seed, _ in fakes.making()][:2] == [("once", 0), ("seeded", 0)]

    compare([A], config, *folders, fakes.all, 2, QUICK)

    assert [(name, seed) for name, seed, _ in fakes.making()][:2] == [("seeded", 1), ("last", 0)]
    [result] = read_results(folders[0])
    assert {name: list(outcome.seeds) for name, outcome in result.found.items()} == {
        "once": [0],
        "seeded": [0, 1],
        "last": [0],
    }


def test_comparison_killed_while_timing_lacks_only_times(
    tmp_path: Path, config: TrainingConfig, fakes: Fakes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(run_module, "milliseconds", killed)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path, config, fakes, A)
    fakes.making()

    result = run(tmp_path, config, fakes, A)["a"]

    assert [(name, seed) for name, seed, _ in fakes.making()] == [("once", 0), ("seeded", 0), ("last", 0)]
    assert all(outcome.timings for outcome in result.found.values())
