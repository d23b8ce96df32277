"""The reader of a folder of items and responses.  A bad row is an error that names it; no row is dropped."""

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
    """All items and rows of a folder."""

    items: dict[str, Item]
    train: tuple[MarkedResponse, ...]
    dev: tuple[MarkedResponse, ...]
    unlabelled: tuple[UnlabelledResponse, ...]
    notes: tuple[str, ...] = ()  # on detected formats and the like, for a person

    def of(self, item_id: str) -> "ItemData":
        """Return an item with its rows."""
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
        """Return a hash of the item and its rows as read, so that equal data hash alike.

        The hash depends neither on the order of the item's fields nor on fields that hold their default.
        """
        item = json.dumps(self.item.model_dump(mode="json", exclude_defaults=True), sort_keys=True)
        digest = hashlib.sha256(item.encode())
        rows: Iterable[object] = (*self.train, "dev", *self.dev, "unlabelled", *self.unlabelled)
        for row in rows:
            digest.update(repr(row).encode())
        return digest.hexdigest()


def read_data(folder: Path, reading: ReadOptions = DEFAULT_OPTIONS) -> DataSet:
    """Read `items.*` and `train.*`, optional `dev.*` and `unlabelled.*`.

    Raises BadFolder, or BadRows, which names every bad row of every file.
    """
    items_file, train_file = find_file(folder, "items", SUFFIXES), find_file(folder, "train")
    if items_file is None or train_file is None:
        reason = (
            f"{folder} lacks items or train: add items.jsonl (or .yaml) and train.jsonl (or .csv, .xlsx), as "
            "docs/reference/data-files.md describes"
        )
        raise BadFolder(reason, code="files_missing", folder=folder)
    dev_file, unlabelled_file = find_file(folder, "dev"), find_file(folder, "unlabelled")
    errors: list[RowError] = []
    notes: list[str] = []
    # Errors of items end the reading, because rows are read by their item.
    read = read_items(items_file)
    if not read.items:
        raise BadRows([RowError(items_file, 1, "the file has no items", "no_items")])
    train = read_marked(train_file, read.items, errors, notes, reading)
    dev = read_marked(dev_file, read.items, errors, notes, reading) if dev_file else ()
    unlabelled = read_unlabelled(unlabelled_file, read.items, errors, notes, reading) if unlabelled_file else ()
    if errors:
        raise BadRows(errors)
    return DataSet(read.items, train, dev, unlabelled, (*read.notes, *notes))


def find_file(folder: Path, stem: str, suffixes: tuple[str, ...] = FORMATS) -> Path | None:
    """Return the file of this name, with its suffix in lower or upper case; None if there is none.

    Raises BadFolder if there are two.
    """
    files = folder.iterdir() if folder.is_dir() else ()
    named = (path for path in files if path.stem == stem and path.suffix.lower() in suffixes)
    matches = sorted(path for path in named if path.is_file())
    if len(matches) > 1:
        reason = f"{folder} has both {matches[0].name} and {matches[1].name}: remove one of the two"
        raise BadFolder(reason, code="file_twice", names=[path.name for path in matches])
    return matches[0] if matches else None


def data_files(folder: Path) -> list[Path]:
    """Return the files that `read_data` reads."""
    files = [find_file(folder, "items", SUFFIXES), *(find_file(folder, part) for part in PARTS)]
    return [path for path in files if path is not None]
