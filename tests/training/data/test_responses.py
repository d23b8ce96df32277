import json
from pathlib import Path
from typing import Any

import pytest

from app.scoring.errors import BadRows
from app.scoring.text import MAX_CHARACTERS
from tests.editors import FORMS
from tests.refusals import refused, rows_refused
from training.data import ItemData, read_data
from training.errors import BadFolder

ITEMS: list[dict[str, Any]] = [
    {"item_id": "heat-1", "prompt": "Why does heat rise?", "scale": "points", "max_score": 2, "key_elements": ["x"]},
    {"item_id": "heat-2", "prompt": "Is air heavy?", "scale": "nominal", "labels": ["yes", "no"], "title": None},
]
GRADES = {"item_id": "shade-6", "prompt": "How warm is it?", "scale": "continuous", "min_score": -1, "max_score": 6}


def a_folder(tmp_path: Path, **files: list[Any] | str) -> Path:
    """Write a folder: `train=[…]` becomes train.jsonl, and a text goes unchanged to the file that its key names."""
    for name, content in {"items": ITEMS, **files}.items():
        if isinstance(content, str):
            (tmp_path / name.replace("_", ".")).write_text(content)
        else:
            (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in content))
    return tmp_path


def test_points_and_labels_become_values(tmp_path: Path) -> None:
    data = read_data(
        a_folder(
            tmp_path,
            train=[
                {"id": 7, "item_id": "heat-1", "response": "warm air", "score": 2.0, "score_1": 2, "score_2": 1},
                {"item_id": "heat-2", "response": "it is", "label": "no", "group_sex": "f", "learner_id": "n1"},
                {"item_id": "heat-2", "response": "it was", "label": "no", "score_1": "no", "score_2": "yes"},
            ],
            unlabelled=[{"item_id": "heat-1", "response": "dunno"}],
        )
    )

    first, second, third = data.train
    assert (first.id, first.value, first.raters) == ("7", 2, (2, 1))
    assert (second.id, second.value, second.raters) == ("train-2", 1, None)
    assert third.raters == (1, 0)
    assert (second.learner_id, second.groups) == ("n1", (("sex", "f"),))
    assert data.dev == ()
    assert [row.text for row in data.of("heat-1").unlabelled] == ["dunno"]


@pytest.mark.parametrize(
    ("score", "value"),
    [(2.5, 2.5), (6, 6), (-1, -1), (0, 0), ("2.25", 2.25), ("-0.5", -0.5), (1e-3, 0.001)],
)
def test_grade_is_any_number_on_the_scale(tmp_path: Path, score: float | str, value: float) -> None:
    row = {"item_id": "shade-6", "response": "warm", "score": score, "score_1": 1.5, "score_2": "3.75"}

    [read] = read_data(a_folder(tmp_path, items=[GRADES], train=[row])).train

    assert (read.value, read.raters) == (value, (1.5, 3.75))


def test_grades_are_read_from_csv(tmp_path: Path) -> None:
    train = "item_id,response,score,score_1,score_2\nshade-6,warm air,2.5,2,3\nshade-6,cold,6,,\n"

    first, second = read_data(a_folder(tmp_path, items=[GRADES], train_csv=train)).train

    assert (first.value, first.raters) == (2.5, (2, 3))
    assert (second.value, second.raters) == (6, None)


@pytest.mark.parametrize(
    ("train", "missing"),
    [
        ("item_id,response,mark\nheat-1,warm,2\n", ["score"]),
        ("item_id,response,score\nheat-2,warm,1\n", ["label"]),
        ("item_id,response,score\nheat-1,warm,1\nheat-2,so,1\n", ["label"]),
        ("item_id,answer\nheat-1,warm\n", ["response", "score"]),
    ],
)
def test_missing_column_is_reported_once(tmp_path: Path, train: str, missing: list[str]) -> None:
    with refused(BadRows) as caught:
        read_data(a_folder(tmp_path, train_csv=train, unlabelled_csv="item,response\nheat-1,warm\n"))

    assert rows_refused(caught.value.errors) == [("train.csv", 1, "no_column"), ("unlabelled.csv", 1, "no_column")]
    assert caught.value.errors[0].fields["columns"] == missing


