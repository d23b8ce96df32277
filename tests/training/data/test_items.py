"""Items as people write them: labels and ids as the file shows them, and misspelt fields reported."""

import json
from pathlib import Path
from typing import Any

import pytest

from app.scoring.errors import BadRows
from app.scoring.item import Item
from tests.refusals import refused, rows_refused
from training.data import read_data
from training.data.items import read_items

NOMINAL = {"item_id": "heat-2", "prompt": "Is air heavy?", "scale": "nominal", "labels": ["yes", "no"]}
YAML = '- {{item_id: {item_id}, prompt: "Why?", scale: ordinal, labels: {labels}, grade: {grade}}}\n'


def yaml_item(tmp_path: Path, labels: str, item_id: str = "heat-2", grade: str = "8") -> Item:
    (tmp_path / "items.yaml").write_text(YAML.format(labels=labels, item_id=item_id, grade=grade))
    [item] = read_items(tmp_path / "items.yaml").items.values()
    return item


def json_item(tmp_path: Path, labels: str) -> Item:
    item = json.dumps(NOMINAL | {"labels": "LABELS"}).replace('"LABELS"', labels)
    (tmp_path / "items.jsonl").write_text(item + "\n")
    [read] = read_items(tmp_path / "items.jsonl").items.values()
    return read


@pytest.mark.parametrize(
    ("labels", "shown"),
    [
        ("[0, 0.5, 1]", ("0", "0.5", "1")),
        ("[0.50, 1.0]", ("0.50", "1.0")),
        ("[no, yes]", ("no", "yes")),
        ("[off, On, ON]", ("off", "On", "ON")),
        ("[true, FALSE]", ("true", "FALSE")),
        ("[2026-11-21, 1:30]", ("2026-11-21", "1:30")),
        ("[0x1F, 1_000, .5]", ("0x1F", "1_000", ".5")),
        ("[\"0\", 'no']", ("0", "no")),
    ],
)
def test_labels_of_yaml_are_texts(tmp_path: Path, labels: str, shown: tuple[str, ...]) -> None:
    assert yaml_item(tmp_path, labels).labels == shown


@pytest.mark.parametrize(
    ("labels", "shown"),
    [
        ("[0, 0.50, 1.0, 1e2]", ("0", "0.50", "1.0", "1e2")),
        ("[false, true]", ("false", "true")),
        ('["0", 1]', ("0", "1")),
    ],
)
def test_labels_of_json_are_texts(tmp_path: Path, labels: str, shown: tuple[str, ...]) -> None:
    assert json_item(tmp_path, labels).labels == shown


@pytest.mark.parametrize("labels", ["[~, yes]", "[null, 1]", "[[a], b]"])
def test_label_that_is_no_text_is_refused(tmp_path: Path, labels: str) -> None:
    with refused(BadRows) as caught:
        yaml_item(tmp_path, labels)

    assert rows_refused(caught.value.errors) == [("items.yaml", 1, "not_text")]
    assert caught.value.errors[0].fields == {"field": "labels.0"}


@pytest.mark.parametrize(("item_id", "grade", "read"), [("12", "8", 8), ("007", "8th", "8th"), ("2026", '"8"', "8")])
def test_numbers_in_text_fields_of_yaml_are_texts(tmp_path: Path, item_id: str, grade: str, read: object) -> None:
    item = yaml_item(tmp_path, "[a, b]", item_id, grade)

    assert (item.item_id, item.grade) == (item_id, read)


def test_feedback_bank_of_yaml_has_texts_as_keys(tmp_path: Path) -> None:
    (tmp_path / "items.yaml").write_text(
        "- {item_id: a, prompt: x, scale: nominal, labels: [no, yes], feedback: {no: Sorry., yes: 1}}\n"
        "- {item_id: b, prompt: x, scale: points, max_score: 2, feedback: {0: Sorry., 2: Yes!}}\n"
        "- {item_id: c, prompt: x, scale: continuous, min_score: 0, max_score: 2.5, feedback: {0.50: Sorry.}}\n"
    )

    a, b, c = read_items(tmp_path / "items.yaml").items.values()

    assert (a.feedback, b.feedback) == ({"no": "Sorry.", "yes": "1"}, {"0": "Sorry.", "2": "Yes!"})
    assert (c.max_score, c.banked_feedback(2)) == (2.5, "Sorry.")


def folder_of(tmp_path: Path, items: list[dict[str, Any]], rows: list[dict[str, Any]]) -> Path:
    for name, objects in (("items", items), ("train", rows)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in objects))
    return tmp_path


@pytest.mark.parametrize(
    ("labels", "given", "index"),
    [
        (["yes", "no"], " YES ", 0),
        (["yes", "no"], "No", 1),
        (["true", "false"], False, 1),
        (["0", "0.5", "1"], 0.5, 1),
        (["0", "0.5", "1"], 1.0, 2),  # a data frame with a gap makes all of them numbers
        (["0", "1"], "1.0", 1),
        (["1", "1.0"], "1.0", 1),
        (["Yes", "yes"], "yes", 1),  # they differ by case alone, so only the exact spelling counts
        (["none", "one"], "None", 0),
        (["NA", "Cl"], "NA", 0),  # sodium
    ],
)
def test_label_matches_by_its_text(tmp_path: Path, labels: list[str], given: object, index: int) -> None:
    row = {"item_id": "heat-2", "response": "warm", "label": given}

    [read] = read_data(folder_of(tmp_path, [NOMINAL | {"labels": labels}], [row])).train

    assert read.value == index


@pytest.mark.parametrize(
    ("labels", "given"),
    [(["Yes", "yes"], "YES"), (["1", "1.0"], "1.00"), (["yes", "no"], ["yes"]), (["yes", "no"], "ye s")],
)
def test_ambiguous_or_unknown_label_is_refused(tmp_path: Path, labels: list[str], given: object) -> None:
    row = {"item_id": "heat-2", "response": "warm", "label": given}

    with refused(BadRows) as caught:
        read_data(folder_of(tmp_path, [NOMINAL | {"labels": labels}], [row]))

    assert rows_refused(caught.value.errors) == [("train.jsonl", 1, "bad_label")]


@pytest.mark.parametrize(
    ("field", "near"),
    [
        ("reference_answer", "references"),
        ("label", "labels"),
        ("Rubric", "rubric"),
        ("promt", "prompt"),
        ("titel", "title"),
    ],
)
def test_misspelt_field_is_reported_with_the_likely_field(tmp_path: Path, field: str, near: str) -> None:
    item = {name: value for name, value in NOMINAL.items() if name != near} | {field: "x"}

    with refused(BadRows) as caught:
        read_data(folder_of(tmp_path, [item], []))

    [first, *_] = [error for error in caught.value.errors if error.code == "misspelt_field"]
    assert (first.line, first.fields) == (1, {"field": field, "near": near})


def test_unknown_field_is_noted_and_ignored(tmp_path: Path) -> None:
    data = read_data(folder_of(tmp_path, [NOMINAL | {"key_elements": ["x"], "topic": "air"}], []))

    assert list(data.items) == ["heat-2"]
    [note] = data.notes
    assert "key_elements" in note
    assert "topic" in note


def test_items_as_a_json_list(tmp_path: Path) -> None:
    (tmp_path / "items.json").write_text(json.dumps([NOMINAL, NOMINAL | {"item_id": "heat-3"}], indent=1))

    assert list(read_items(tmp_path / "items.json").items) == ["heat-2", "heat-3"]
