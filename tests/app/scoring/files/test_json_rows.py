from pathlib import Path

import pytest

from app.scoring.errors import BadRows
from app.scoring.row_files import read_rows
from tests.refusals import refused, rows_refused


def a_file(tmp_path: Path, content: str) -> Path:
    path = tmp_path / "a.json"
    path.write_text(content)
    return path


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        ('[{"a": 1}, {"a": 2}]', [1, 1]),
        ('\n[\n {"a": [1, {"b": "]"}]},\n\n {"a":\n 2}\n]\n', [3, 5]),
        ('[[{"a": 1},\n{"a": 2}]]', [1, 2]),  # Moodle's
        ('[[{"a": 1}],\n[{"a": 2}]]', [1, 2]),
        ('\ufeff[{"a": "\\u00e4"}]', [1]),
        ("[]", []),
        ("[[]]", []),
    ],
)
def test_list_of_objects_is_read_with_lines(tmp_path: Path, content: str, lines: list[int]) -> None:
    assert [row.line for row in read_rows(a_file(tmp_path, content))] == lines


@pytest.mark.parametrize(
    ("content", "errors"),
    [
        ('{"a": 1}', [(1, "not_a_list")]),
        ('{"a": 1}\n{"a": 2}\n', [(2, "not_json")]),  # lines of JSON
        ('[\n{"a": 1},\n{"a": }]', [(3, "not_json")]),
        ('[{"a": 1},\n7, "x"]', [(2, "not_an_object"), (2, "not_an_object")]),
        ('[[[{"a": 1}]]]', [(1, "not_an_object")]),
        ("[" * 100_000, [(1, "not_json")]),
        ("", [(1, "not_json")]),
        ("null", [(1, "not_a_list")]),
    ],
)
def test_other_json_is_reported_with_its_line(tmp_path: Path, content: str, errors: list[tuple[int, str]]) -> None:
    with refused(BadRows) as caught:
        read_rows(a_file(tmp_path, content))

    assert rows_refused(caught.value.errors) == [("a.json", *error) for error in errors]


def test_numbers_keep_their_spelling(tmp_path: Path) -> None:
    [row] = read_rows(a_file(tmp_path, '[{"a": 0.50, "b": 1e2, "c": 7}]'))

    assert [str(value) for value in row.fields.values()] == ["0.50", "1e2", "7"]
    assert list(row.fields.values()) == [0.5, 100, 7]
