"""The items of items.jsonl, items.json or items.yaml."""

import difflib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from app.scoring.errors import BadRows, RowError
from app.scoring.files.options import JsonNumber, as_shown
from app.scoring.item import Item
from app.scoring.row_files import Row, read_rows

SUFFIXES = (".jsonl", ".json", ".yaml", ".yml")
NUMBER_FIELDS = ("min_score", "max_score", "grade")  # all other fields of an item are text
MISSPELT = 0.7  # difflib's ratio from which an unknown field counts as misspelt
ITEM_ID_RULE = (
    "use 1 to 128 characters: letters from A to Z, digits, dots, hyphens and underscores, a letter or digit first"
)


@dataclass(frozen=True, slots=True)
class ItemFile:
    """The items of a file, with notes for the user."""

    items: dict[str, Item]  # by id, in the file's order
    notes: tuple[str, ...]


class Shown(str):
    """The text of a YAML scalar that YAML reads as another type: 0.50, no, 2026-11-21.  `value` is as YAML reads it."""

    value: Any

    @classmethod
    def of(cls, text: str, value: Any) -> "Shown":
        shown = cls(text)
        shown.value = value
        return shown


class ItemLoader(yaml.SafeLoader):
    """A safe loader that keeps the text of every scalar."""


def _shown(loader: ItemLoader, node: yaml.ScalarNode) -> Shown:
    kind = node.tag.rpartition(":")[2]
    return Shown.of(node.value, getattr(loader, f"construct_yaml_{kind}")(node))


for _kind in ("bool", "int", "float", "timestamp"):
    ItemLoader.add_constructor(f"tag:yaml.org,2002:{_kind}", _shown)


def read_items(path: Path) -> ItemFile:
    """Read the items of a file.  Raises BadRows."""
    rows = read_rows(path) if path.suffix.lower() in (".jsonl", ".json") else _yaml_rows(path)
    items: dict[str, Item] = {}
    errors: list[RowError] = []
    ignored: dict[str, None] = {}
    for row in rows:
        fields = {str(name): value for name, value in row.fields.items() if value is not None}
        known = {name: _typed(name, value) for name, value in fields.items() if name in Item.model_fields}
        unknown = {name: _near(name, known) for name in fields if name not in known}
        errors += [_misspelt(row, name, near) for name, near in unknown.items() if near is not None]
        ignored |= dict.fromkeys(name for name, near in unknown.items() if near is None)
        try:
            item = Item.model_validate(known)
        except ValidationError as error:
            details = error.errors(include_input=False, include_url=False)
            errors += [_bad_item(row, detail) for detail in details]
            continue
        if item.item_id in items:
            reason = f"the file has item {item.item_id!r} twice: remove one of the two"
            errors.append(row.error(reason, code="item_twice", item_id=item.item_id))
        items[item.item_id] = item
    if errors:
        raise BadRows(errors)
    return ItemFile(items, tuple(_notes(path, ignored)))


def _near(name: str, known: Collection[str]) -> str | None:
    """Return the field of an item that an unknown field most likely misspells; None if it resembles none."""
    absent = [field for field in Item.model_fields if field not in known]
    matches = difflib.get_close_matches(name.casefold(), absent, 1, MISSPELT)
    return matches[0] if matches else None


def _misspelt(row: Row, name: str, near: str) -> RowError:
    reason = f"an item has no field {name!r}: write {near!r} if you mean that field, or choose a name less like it"
    return row.error(reason, code="misspelt_field", field=name, near=near)


def _notes(path: Path, ignored: Iterable[str]) -> list[str]:
    names = ", ".join(ignored)
    return [f"{path.name}: ignored fields, which an item does not have: {names}"] if names else []


def _typed(name: str, value: Any) -> Any:
    """Return a number for a field of numbers, and otherwise the text as the file shows it."""
    if name in NUMBER_FIELDS:
        value = value.value if isinstance(value, Shown) else value
        return float(value) if isinstance(value, JsonNumber) else value
    if isinstance(value, list):
        return [_as_text(entry) for entry in value]
    if isinstance(value, dict):
        return {_as_text(key): _as_text(entry) for key, entry in value.items()}
    return _as_text(value)


def _as_text(value: Any) -> Any:
    return as_shown(value) if isinstance(value, bool | int | float) else value


def _bad_item(row: Row, detail: ErrorDetails) -> RowError:
    """Return the error for a field that pydantic refused."""
    where = ".".join(map(str, detail["loc"]))
    if where == "item_id" and detail["type"] in ("string_pattern_mismatch", "string_type"):
        return row.error(f"item_id: {ITEM_ID_RULE}", code="bad_item_id")
    if detail["type"] == "string_type":
        return row.error(f"{where} is not text: write the value in quotes", code="not_text", field=where)
    reason = f"{where}: {detail['msg']}" if where else detail["msg"]
    return row.error(reason, code=detail["type"], field=where)


def _yaml_rows(path: Path) -> list[Row]:
    try:
        text = path.read_text(encoding="utf-8")
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        content = yaml.load(text, Loader=ItemLoader)  # noqa: S506  # a SafeLoader
    except (yaml.YAMLError, ValueError, LookupError, AttributeError, RecursionError) as error:
        # PyYAML raises the last three for a 31 November, for `!!bool perhaps` and for a thousand brackets.
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        raise BadRows([RowError(path, line, f"not YAML: {error}", "not_yaml")]) from None
    if not isinstance(content, list) or not all(isinstance(entry, dict) for entry in content):
        raise BadRows([RowError(path, 1, "the file is not a list of items", "not_a_list")])
    assert isinstance(root, yaml.SequenceNode)  # noqa: S101  # content is a list
    return [Row(path, node.start_mark.line + 1, entry) for node, entry in zip(root.value, content, strict=True)]