def test_every_file_without_rows_is_reported(tmp_path: Path) -> None:
    with refused(BadRows) as caught:
        read_data(a_folder(tmp_path, train_csv="item_id,answer\n", unlabelled_csv="item_id,response\n"))

    assert rows_refused(caught.value.errors) == [("train.csv", 1, "no_rows"), ("unlabelled.csv", 1, "no_rows")]


def test_folder_without_items_is_refused(tmp_path: Path) -> None:
    with refused(BadRows) as caught:
        read_data(a_folder(tmp_path, items=[], train=[]))

    assert rows_refused(caught.value.errors) == [("items.jsonl", 1, "no_items")]


@pytest.mark.parametrize(
    ("fields", "code", "column"),
    [
        ({}, "bad_score", "score"),
        ({"score": ""}, "bad_score", "score"),
        ({"score": 6.01}, "bad_score", "score"),
        ({"score": -1.5}, "bad_score", "score"),
        ({"score": "2,5"}, "ambiguous_comma", "score"),
        ({"score": "NaN"}, "bad_score", "score"),
        ({"score": float("nan")}, "bad_score", "score"),
        ({"score": "inf"}, "bad_score", "score"),
        ({"score": float("inf")}, "bad_score", "score"),
        ({"score": True}, "bad_score", "score"),
        ({"score": [3]}, "bad_score", "score"),
        ({"score": 10**400}, "bad_score", "score"),
        ({"label": "warm"}, "bad_score", "score"),
        ({"score": 2.5, "score_1": 2.5, "score_2": 7}, "bad_score", "score_2"),
    ],
)
def test_bad_grade_is_refused(tmp_path: Path, fields: dict[str, Any], code: str, column: str) -> None:
    good = {"item_id": "shade-6", "response": "warm", "score": 2.5}
    bad = {"item_id": "shade-6", "response": "warm"} | fields

    with refused(BadRows) as caught:
        read_data(a_folder(tmp_path, items=[GRADES], train=[good, bad]))

    assert rows_refused(caught.value.errors) == [("train.jsonl", 2, code)]
    assert caught.value.errors[0].fields["column"] == column


def test_csv_and_yaml_are_read_like_jsonl(tmp_path: Path) -> None:
    folder = a_folder(
        tmp_path,
        items_yaml="- item_id: heat-1\n  prompt: Why?\n  scale: points\n  max_score: 2\n",
        train_csv="item_id,response,score,score_1,score_2\nheat-1,warm air,2,,\n",
    )
    (folder / "items.jsonl").unlink()

    [row] = read_data(folder).train

    assert (row.value, row.raters) == (2, None)


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ({"item_id": "heat-9", "response": "x", "score": 1}, "unknown_item"),
        ({"item_id": ["heat-1"], "response": "x", "score": 1}, "unknown_item"),
        ({"item_id": " ", "response": "x", "score": 1}, "missing"),
        ({"response": "x", "score": 1}, "missing"),
        ({"item_id": "heat-1", "score": 1}, "missing"),
        ({"item_id": "heat-1", "response": 5, "score": 1}, "not_text"),
        ({"item_id": "heat-1", "response": "a\0b", "score": 1}, "nul"),
        ({"item_id": "heat-1", "response": "x"}, "bad_score"),
        ({"item_id": "heat-1", "response": "x", "score": 3}, "bad_score"),
        ({"item_id": "heat-1", "response": "x", "score": -1}, "bad_score"),
        ({"item_id": "heat-1", "response": "x", "score": 1.5}, "bad_score"),
        ({"item_id": "heat-1", "response": "x", "score": True}, "bad_score"),
        ({"item_id": "heat-1", "response": "x", "score": "NaN"}, "bad_score"),
        ({"item_id": "heat-1", "response": "x", "score": 1, "score_1": 1, "score_2": 9}, "bad_score"),
        ({"item_id": "heat-1", "response": "x", "score": 10**400}, "bad_score"),
        ({"item_id": "heat-2", "response": "x", "label": "maybe"}, "bad_label"),
        ({"item_id": "heat-2", "response": "x", "label": None}, "bad_label"),
    ],
)
def test_bad_row_is_reported_with_file_line_and_code(tmp_path: Path, row: dict[str, Any], code: str) -> None:
    good = {"item_id": "heat-1", "response": "warm", "score": 1}

    with refused(BadRows) as caught:
        read_data(a_folder(tmp_path, train=[good, row]))

    assert rows_refused(caught.value.errors) == [("train.jsonl", 2, code)]


