"""Damage files of responses and items: each is read, or every fault is reported with file and line."""

import json
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from app.scoring.errors import BadRows
from app.scoring.registry import Registry
from app.scoring.row_files import FORMATS, read_rows
from app.scoring.score_file import check_rows, judge_rows, write_table
from tests.fuzz.cases import TEXTS, VALUES, altered, cases, damaged
from tests.refusals import refused, rows_refused
from tests.tiny import write_tiny_bundle
from tests.workbooks import write_workbook
from training.data import read_data
from training.data.items import read_items

ITEMS: list[dict[str, Any]] = [
    {"item_id": "heat-1", "prompt": "Why?", "scale": "points", "max_score": 3, "feedback": {"0": "No.", "3": "Yes."}},
    {"item_id": "plants-2", "prompt": "Why?", "scale": "ordinal", "labels": ["missing", "complete"], "grade": 8},
    {"item_id": "shade-6", "prompt": "Why?", "scale": "continuous", "min_score": 1, "max_score": 6, "title": "Shade"},
]
ROWS: list[dict[str, Any]] = [
    {"id": "a", "item_id": "heat-1", "response": "warm air", "score": 2, "score_1": 2, "score_2": 3, "group_l1": "de"},
    {"id": "b", "item_id": "plants-2", "response": "light,\nair", "label": "complete", "learner_id": "x"},
    {"id": "c", "item_id": "shade-6", "response": 'it "moves"', "score": 3.5},
]
YAML = """
- item_id: heat-1
  prompt: Why?
  scale: points
  max_score: 3
  feedback: {0: No., 3: "Yes."}
- &plants {item_id: plants-2, prompt: |
    Why?, scale: ordinal, labels: [missing, complete]}
- <<: *plants
  item_id: 2026-11-21
  references: [!!str 7, ~, .nan, 0x1F, 1_000, 12:30:45]
"""
CSV = 'id,item_id,response,score,label\na,heat-1,"warm ""air"",\nrises",2,\nb,plants-2,light,,complete\r\n'


def lines(objects: list[Any]) -> bytes:
    return "".join(json.dumps(each) + "\n" for each in objects).encode()


JSONL = altered(ROWS).map(lambda rows: lines(rows if isinstance(rows, list) else [rows])) | damaged(lines(ROWS))
COLUMNS = st.lists(st.sampled_from(["id", "item_id", "response", "score", "label"]) | TEXTS, max_size=6)
CELLS = st.lists(st.lists(st.sampled_from(["heat-1", "warm", "2", "complete", "nan", "1e999"]) | TEXTS, max_size=6))
TABLES = st.tuples(COLUMNS, CELLS, st.sampled_from([",", ";", "\t"])).map(
    lambda table: "\n".join(table[2].join(row) for row in [table[0], *table[1]]).encode(errors="surrogatepass")
)
LISTS = altered(ROWS).map(lambda rows: json.dumps(rows).encode()) | damaged(json.dumps([ROWS]).encode())


def binary(name: str) -> bytes:
    """Return ROWS as a workbook or a data frame."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        head = list(dict.fromkeys(name for row in ROWS for name in row))
        if path.suffix == ".xlsx":
            write_workbook(path, [head, *([row.get(name, "") for name in head] for row in ROWS)])
        else:
            parquet.write_table(pa.Table.from_pylist(ROWS), path)
        return path.read_bytes()


RESPONSES = (
    st.tuples(st.just(".jsonl"), JSONL)
    | st.tuples(st.just(".json"), LISTS)
    | st.tuples(st.sampled_from([".csv", ".tsv"]), TABLES | damaged(CSV.encode()))
    | st.tuples(st.just(".xlsx"), damaged(binary("rows.xlsx")))
    | st.tuples(st.just(".parquet"), damaged(binary("rows.parquet")))
)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    models = tmp_path_factory.mktemp("models")
    for item in ITEMS:
        write_tiny_bundle(models, item["item_id"], item=item)
    return Registry.from_folder(models)


@given(file=RESPONSES)
@cases(150)
def test_altered_file_of_responses_is_read_or_reported(
    registry: Registry, tmp_path: Path, file: tuple[str, bytes]
) -> None:
    suffix, content = file
    path = tmp_path / f"responses{suffix}"
    path.write_bytes(content)
    with suppress(BadRows):
        rows = read_rows(path)
        check_rows(registry, rows)
        write_table(tmp_path / "scored.csv", registry, rows, judge_rows(registry, rows))
        assert len(read_rows(tmp_path / "scored.csv")) == len(rows)


@given(items=altered(ITEMS), rows=RESPONSES)
@cases(80)
def test_altered_training_data_is_read_or_reported(tmp_path: Path, items: Any, rows: tuple[str, bytes]) -> None:
    (tmp_path / "items.jsonl").write_bytes(lines(items if isinstance(items, list) else [items]))
    for stem in ("train", "unlabelled"):
        for suffix in FORMATS:
            (tmp_path / f"{stem}{suffix}").unlink(missing_ok=True)
        (tmp_path / f"{stem}{rows[0]}").write_bytes(rows[1])
    with suppress(BadRows):
        data = read_data(tmp_path)
        assert {row.item_id for row in data.train} <= {*data.items}
        assert all(data.of(item_id).sha256 for item_id in data.items)


@given(content=damaged(YAML.encode()) | st.recursive(VALUES, st.lists).map(lambda value: json.dumps(value).encode()))
@cases(150)
def test_altered_yaml_is_read_or_reported(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "items.yaml"
    path.write_bytes(content)
    with suppress(BadRows):
        assert all(read_items(path).items)


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 100_000,
        b"- {prompt: x, item_id: " + b"9" * 5000 + b"}",
        b"- {item_id: 2026-99-99, prompt: x}",
        b"- &a [*a]",
        b"- &a {item_id: *a}",
        b"- {? [a, b] : c}",
        b"- {item_id: !!python/object:os.system x}",
        b"- {item_id: !!binary x}",
        b"- {item_id: !!timestamp x}",
        b"- {item_id: !!int x}",
        b"- {item_id: !!float x}",
        b"- {item_id: !!bool x}",
        b"--- a\n--- b\n",
        b"!!set {a, b}",
        b"\x00",
        b"\xff\xfe-\x00",
        b"a: &a [1,1]\nb: &b [*a,*a]\n",
        b"",
    ],
)
def test_odd_yaml_is_reported(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "items.yaml").write_bytes(content)

    with refused(BadRows) as caught:
        read_items(tmp_path / "items.yaml")
    assert {file for file, _, _ in rows_refused(caught.value.errors)} == {"items.yaml"}
