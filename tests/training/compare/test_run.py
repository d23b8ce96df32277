"""The order of a comparison, with contestants that train nothing; tests/training/cli/test_compare.py runs real ones."""

from dataclasses import replace
from pathlib import Path

import pytest

from app.scoring.item import Item
from tests.training.compare.fakes import A, B, Fakes, bytes_of, run
from tests.training.compare.group_runs import texts_of
from tests.training.conftest import shared
from tests.training.example_rows import GRADES, ITEM, item_data, other_dev, some_items
from training.compare.figures import sections
from training.compare.run import CONTESTANTS, TITLES
from training.config import TrainingConfig


def test_every_contestant_has_seeds_and_times(tmp_path: Path, config: TrainingConfig, fakes: Fakes) -> None:
    result = run(tmp_path, config, fakes, A)["a"]

    assert {name: sorted(outcome.seeds) for name, outcome in result.found.items()} == {
        "once": [0],
        "seeded": [0, 1, 2],
        "last": [0],
    }
    for outcome in result.found.values():
        assert (outcome.parameters, outcome.seconds, list(outcome.timings)) == (7, 1.5, ["float32"])
        assert outcome.timings["float32"].bytes == 99
        assert outcome.timings["float32"].values == outcome.seeds[0].values
        for seed in outcome.seeds.values():
            assert len(seed.values) == len(seed.predictions) == len(result.ids) == 20
            assert all(sum(row) == pytest.approx(1, abs=0.01) for row in seed.predictions)


@pytest.mark.parametrize("item", [ITEM, GRADES], ids=["points", "grades"])
def test_items_that_share_a_teacher_are_compared_together(
    tmp_path: Path, config: TrainingConfig, fakes: Fakes, item: Item
) -> None:
    """The last of three items has no dev rows."""
    items = some_items(item)

    results = run(tmp_path, shared(config), fakes, *items, timed_items=1)

    assert fakes.making()[:2] == [("once", 0, "few-0"), ("seeded", 0, "few-0")]
    assert {result.group for result in results.values()} == {"few-0 and 2 more"}
    timed = {name: {bool(outcome.timings) for outcome in result.found.values()} for name, result in results.items()}
    assert timed == {"few-0": {True}, "few-1": {False}, "few-2": {False}}
    [section] = sections(list(results.values()), {"once": "the one"})
    assert (section.items, section.rows) == (2, 24)
    fakes.making()
    run(tmp_path, shared(config), fakes, *items, timed_items=1)
    assert fakes.making() == []


def test_item_without_dev_rows_stops_nothing(tmp_path: Path, config: TrainingConfig, fakes: Fakes) -> None:
    results = run(tmp_path, config, fakes, replace(A, dev=()), B)

    assert results["a"].ids == []
    assert all(outcome.seeds[0].values == [] and not outcome.timings for outcome in results["a"].found.values())
    [section] = sections(list(results.values()), {"once": "the one"})
    assert list(section.contestants[0].items) == ["b"]


def test_heads_are_chosen_without_dev_rows(tmp_path: Path, config: TrainingConfig, fakes: Fakes) -> None:
    """A response has the same score beside any other dev rows."""
    longer = replace(A, dev=(*A.dev, *other_dev(item_data(20, 12, 0, A.item)).dev))
    longer = replace(longer, dev=tuple(replace(row, id=f"d{number}") for number, row in enumerate(longer.dev)))

    first, second = (
        run(tmp_path / name, config, fakes, data)["a"].found["seeded"].seeds[1].values
        for name, data in (("first", A), ("second", longer))
    )

    assert second[: len(first)] == first
    assert len(second) == 26


def test_no_file_holds_responses(tmp_path: Path, config: TrainingConfig, fakes: Fakes) -> None:
    run(tmp_path, config, fakes, A)

    content = b"".join(bytes_of(tmp_path).values()).decode()
    assert not any(text in content for text in texts_of(A))


def test_names_and_titles_of_contestants_are_unique() -> None:
    assert len(TITLES) == len(set(TITLES.values())) == len(CONTESTANTS)
    assert {"student", "teacher", "tiny_bert"} < set(TITLES)
