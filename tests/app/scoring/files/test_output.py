import csv
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.scoring.files.output import ORIGIN_MARK, CannotWrite, guarded, is_ours, refuse_to_lose, unguarded
from tests.refusals import refused


@pytest.mark.parametrize(
    "text",
    [
        "=1+1", "+1+1", "-1+1", "@SUM(A1)", "\tx", "\rx", "\nx", "＝1+1", "＋1", "－1", "＠A1", " =1+1", "\u00a0=1",
        "\u200b=1", "\ufeff@x", " \t\u200b\u3000=x", "=", "-", "- an item of a list", "'", "'=1+1", "''", "'s",
    ],
)  # fmt: skip
def test_formulas_and_cells_with_a_guard_get_a_guard(text: str) -> None:
    assert guarded(text) == f"'{text}"
    assert unguarded(guarded(text)) == text


@pytest.mark.parametrize("text", ["", "a", "a=b", "5-3", "-5", "+5", "-1.5", "-1,5", "-1e-05", " ", "ä"])
def test_numbers_and_other_texts_get_no_guard(text: str) -> None:
    assert guarded(text) == text
    assert unguarded(guarded(text)) == text


@given(text=st.text() | st.text(alphabet="'=+-@ \t\r\n＝1.,e"))
def test_unguarded_reverses_guarded(text: str) -> None:
    assert unguarded(guarded(text)) == text


def test_files_of_scorelet_are_recognised_by_their_mark(tmp_path: Path) -> None:
    with (tmp_path / "a.csv").open("w") as file:
        csv.writer(file).writerows([["id", ORIGIN_MARK], ["a", "guarded"]])
    (tmp_path / "b.csv").write_text("id\nscorelet\n")

    assert is_ours(tmp_path / "a.csv")
    assert not is_ours(tmp_path / "b.csv")


def test_input_is_never_overwritten(tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_text(ORIGIN_MARK)  # A file of scorelet would be lost too, forced or not.
    (tmp_path / "soft.csv").symlink_to(source)
    os.link(source, tmp_path / "hard.csv")
    (tmp_path / "folder").mkdir()

    for name in ("in.csv", "soft.csv", "hard.csv", "folder/../in.csv"):
        with refused(CannotWrite, "own_input"):
            refuse_to_lose([tmp_path / name], [source], force=True)


def test_other_files_are_overwritten_only_if_forced(tmp_path: Path) -> None:
    theirs, ours, new = tmp_path / "theirs.csv", tmp_path / "ours.csv", tmp_path / "new.csv"
    theirs.write_text("item_id\n")
    ours.write_text(f"id,{ORIGIN_MARK}\n")

    with refused(CannotWrite, "not_ours", path=theirs):
        refuse_to_lose([ours, theirs], [], force=False)
    refuse_to_lose([ours, new, None], [], force=False)
    refuse_to_lose([theirs], [], force=True)


def test_impossible_output_is_reported_before_the_work(tmp_path: Path) -> None:
    for path, code in ((tmp_path / "no" / "a.csv", "no_folder"), (tmp_path, "is_folder")):
        with refused(CannotWrite, code):
            refuse_to_lose([path], [], force=True)
    with refused(CannotWrite, "output_twice"):
        refuse_to_lose([tmp_path / "a.csv", tmp_path / "." / "a.csv"], [], force=True)
