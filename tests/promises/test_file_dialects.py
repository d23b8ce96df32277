"""Read small files in the dialects that schools send: each gives the same rows."""

import csv
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from app.scoring.files.options import ReadOptions
from tests.programs import run
from tests.tiny import write_tiny_bundle
from tests.training.inside import call
from tests.workbooks import write_workbook
from training.data import read_data

ITEMS = """
- item_id: 12
  prompt: How warm is it?
  scale: continuous
  min_score: -1
  max_score: 6
- {item_id: heat-2, prompt: "Is air heavy?", scale: ordinal, labels: [no, yes]}
"""
HEAD = ["item_id", "response", "score", "label", "score_1", "score_2", "learner_id", "group_country"]
ROWS = [
    ["12", "warm; air, it rises", "2.5", "", "2", "3", "Ana@x", "DE"],
    ["heat-2", 'he said "no"\nand left', "", "yes", "", "", "7", ""],
    ["12", "NA", "1.125", "", "", "", "8", "FR"],
]
EXPECTED = [
    ("12", "warm; air, it rises", 2.5, (2, 3), "ana@x", (("country", "DE"),)),
    ("heat-2", 'he said "no"\nand left', 1, None, "7", ()),
    ("12", "NA", 1.125, None, "8", (("country", "FR"),)),
]


def changed(rows: Sequence[Sequence[str]], **columns: Callable[[str], str]) -> list[list[str]]:
    def change(row: Sequence[str]) -> list[str]:
        return [columns.get(name, str)(cell) for name, cell in zip(HEAD, row, strict=True)]

    return list(map(change, rows))


def text(rows: Sequence[Sequence[object]], head: Sequence[str] = HEAD, delimiter: str = ",", end: str = "\r\n") -> str:
    buffer = io.StringIO()
    csv.writer(buffer, delimiter=delimiter, lineterminator=end).writerows([head, *rows])
    return buffer.getvalue()


def comma(cell: str) -> str:
    return cell.replace(".", ",")


def spaced(rows: Sequence[Sequence[str]]) -> str:
    lines = []
    for row in [HEAD, *rows]:
        cells = [f'"{cell}"'.replace('he said "no"', 'he said ""no""') for cell in row]
        lines.append(", ".join(cells) + "\n")
    return "".join(lines)


def objects(**more: object) -> list[dict[str, object]]:
    """Return the rows as a program writes them: numbers as numbers, and no field for a missing value."""
    rows = []
    for row in ROWS:
        fields: dict[str, object] = dict(zip(HEAD, row, strict=True)) | more
        fields |= {name: float(str(fields[name])) for name in HEAD if name.startswith("score") and fields[name]}
        rows.append({name: value for name, value in fields.items() if value != "" or name == "response"})
    return rows


def workbook(path: Path) -> Path:
    rows = [list(map(_number_or_text, row)) for row in ROWS]
    return write_workbook(path, [HEAD, *rows], first_row=2)


def data_frame(path: Path) -> Path:
    columns: dict[str, list[float | str | None]] = {}
    for name, cells in zip(HEAD, zip(*ROWS, strict=True), strict=True):
        kind = float if name in ("score", "score_1", "score_2") else str
        columns[name] = [kind(cell) if cell else None for cell in cells]
    parquet.write_table(pa.table(columns), path)
    return path


def _number_or_text(cell: str) -> float | str:
    return float(cell) if cell.replace(".", "").isdigit() else cell


