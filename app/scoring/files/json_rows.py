"""JSON: an object a line (.jsonl), or one list of objects (.json), which Moodle puts into another list."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from app.scoring.errors import RowError
from app.scoring.files.content import Content
from app.scoring.files.options import JsonNumber, ReadOptions

DECODER = json.JSONDecoder(parse_float=JsonNumber)
DEPTH = 2  # of lists in lists
RECORDS = "one object with its columns for each row (pandas: orient='records')"
LINES = "; if each line is an object, name the file .jsonl"
LIST = "a file that is one list is named .json"
_BLANK = " \t\r\n"


def read_json_lines(path: Path, _: ReadOptions) -> Content:
    found = Content()
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                fields = DECODER.decode(line.decode("utf-8-sig" if number == 1 else "utf-8"))
            except UnicodeDecodeError as error:
                found.errors.append(_not_utf_8(path, number, error))
            except (ValueError, RecursionError) as error:  # also numbers of thousands of digits
                found.errors.append(_not_json(path, number, error))
            else:
                _add(found, path, number, fields)
    return found


def read_json(path: Path, _: ReadOptions) -> Content:
    content = path.read_bytes()
    try:
        text = content.decode("utf-8-sig")
        whole = DECODER.decode(text)
    except UnicodeDecodeError as error:
        return Content(errors=[_not_utf_8(path, content[: error.start].count(b"\n") + 1, error)])
    except (ValueError, RecursionError) as error:
        return Content(errors=[_not_json(path, getattr(error, "lineno", 1), error, LINES)])
    if not isinstance(whole, list):
        return Content(errors=[RowError(path, 1, f"must be a list of objects: {RECORDS}", "not_a_list")])
    found = Content()
    for line, value in _elements(text):
        _add(found, path, line, value)
    return found


def _elements(text: str) -> Iterator[tuple[int, Any]]:
    """Yield the line and value of every element of a list that is JSON, and of lists in it."""
    place, line, depth, seen = 0, 1, 0, 0
    while place < len(text):
        if text[place] == "[" and depth < DEPTH:
            depth += 1
        elif text[place] == "]":
            depth -= 1
        elif text[place] not in _BLANK and text[place] != ",":
            line += text.count("\n", seen, place)
            seen = place
            value, place = DECODER.raw_decode(text, place)
            yield line, value
            continue
        place += 1


def _add(found: Content, path: Path, line: int, value: object) -> None:
    if isinstance(value, dict):
        found.lines.append((line, value))
    else:
        where = f"; {LIST}" if path.suffix.lower() == ".jsonl" else ""
        found.errors.append(RowError(path, line, f"not an object{where}", "not_an_object"))


def _not_utf_8(path: Path, line: int, error: UnicodeDecodeError) -> RowError:
    return RowError(path, line, f"not UTF-8 at byte {error.start}", "not_utf_8")


def _not_json(path: Path, line: int, error: Exception, hint: str = "") -> RowError:
    return RowError(path, line, f"not JSON: {error}{hint}", "not_json")
