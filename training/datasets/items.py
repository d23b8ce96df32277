"""Items from items.jsonl or items.yaml."""

from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from app.scoring.errors import BadRows, RowError
from app.scoring.item import Item
from app.scoring.rows import Row, read_rows


def read_items(path: Path) -> dict[str, Item]:
    """Items by id, in the file's order.  Fields that are not an item's are ignored.  Raises BadRows."""
    rows = read_rows(path) if path.suffix == ".jsonl" else _yaml_rows(path)
    items: dict[str, Item] = {}
    errors: list[RowError] = []
    for row in rows:
        known = {name: value for name, value in row.fields.items() if name in Item.model_fields and value is not None}
        try:
            item = Item.model_validate(known)
        except ValidationError as error:
            errors += [row.error(_reason(e)) for e in error.errors(include_input=False, include_url=False)]
            continue
        if item.item_id in items:
            errors.append(row.error(f"item {item.item_id!r} stands twice"))
        items[item.item_id] = item
    if errors:
        raise BadRows(errors)
    return items


def _reason(error: Any) -> str:
    where = ".".join(map(str, error["loc"]))
    return f"{where}: {error['msg']}" if where else str(error["msg"])


def _yaml_rows(path: Path) -> list[Row]:
    try:
        root = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError, LookupError, AttributeError, RecursionError) as error:
        # The latter are what PyYAML makes of a 31 November, of `!!bool perhaps`, and of a thousand brackets.
        mark = getattr(error, "problem_mark", None)
        raise BadRows([RowError(path, mark.line + 1 if mark else 1, f"not YAML: {error}")]) from None
    if not isinstance(content, list) or not all(isinstance(entry, dict) for entry in content):
        raise BadRows([RowError(path, 1, "must be a list of items")])
    assert isinstance(root, yaml.SequenceNode)  # noqa: S101  # content is a list
    return [Row(path, node.start_mark.line + 1, entry) for node, entry in zip(root.value, content, strict=True)]