COMMAS = changed(ROWS, score=comma, score_1=comma, score_2=comma)
NOTHING = {"score": "NaN", "score_1": "NA", "score_2": "#N/A", "group_country": "null"}
MISSING = changed(ROWS, **{name: lambda cell, word=word: cell or word for name, word in NOTHING.items()})
TWICE = [*HEAD, "Points", "Points"]
TEXTS = {
    "excel.csv": ("﻿" + text(ROWS), ()),
    "excel-german.csv": (text(COMMAS, delimiter=";"), ()),
    "excel-upper-case.CSV": (text(ROWS), ()),
    "excel-sep-line.csv": ("sep=;\r\n" + text(COMMAS, delimiter=";"), ()),
    "excel-empty-columns.csv": (text([[*row, "", ""] for row in ROWS], [*HEAD, "", ""]), ()),
    "excel-empty-rows.csv": (text([*ROWS, [""] * len(HEAD), [""] * len(HEAD)]), ()),
    "excel-unicode-text.tsv": (text(ROWS, delimiter="\t"), ()),
    "tabs.csv": (text(COMMAS, delimiter="\t"), ()),
    "tabs.tsv": (text(ROWS, delimiter="\t", end="\n"), ()),
    "canvas-equal-names.csv": (text([[*row, "1", "2"] for row in ROWS], TWICE), ()),
    "spaces-after-commas.csv": (spaced(ROWS), ()),
    "pandas-index.csv": (text([[str(n), *row] for n, row in enumerate(ROWS)], ["", *HEAD], end="\n"), ()),
    "pandas-missing.csv": (text(MISSING, end="\n"), ()),
    "r-quoted.csv": (text(changed(ROWS, learner_id=lambda cell: f" {cell.upper()} ")), ()),
    "labels-in-capitals.csv": (text(changed(ROWS, label=str.upper)), ()),
    "told-decimal-comma.csv": (text(COMMAS), ("--decimal", ",")),
    "told-delimiter.csv": (text(ROWS, delimiter="|"), ("--delimiter", "|")),
    "lines.jsonl": ("".join(json.dumps(row) + "\n" for row in objects()), ()),
    "list.json": (json.dumps(objects(), indent=1), ()),
    "moodle.json": (json.dumps([objects(lastname="Li")]), ()),
}  # fmt: skip


def write_dialect(name: str, path: Path) -> tuple[str, ...]:
    """Write a file in a dialect; return the options it needs."""
    if path.suffix == ".xlsx":
        workbook(path)
    elif path.suffix == ".parquet":
        data_frame(path)
    else:
        encoding = "utf-16" if name == "excel-unicode-text.tsv" else "utf-8"
        path.write_bytes(TEXTS[name][0].encode(encoding))
        return TEXTS[name][1]
    return ()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "items.yaml").write_text(ITEMS)
    return tmp_path


@pytest.mark.parametrize("name", [*TEXTS, "workbook.xlsx", "data-frame.parquet"])
def test_every_dialect_gives_the_same_rows(folder: Path, name: str) -> None:
    options = write_dialect(name, folder / f"train{Path(name).suffix}")

    done = call("check", "--data", folder, "--json", folder / "found.json", *options)

    assert done.code == 0, done.stderr
    of_grades, of_labels = json.loads((folder / "found.json").read_text())
    assert (of_grades["train"], of_grades["learners"], of_grades["blank"]) == (2, 2, 0)
    assert of_grades["distribution"] == {"-1-0.75": 0, "0.75-2.5": 1, "2.5-4.25": 1, "4.25-6": 0}
    assert (of_labels["train"], of_labels["distribution"]) == (1, {"no": 0, "yes": 1})
    given_options = dict(zip(options[::2], options[1::2], strict=True))
    read = read_data(folder, ReadOptions(given_options.get("--delimiter"), given_options.get("--decimal")))  # type: ignore[arg-type]
    assert [(r.item_id, r.text, r.value, r.raters, r.learner_id, r.groups) for r in read.train] == EXPECTED


@pytest.mark.parametrize("name", [*TEXTS, "workbook.xlsx", "data-frame.parquet"])
def test_every_dialect_gives_the_same_scored_rows(folder: Path, name: str) -> None:
    """Line ends inside a response are kept."""
    write_tiny_bundle(folder / "models", "12", item={"scale": "continuous", "min_score": -1, "max_score": 6})
    write_tiny_bundle(folder / "models", "heat-2", item={"scale": "ordinal", "labels": ["no", "yes"]})
    file = folder / name
    options = [option for option in write_dialect(name, file) if "decimal" not in option and option != ","]

    done = run("scorelet", "score", file, "--out", folder / "scored.csv", "--models", folder / "models", *options)

    assert done.returncode == 0, done.stderr
    with (folder / "scored.csv").open(newline="") as scored:
        rows = [(row["item_id"], row["response"]) for row in csv.DictReader(scored)]
    assert rows == [(item_id, response) for item_id, response, *_ in EXPECTED]


@pytest.mark.parametrize(
    ("name", "notes"),
    [
        ("excel.csv", 0),
        ("excel-german.csv", 2),  # the delimiter and the decimal comma
        ("excel-unicode-text.tsv", 0),
        ("tabs.csv", 2),
        ("told-decimal-comma.csv", 0),
        ("lines.jsonl", 0),
    ],
)
def test_detected_format_is_reported(folder: Path, name: str, notes: int) -> None:
    options = write_dialect(name, folder / f"train{Path(name).suffix}")

    done = call("check", "--data", folder, *options)

    assert done.stderr.count("scorelet-train: train.") == notes