def test_bad_rows_of_all_files_are_reported_together(tmp_path: Path) -> None:
    bad = {"item_id": "heat-1", "response": "warm", "score": 9}

    with refused(BadRows) as caught:
        read_data(a_folder(tmp_path, train=[bad], dev=[bad], unlabelled=[{"item_id": "heat-1"}]))

    assert rows_refused(caught.value.errors) == [
        ("train.jsonl", 1, "bad_score"),
        ("dev.jsonl", 1, "bad_score"),
        ("unlabelled.jsonl", 1, "missing"),
    ]


@pytest.mark.parametrize(("other", "of_another_item"), [({}, False), ({"item_id": "heat-2", "label": "no"}, True)])
def test_repeated_id_is_refused(tmp_path: Path, other: dict[str, Any], of_another_item: bool) -> None:
    """An id on several items is most likely a learner's."""
    row = {"id": "a", "item_id": "heat-1", "response": "warm", "score": 1}

    with refused(BadRows) as caught:
        read_data(a_folder(tmp_path, train=[row, row | other]))

    assert rows_refused(caught.value.errors) == [("train.jsonl", 2, "id_twice")]
    assert caught.value.errors[0].fields == {"id": "a", "first_line": 1, "other_item": of_another_item}
    assert ("learner_id" in str(caught.value)) is of_another_item


@pytest.mark.parametrize(
    ("item", "code"),
    [
        ({"prompt": "Why?", "scale": "points", "max_score": 2}, "missing"),
        ({"item_id": "heat-3", "prompt": "Why?", "scale": "points"}, None),
        ({"item_id": "heat-3", "prompt": "Why?", "scale": "continuous", "max_score": 6}, None),
        (GRADES | {"min_score": 6}, None),
        ({"item_id": "heat-1", "prompt": "Why?", "scale": "points", "max_score": 2}, "item_twice"),
        ({"item_id": "two words", "prompt": "Why?", "scale": "points", "max_score": 2}, "bad_item_id"),
        ({"item_id": "-1", "prompt": "Why?", "scale": "points", "max_score": 2}, "bad_item_id"),
        ({"item_id": "wärme", "prompt": "Why?", "scale": "points", "max_score": 2}, "bad_item_id"),
        ({"item_id": "h" * 129, "prompt": "Why?", "scale": "points", "max_score": 2}, "bad_item_id"),
        ({"item_id": ["heat-1"], "prompt": "Why?", "scale": "points", "max_score": 2}, "bad_item_id"),
    ],
)
def test_bad_item_is_refused(tmp_path: Path, item: dict[str, Any], code: str | None) -> None:
    with refused(BadRows) as caught:
        read_data(a_folder(tmp_path, items=[*ITEMS, item], train=[]))

    [(file, line, reported)] = rows_refused(caught.value.errors)
    assert (file, line) == ("items.jsonl", 3)
    assert code in (None, reported)
    assert "regular" not in str(caught.value)
    assert "[A-Z" not in str(caught.value)  # the rule is in words


@pytest.mark.parametrize("content", ["just text", "- [1]", "a: [", "\tx"])
def test_yaml_without_a_list_of_items_is_refused(tmp_path: Path, content: str) -> None:
    folder = a_folder(tmp_path, items_yaml=content, train=[])
    (folder / "items.jsonl").unlink()

    with refused(BadRows) as caught:
        read_data(folder)
    assert {file for file, _, _ in rows_refused(caught.value.errors)} == {"items.yaml"}


