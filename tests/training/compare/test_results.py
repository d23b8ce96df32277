from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.refusals import refused
from tests.training.compare.findings import outcome, result
from tests.training.compare.group_runs import texts_of
from tests.training.example_rows import GRADES, ITEM, item_data, other_dev
from training.compare.results import ItemResult, Seed, read_result, read_results, write_result
from training.config import TrainingConfig
from training.data import ItemData
from training.data.splits import split
from training.errors import BadResults


def begun(data: ItemData, data_sha256: str = "0" * 64) -> ItemResult:
    return ItemResult.begun(split(data, TrainingConfig()), "a group", data_sha256)


def test_written_results_read_back_unchanged(tmp_path: Path) -> None:
    whole = result(
        "heat-1", [0, 1, 3], raters=[(0, 0), (1, 2), (3, 3)], student=outcome([0, 1, 2], [1, 1, 3], timed=[0])
    )
    whole.found["student"].seeds[2] = Seed(values=[0.1234], predictions=[[0.25, 0.75]])
    grades = result("shade-6", [1.25, 6], "continuous", span=5, constant=outcome([3.1, 3.1], seconds=None))

    for one in (grades, whole):
        write_result(tmp_path, one)

    assert read_results(tmp_path) == [whole, grades]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["heat-1.result.json", "shade-6.result.json"]


@pytest.mark.parametrize("row_id", ["a},", 'a},"b', "a,", "found", 'say "air"', "línea\n", "\\"])
def test_any_row_id_survives(tmp_path: Path, row_id: str) -> None:
    data = item_data(20, 2)
    whole = begun(replace(data, dev=(replace(data.dev[0], id=row_id), data.dev[1])))
    whole.found["student"] = outcome([1, 2])

    write_result(tmp_path, whole)

    assert read_results(tmp_path) == [whole]


def test_results_begin_with_the_item(tmp_path: Path) -> None:
    data = item_data(20, 4, item=GRADES)
    first = begun(data)

    assert first.ids == [row.id for row in data.dev]
    assert first.human == [row.value for row in data.dev]
    assert first.raters == [row.raters for row in data.dev]
    assert (first.span, first.train, first.group) == (5, 20, "a group")
    assert read_result(tmp_path, first) is first


def test_raters_are_kept_if_every_row_has_two() -> None:
    data = item_data(20, 4)

    assert begun(replace(data, dev=(replace(data.dev[0], raters=None), *data.dev[1:]))).raters is None


def test_blank_rows_are_left_out() -> None:
    data = item_data(20, 4)

    assert begun(replace(data, dev=(replace(data.dev[0], text=" \n"), *data.dev[1:]))).ids == [
        row.id for row in data.dev[1:]
    ]


def test_no_file_holds_responses(tmp_path: Path) -> None:
    data = item_data(20, 10)

    write_result(tmp_path, begun(data))

    content = (tmp_path / "heat-1.result.json").read_text()
    assert not any(text in content for text in texts_of(data))
    assert ITEM.prompt not in content


def test_results_on_the_same_rows_are_kept(tmp_path: Path) -> None:
    kept = begun(item_data(20, 4))
    kept.found["student"] = outcome([0, 1, 2, 3])
    write_result(tmp_path, kept)

    assert read_result(tmp_path, begun(item_data(20, 4))) == kept


def test_results_on_other_rows_are_not_reused(tmp_path: Path) -> None:
    data = item_data(20, 4)
    kept = begun(data)
    kept.found["student"] = outcome([0, 1, 2, 3])
    write_result(tmp_path, kept)
    labels = ITEM.model_copy(update={"scale": "ordinal", "max_score": None, "labels": ("a", "b", "c", "d")})

    for other in (
        other_dev(data),
        replace(data, dev=data.dev[::-1]),
        replace(data, dev=data.dev[:3]),
        replace(data, dev=(replace(data.dev[0], value=1), *data.dev[1:])),
        replace(data, dev=(replace(data.dev[0], id="another"), *data.dev[1:])),
        replace(data, item=labels),
    ):
        assert read_result(tmp_path, begun(other)).found == {}


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("train", lambda data: replace(data, train=data.train[:12])),
        ("raters", lambda data: replace(data, dev=tuple(replace(row, raters=None) for row in data.dev))),
        ("span", lambda data: replace(data, item=data.item.model_copy(update={"max_score": 5}))),
    ],
    ids=["train", "raters", "span"],
)
def test_item_fields_follow_the_present_data(
    tmp_path: Path, name: str, changed: Callable[[ItemData], ItemData]
) -> None:
    kept = begun(item_data(20, 4))
    kept.found["student"] = outcome([0, 1, 2, 3])
    write_result(tmp_path, kept)
    now = begun(changed(item_data(20, 4)))
    assert getattr(now, name) != getattr(kept, name)

    assert getattr(read_result(tmp_path, now), name) == getattr(now, name)


@pytest.mark.parametrize("content", ["", "[]", '{"item_id": "heat-1"}', "no json"])
def test_file_that_is_no_result_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "strange.result.json").write_text(content)

    with refused(BadResults, "bad_results", file=tmp_path / "strange.result.json"):
        read_results(tmp_path)


def test_damaged_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "heat-1.result.json").write_text('{"item_id"')

    with refused(BadResults, "bad_results", file=tmp_path / "heat-1.result.json"):
        read_result(tmp_path, begun(item_data(20, 4)))


def test_results_of_other_data_are_not_reused(tmp_path: Path) -> None:
    data = item_data(20, 4)
    first = begun(data)
    first.found["student"] = outcome([1, 2, 3, 0])
    write_result(tmp_path, first)
    more = begun(data, "1" * 64)

    assert read_result(tmp_path, begun(data)).found == first.found
    assert read_result(tmp_path, more) is more
    write_result(tmp_path, first.model_copy(update={"data_sha256": None}))  # as in files of earlier versions
    assert read_result(tmp_path, more).found == first.found
