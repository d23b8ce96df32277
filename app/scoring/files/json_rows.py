"""Read JSON: one object per line (.jsonl), or a list of objects (.json), which Moodle wraps in another list."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from app.scoring.errors import RowError
from app.scoring.files.content import Content
from app.scoring.files.options import JsonNumber, ReadOptions

DECODER = json.JSONDecoder(parse_float=JsonNumber)
DEPTH = 2  # of nested lists
RECORDS = "one object for each row, with the columns as keys (pandas: orient='records')"
LINES = "; if each line is an object, rename the file to .jsonl"
LIST = "if the file is one list, rename it to .json"
_BLANK = " \t\r\n"


def read_json_lines(path: Path, _: ReadOptions) -> Content:
    """Return the content of a .jsonl file."""
    file_content = Content()
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            encoding = "utf-8-sig" if number == 1 else "utf-8"
            try:
                fields = DECODER.decode(line.decode(encoding))
            except UnicodeDecodeError as error:
                file_content.errors.append(_not_utf_8(path, number, error))
            except (ValueError, RecursionError) as error:  # ValueError also for numbers with thousands of digits
                file_content.errors.append(_not_json(path, number, error))
            else:
                _add(file_content, path, number, fields)
    return file_content


def read_json(path: Path, _: ReadOptions) -> Content:
    """Return the content of a .json file."""
    content = path.read_bytes()
    try:
        text = content.decode("utf-8-sig")
        whole = DECODER.decode(text)
    except UnicodeDecodeError as error:
        before = content[: error.start]
        line = before.count(b"\n") + 1
        return Content.refused(_not_utf_8(path, line, error))
    except (ValueError, RecursionError) as error:
        return Content.refused(_not_json(path, getattr(error, "lineno", 1), error, LINES))
    if not isinstance(whole, list):
        return Content.refused(RowError(path, 1, f"not a list of objects: write {RECORDS}", "not_a_list"))
    file_content = Content()
    for line, value in _elements(text):
        _add(file_content, path, line, value)
    return file_content


def _elements(text: str) -> Iterator[tuple[int, Any]]:
    """Yield line and value of every element of a JSON list, and of lists in that list."""
    place, line, depth, counted = 0, 1, 0, 0
    while place < len(text):
        if text[place] == "[" and depth < DEPTH:
            depth += 1
        elif text[place] == "]":
            depth -= 1
        elif text[place] not in _BLANK and text[place] != ",":
            line += text.count("\n", counted, place)
            counted = place
            value, place = DECODER.raw_decode(text, place)
            yield line, value
            continue
        place += 1


def _add(file_content: Content, path: Path, line: int, value: object) -> None:
    if isinstance(value, dict):
        file_content.lines.append((line, value))
    else:
        hint = f"; {LIST}" if path.suffix.lower() == ".jsonl" else ""
        file_content.errors.append(RowError(path, line, f"not an object{hint}", "not_an_object"))


def _not_utf_8(path: Path, line: int, error: UnicodeDecodeError) -> RowError:
    return RowError(path, line, f"not UTF-8 at byte {error.start}", "not_utf_8")


def _not_json(path: Path, line: int, error: Exception, hint: str = "") -> RowError:
    return RowError(path, line, f"not JSON: {error}{hint}", "not_json")
