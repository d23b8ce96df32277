import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.scoring.errors import BadRows
from tests.refusals import refused, rows_refused
from tests.training.feedback.told import ITEM, OTHER, as_row, told, write_data
from training.errors import TooFewRows, UnknownItems
from training.feedback.data import read_feedback, says_more


def test_rows_with_feedback_are_read(tmp_path: Path) -> None:
    data = read_feedback(write_data(tmp_path), ())

    assert (len(data.train), len(data.dev)) == (180, 24)
    ids = [row.marked.id for part in (data.train, data.dev) for row in part]
    assert len(set(ids)) == len(ids)
    assert {row.feedback for row in data.dev} <= {told(n, i).feedback for n in range(102) for i in (ITEM, OTHER)}
    assert all(row.feedback == told(int(row.marked.id.split("-")[-1]), row.item).feedback for row in data.train)
    assert data.items == (ITEM, OTHER)


def test_only_named_items_are_read(tmp_path: Path) -> None:
    data = read_feedback(write_data(tmp_path), ["cold-2"])

    assert data.items == (OTHER,)
    assert {row.item.item_id for row in data.dev} == {"cold-2"}


def test_unknown_item_is_refused(tmp_path: Path) -> None:
    with refused(UnknownItems, "unknown_items", folder=tmp_path, items=["cold-3"]):
        read_feedback(write_data(tmp_path), ["cold-2", "cold-3"])


def test_hash_depends_on_items_rows_and_feedback(tmp_path: Path) -> None:
    folder = write_data(tmp_path)
    first = read_feedback(folder, ()).sha256
    assert read_feedback(folder, ()).sha256 == first

    train = folder / "train.jsonl"
    train.write_text(train.read_text().replace("Wrong: heat is not named here.", "Wrong.", 1))

    assert read_feedback(folder, ()).sha256 != first


def test_rows_without_feedback_or_words_are_left_out(tmp_path: Path) -> None:
    folder = write_data(tmp_path, rows=30)
    rows = [as_row(told(number)) for number in range(30)]
    rows[0]["feedback"], rows[1]["feedback"], rows[2]["response"] = "", None, "  "
    del rows[3]["feedback"]
    (folder / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))

    data = read_feedback(folder, ())

    assert len(data.train) == 26


@pytest.mark.parametrize("feedback", [5, ["Good."], "a\0b"])
def test_feedback_that_is_no_text_is_reported_with_file_and_line(tmp_path: Path, feedback: Any) -> None:
    folder = write_data(tmp_path)
    rows = [as_row(told(number)) | ({"feedback": feedback} if number == 4 else {}) for number in range(30)]
    (folder / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))

    with pytest.raises(BadRows) as caught:
        read_feedback(folder, ())

    assert [(file, line) for file, line, _ in rows_refused(caught.value.errors)] == [("train.jsonl", 5)]


def test_data_without_feedback_are_refused(tmp_path: Path) -> None:
    folder = write_data(tmp_path)
    rows = [{k: v for k, v in as_row(told(number)).items() if k != "feedback"} for number in range(30)]
    (folder / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))

    with refused(TooFewRows, "no_feedback", folder=folder):
        read_feedback(folder, ())


def test_repeated_feedback_is_a_bare_verdict() -> None:
    long = "The response names the cause but not the effect."
    known = [replace(told(1), feedback=long), replace(told(2), feedback="You forgot what makes air rise at all.")]
    asked = [
        replace(told(3), feedback=long),  # as on another response
        replace(told(4), feedback="Nothing is said here of the sun's own warmth."),
        replace(told(5), feedback="Correct and complete."),  # too short for more than a verdict
        replace(told(6, OTHER), feedback="You forgot what makes air rise at all."),  # on another item
    ]

    assert says_more(asked, known) == [False, True, False, True]
    assert says_more(known, known) == [True, True]


def test_feedback_without_spaces_may_be_more_than_a_verdict() -> None:
    rows = [replace(told(1), feedback="回答正确。"), replace(told(2), feedback="你没有说明空气为什么会上升。")]

    assert says_more(rows, ()) == [False, True]
