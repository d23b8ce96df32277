"""A folder of items and responses, as the user brings it, to typed values.  Bad rows are named, none is dropped."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from app.scoring.errors import BadRows, RowError
from app.scoring.item import Item
from training.datasets.items import read_items
from training.datasets.responses import MarkedResponse, UnlabelledResponse, read_marked, read_unlabelled


@dataclass(frozen=True, slots=True)
class DataSet:
    items: dict[str, Item]
    train: tuple[MarkedResponse, ...]
    dev: tuple[MarkedResponse, ...]
    unlabelled: tuple[UnlabelledResponse, ...]

    def of(self, item_id: str) -> "ItemData":
        return ItemData(
            self.items[item_id],
            tuple(row for row in self.train if row.item_id == item_id),
            tuple(row for row in self.dev if row.item_id == item_id),
            tuple(row for row in self.unlabelled if row.item_id == item_id),
        )


@dataclass(frozen=True, slots=True)
class ItemData:
    """One item with its rows."""

    item: Item
    train: tuple[MarkedResponse, ...]
    dev: tuple[MarkedResponse, ...]
    unlabelled: tuple[UnlabelledResponse, ...]

    @property
    def sha256(self) -> str:
        """A hash of the item and all its rows as read: equal data hash alike.

        Neither the order of the item's fields nor a field with its default changes it.
        """
        item = json.dumps(self.item.model_dump(mode="json", exclude_defaults=True), sort_keys=True)
        digest = hashlib.sha256(item.encode())
        rows: Iterable[object] = (*self.train, "dev", *self.dev, "unlabelled", *self.unlabelled)
        for row in rows:
            digest.update(repr(row).encode())
        return digest.hexdigest()


def read_data(folder: Path) -> DataSet:
    """`items.*` and `train.*`, optional `dev.*` and `unlabelled.*`; each as .jsonl or .csv, items also as .yaml.

    Raises FileNotFoundError, or BadRows naming every bad row of every file.
    """
    items_file = find_file(folder, "items", (".jsonl", ".yaml", ".yml"))
    train_file = find_file(folder, "train")
    if items_file is None or train_file is None:
        raise FileNotFoundError(f"{folder} needs items.jsonl (or .yaml) and train.jsonl (or .csv)")
    dev_file, unlabelled_file = find_file(folder, "dev"), find_file(folder, "unlabelled")
    errors: list[RowError] = []
    items = read_items(items_file)  # without items no row can be understood: its errors end the reading
    if not items:
        raise BadRows([RowError(items_file, 1, "no item stands in it")])
    train = read_marked(train_file, items, errors)
    dev = read_marked(dev_file, items, errors) if dev_file else ()
    unlabelled = read_unlabelled(unlabelled_file, items, errors) if unlabelled_file else ()
    if errors:
        raise BadRows(errors)
    return DataSet(items, train, dev, unlabelled)


def find_file(folder: Path, stem: str, suffixes: tuple[str, ...] = (".jsonl", ".csv")) -> Path | None:
    """The one file of that name.  Raises FileExistsError where there are two."""
    found = [folder / f"{stem}{suffix}" for suffix in suffixes if (folder / f"{stem}{suffix}").is_file()]
    if len(found) > 1:
        raise FileExistsError(f"{folder} has both {found[0].name} and {found[1].name}: which one counts?")
    return found[0] if found else None
