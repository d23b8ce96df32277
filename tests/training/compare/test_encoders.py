from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from app.scoring.decoding import Outputs, distribution
from app.scoring.item import Item
from tests.training.compare.group_runs import a_group_run, an_untaught_run, dev_texts, quick
from tests.training.conftest import tiny_settings
from tests.training.example_rows import GRADES, item_data
from training.compare.encoders import teachers
from training.pipeline.group_run import GroupRun
from training.teacher.ensemble import FineTuned

ITEMS = [
    GRADES.model_copy(update={"item_id": f"shade-{n}", "prompt": f"How {how}?"})
    for n, how in enumerate(["warm", "cold"])
]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, tiny_encoder: Path) -> GroupRun:
    """Return a run of two items that share a teacher of two members."""
    config = quick(tiny_settings(tiny_encoder))
    config = config.model_copy(update={"teacher": config.teacher.model_copy(update={"members": 2, "max_epochs": 1})})
    return a_group_run(config, tmp_path_factory.mktemp("cache"), *(item_data(20, 6, 2, item) for item in ITEMS))


def test_teacher_reads_the_context_of_each_item(run: GroupRun) -> None:
    first, second = teachers(run, 0)
    teacher = run.teacher

    assert teacher is not None
    for number, competitor in enumerate((first, second)):
        texts, context = dev_texts(run, number), run.group.context(run.items[number].parts.item)
        assert context
        assert np.abs(competitor.outputs(texts) - teacher.outputs(texts, context)).max() < 1e-5


def test_teacher_counts_all_members_and_shares_its_time(run: GroupRun) -> None:
    teacher = run.teacher
    assert isinstance(teacher, FineTuned)
    one = sum(parameter.numel() for parameter in teacher.members[0].network.parameters())
    timed = replace(
        teacher, members=tuple(replace(member, seconds=60.0 + n) for n, member in enumerate(teacher.members))
    )
    unknown = replace(teacher, members=(replace(teacher.members[0], seconds=None), teacher.members[1]))

    for taught, seconds in ((timed, 121 / 2), (unknown, None)):
        for competitor in teachers(replace(run, teacher=taught), 0):
            assert competitor.parameters == 2 * one
            assert competitor.seconds == seconds


def test_mixture_of_members_is_timed(run: GroupRun) -> None:
    competitor, item = teachers(run, 0)[1], run.items[1].parts.item
    texts = dev_texts(run, 1)

    whole, small = competitor.runtimes()

    assert (whole.name, small.name) == ("float32", "int8")
    assert small.bytes < whole.bytes
    assert difference(whole.outputs(texts), competitor.outputs(texts), item) < 1e-4
    assert difference(small.outputs(texts), competitor.outputs(texts), item) < 0.05


def difference(one: Outputs, other: Outputs, item: Item) -> float:
    return float(np.abs(distribution(one, item) - distribution(other, item)).max())


def test_no_teacher_makes_no_competitor() -> None:
    assert teachers(an_untaught_run(item_data(12, 4)), 0) == []