def test_folder_without_data_is_refused(tmp_path: Path) -> None:
    with refused(BadFolder, "files_missing", folder=tmp_path):
        read_data(tmp_path)


def test_two_files_for_a_part_are_refused(tmp_path: Path) -> None:
    with refused(BadFolder, "file_twice", names=["train.csv", "train.jsonl"]):
        read_data(a_folder(tmp_path, train=[], train_csv="item_id,response,score\n"))


def test_hash_depends_on_every_row(tmp_path: Path) -> None:
    row = {"item_id": "heat-1", "response": "warm", "score": 1}
    before = read_data(a_folder(tmp_path, train=[row])).of("heat-1").sha256

    assert read_data(a_folder(tmp_path, train=[row])).of("heat-1").sha256 == before
    assert read_data(a_folder(tmp_path, train=[row | {"score": 2}])).of("heat-1").sha256 != before


def test_hash_depends_on_every_field_that_differs_from_its_default(tmp_path: Path) -> None:
    row = {"item_id": "heat-1", "response": "warm", "score": 1}
    items: list[dict[str, Any]] = [{**ITEMS[0], "refusals": []}, {**ITEMS[0], "refusals": ["no comment"]}]
    before = read_data(a_folder(tmp_path, train=[row])).of("heat-1").sha256

    empty, given = (
        read_data(a_folder(tmp_path, items=[item, ITEMS[1]], train=[row])).of("heat-1").sha256 for item in items
    )

    assert empty == before
    assert given != before


def test_errors_never_show_a_learners_words(tmp_path: Path) -> None:
    words = "my dog died so i did not study"
    rows = [
        {"item_id": "heat-1", "response": "x", "score": words},
        {"item_id": "heat-2", "response": "x", "label": words},
        {"item_id": words, "response": "heat-1", "score": 1},
        {"item_id": "heat-1", "response": [words], "score": 1},
    ]

    with refused(BadRows, count=4) as caught:
        read_data(a_folder(tmp_path, train=rows))

    assert "dog" not in str(caught.value)


@pytest.mark.parametrize("form", FORMS)
def test_training_reads_responses_without_mark_up(tmp_path: Path, form: str) -> None:
    texts = ["warm air. It rises", 'air < 3 & "cold"']

    def read(sent: list[str], folder: Path) -> ItemData:
        folder.mkdir()
        train = [{"item_id": "heat-1", "response": text, "score": 1} for text in sent]
        unlabelled = [{"item_id": "heat-1", "response": text} for text in sent]
        return read_data(a_folder(folder, train=train, dev=train, unlabelled=unlabelled)).of("heat-1")

    plain, marked_up = read(texts, tmp_path / "a"), read([FORMS[form](text) for text in texts], tmp_path / "b")

    assert [[row.text for row in rows] for rows in (marked_up.train, marked_up.dev)] == [texts, texts]
    assert [row.text for row in marked_up.unlabelled] == texts
    assert marked_up.sha256 == plain.sha256  # both train the same bundle


def test_training_reads_mark_up_as_text_if_the_item_says_so(tmp_path: Path) -> None:
    items = [ITEMS[0] | {"format": "text"}]
    row = {"item_id": "heat-1", "response": "<p>warm</p>", "score": 1}

    data = read_data(a_folder(tmp_path, items=items, train=[row], unlabelled=[row]))

    assert [data.train[0].text, data.unlabelled[0].text] == ["<p>warm</p>"] * 2
    with pytest.raises(BadRows):
        read_data(a_folder(tmp_path, items=[ITEMS[0] | {"format": "markdown"}], train=[row]))


def test_length_limit_applies_to_the_plain_text(tmp_path: Path) -> None:
    texts = ["<p>" * MAX_CHARACTERS + "warm", "&amp;" * MAX_CHARACTERS, "<p>" + "x" * (MAX_CHARACTERS + 1)]
    rows = [{"item_id": "heat-1", "response": text, "score": 1} for text in texts]

    with pytest.raises(BadRows) as caught:
        read_data(a_folder(tmp_path, train=rows))

    assert [(name, line) for name, line, _ in rows_refused(caught.value.errors)] == [("train.jsonl", 3)]
