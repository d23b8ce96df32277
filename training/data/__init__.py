"""A folder of items and responses, as the user brings it, to typed values.  Bad rows are named, none is dropped."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from app.scoring.errors import BadRows, RowError
from app.scoring.files.options import DEFAULT_OPTIONS, ReadOptions
from app.scoring.item import Item
from app.scoring.row_files import FORMATS
from training.data.items import SUFFIXES, read_items
from training.data.responses import MarkedResponse, UnlabelledResponse, read_marked, read_unlabelled
from training.errors import BadFolder

PARTS = ("train", "dev", "unlabelled")


@dataclass(frozen=True, slots=True)
class DataSet:
    items: dict[str, Item]
    train: tuple[MarkedResponse, ...]
    dev: tuple[MarkedResponse, ...]
    unlabelled: tuple[UnlabelledResponse, ...]
    notes: tuple[str, ...] = ()  # what the reading found out, for a person

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


def read_data(folder: Path, reading: ReadOptions = DEFAULT_OPTIONS) -> DataSet:
    """Read `items.*` and `train.*`, optional `dev.*` and `unlabelled.*`.

    Raises BadFolder, or BadRows naming every bad row of every file.
    """
    items_file, train_file = find_file(folder, "items", SUFFIXES), find_file(folder, "train")
    if items_file is None or train_file is None:
        reason = f"{folder} needs items.jsonl (or .yaml) and train.jsonl (or .csv, .xlsx; docs/reference/data-files.md)"
        raise BadFolder(reason, code="files_missing", folder=folder)
    dev_file, unlabelled_file = find_file(folder, "dev"), find_file(folder, "unlabelled")
    errors: list[RowError] = []
    notes: list[str] = []
    found = read_items(items_file)  # without items no row can be understood: its errors end the reading
    if not found.items:
        raise BadRows([RowError(items_file, 1, "no item stands in it", "no_items")])
    train = read_marked(train_file, found.items, errors, notes, reading)
    dev = read_marked(dev_file, found.items, errors, notes, reading) if dev_file else ()
    unlabelled = read_unlabelled(unlabelled_file, found.items, errors, notes, reading) if unlabelled_file else ()
    if errors:
        raise BadRows(errors)
    return DataSet(found.items, train, dev, unlabelled, (*found.notes, *notes))


def find_file(folder: Path, stem: str, suffixes: tuple[str, ...] = FORMATS) -> Path | None:
    """Return the one file of this name, its end in small or large letters.

    Raises BadFolder where there are two.
    """
    files = folder.iterdir() if folder.is_dir() else ()
    found = sorted(path for path in files if path.stem == stem and path.suffix.lower() in suffixes and path.is_file())
    if len(found) > 1:
        reason = f"{folder} has both {found[0].name} and {found[1].name}: take one away"
        raise BadFolder(reason, code="file_twice", names=[path.name for path in found])
    return found[0] if found else None


def data_files(folder: Path) -> list[Path]:
    """Return the files that `read_data` reads."""
    found = [find_file(folder, "items", SUFFIXES), *(find_file(folder, part) for part in PARTS)]
    return [path for path in found if path is not None]
