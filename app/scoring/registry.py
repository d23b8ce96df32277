"""The items that can be scored: every active bundle under `models/`, loaded whole or refused by name."""

from collections.abc import Mapping
from pathlib import Path

from app.scoring.active import item_folder, item_ids, read_active
from app.scoring.errors import BadBundle, ItemNotReady, UnknownItem
from app.scoring.judgement import LiveItem
from app.scoring.student import Student


class Registry:
    """Live items by id, and the reason for each item that is not ready."""

    def __init__(self, live: Mapping[str, LiveItem], refused: Mapping[str, str]) -> None:
        self.live = dict(live)
        self.refused = dict(refused)

    @classmethod
    def from_folder(cls, models: Path) -> "Registry":
        """Load every item.  A bad bundle is refused with its reason and does not stop the others."""
        live: dict[str, LiveItem] = {}
        refused: dict[str, str] = {}
        for item_id in item_ids(models):
            try:
                live[item_id] = load_item(models, item_id)
            except BadBundle as error:
                refused[item_id] = str(error)
            except UnknownItem:
                refused[item_id] = "the folder's name is not an item id"
        return cls(live, refused)

    def get(self, item_id: str) -> LiveItem:
        """Raises UnknownItem, or ItemNotReady with the reason for which its bundle was refused."""
        if item := self.live.get(item_id):
            return item
        if reason := self.refused.get(item_id):
            raise ItemNotReady(item_id, reason)
        raise UnknownItem(item_id)


def load_item(models: Path, item_id: str) -> LiveItem:
    """The item's active bundle.  Raises UnknownItem or BadBundle."""
    folder = item_folder(models, item_id)
    active = read_active(folder)
    student = Student.load(folder / active.version)
    return LiveItem(student.bundle, student, student.examiner, active)
