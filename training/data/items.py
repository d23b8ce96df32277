"""Read items from items.jsonl, items.json or items.yaml."""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from app.scoring.errors import BadRows, RowError
from app.scoring.files.options import JsonNumber, as_shown
from app.scoring.item import Item
from app.scoring.row_files import Row, read_rows

SUFFIXES = (".jsonl", ".json", ".yaml", ".yml")
NUMBERS = ("min_score", "max_score", "grade")  # of an item; every other field is text
NEAR = 0.7  # difflib's ratio from which an unknown field is a misspelt one
ITEM_ID = (
    "an item_id has 1 to 128 characters: the letters A to Z, small or large, digits, dots, hyphens and underscores; "
    "the first is a letter or a digit"
)


@dataclass(frozen=True, slots=True)
class ItemFile:
    items: dict[str, Item]  # by id, in the file's order
    notes: tuple[str, ...]


class Shown(str):
    """A scalar of YAML that is no text by its rules, as the text that stands in the file: 0.50, no, 2026-11-21."""

    value: Any

    @classmethod
    def of(cls, text: str, value: Any) -> "Shown":
        made = cls(text)
        made.value = value
        return made


class ItemLoader(yaml.SafeLoader):
    pass


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
        misspelt = {name: near for name in fields if (near := _near(name, fields)) is not None}
        errors += [_misspelt(row, name, near) for name, near in misspelt.items()]
        ignored |= dict.fromkeys(name for name in fields if name not in Item.model_fields and name not in misspelt)
        known = {name: _typed(name, value) for name, value in fields.items() if name in Item.model_fields}
        try:
            item = Item.model_validate(known)
        except ValidationError as error:
            errors += [_bad_item(row, e) for e in error.errors(include_input=False, include_url=False)]
            continue
        if item.item_id in items:
            reason = f"item {item.item_id!r} stands twice"
            errors.append(row.error(reason, code="item_twice", item_id=item.item_id))
        items[item.item_id] = item
    if errors:
        raise BadRows(errors)
    return ItemFile(items, tuple(_notes(path, ignored)))


def _near(name: str, fields: Mapping[str, Any]) -> str | None:
    """Return the field of an item that an unknown field most likely misspells, if any."""
    if name in Item.model_fields:
        return None
    candidates = [known for known in Item.model_fields if known not in fields]
    return next(iter(difflib.get_close_matches(name.casefold(), candidates, 1, NEAR)), None)


def _misspelt(row: Row, name: str, near: str) -> RowError:
    reason = f"an item has no field {name!r}: write {near!r} if that is meant, else give it another name"
    return row.error(reason, code="misspelt_field", field=name, near=near)


def _notes(path: Path, ignored: Iterable[str]) -> list[str]:
    names = ", ".join(ignored)
    return [f"{path.name}: ignored, as an item has no such field: {names}"] if names else []


def _typed(name: str, value: Any) -> Any:
    """Return a number where the field holds numbers, else the text that the file shows."""
    if name in NUMBERS:
        value = value.value if isinstance(value, Shown) else value
        return float(value) if isinstance(value, JsonNumber) else value
    if isinstance(value, list):
        return [_as_text(entry) for entry in value]
    if isinstance(value, dict):
        return {_as_text(key): _as_text(entry) for key, entry in value.items()}
    return _as_text(value)


def _as_text(value: Any) -> Any:
    return as_shown(value) if isinstance(value, bool | int | float) else value


def _bad_item(row: Row, error: Any) -> RowError:
    where = ".".join(map(str, error["loc"]))
    if where == "item_id" and error["type"] in ("string_pattern_mismatch", "string_type"):
        return row.error(f"item_id: {ITEM_ID}", code="bad_item_id")
    if error["type"] == "string_type":
        return row.error(f"{where}: must be text: write it in quotes", code="not_text", field=where)
    reason = f"{where}: {error['msg']}" if where else str(error["msg"])
    return row.error(reason, code=error["type"], field=where)


def _yaml_rows(path: Path) -> list[Row]:
    try:
        text = path.read_text(encoding="utf-8")
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        content = yaml.load(text, Loader=ItemLoader)  # noqa: S506  # a SafeLoader
    except (yaml.YAMLError, ValueError, LookupError, AttributeError, RecursionError) as error:
        # The latter are what PyYAML makes of a 31 November, of `!!bool perhaps`, and of a thousand brackets.
        mark = getattr(error, "problem_mark", None)
        raise BadRows([RowError(path, mark.line + 1 if mark else 1, f"not YAML: {error}", "not_yaml")]) from None
    if not isinstance(content, list) or not all(isinstance(entry, dict) for entry in content):
        raise BadRows([RowError(path, 1, "must be a list of items", "not_a_list")])
    assert isinstance(root, yaml.SequenceNode)  # noqa: S101  # content is a list
    return [Row(path, node.start_mark.line + 1, entry) for node, entry in zip(root.value, content, strict=True)]
