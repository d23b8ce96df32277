"""The items that can be scored: every active bundle under `models/`, loaded whole or refused by name."""

from collections.abc import Mapping
from pathlib import Path

from app.scoring.active import Fallback, item_folder, item_ids, read_active
from app.scoring.bundle import Bundle
from app.scoring.errors import BadBundle, ItemNotReady, UnknownItem
from app.scoring.judgement import LiveItem, SecondScorer
from app.scoring.student import Student
from app.scoring.teacher import ExportedTeacher, teacher_folder


class Registry:
    """Live items by id, the reason for each item that is not ready, and for each that is without its teacher."""

    def __init__(
        self, live: Mapping[str, LiveItem], refused: Mapping[str, str], without_teacher: Mapping[str, str] | None = None
    ) -> None:
        self.live = dict(live)
        self.refused = dict(refused)
        self.without_teacher = dict(without_teacher or {})

    @classmethod
    def from_folder(cls, models: Path) -> "Registry":
        """Load every item.  A bad bundle is refused with its reason and does not stop the others."""
        registry = cls({}, {})
        teachers = Teachers(models)
        for item_id in item_ids(models):
            try:
                registry.live[item_id] = load_item(models, item_id, teachers)
            except BadBundle as error:
                registry.refused[item_id] = str(error)
            except UnknownItem:
                registry.refused[item_id] = "the folder's name is not an item id"
        registry.without_teacher = teachers.refused
        return registry

    def get(self, item_id: str) -> LiveItem:
        """Raises UnknownItem, or ItemNotReady with the reason for which its bundle was refused."""
        if item := self.live.get(item_id):
            return item
        if reason := self.refused.get(item_id):
            raise ItemNotReady(item_id, reason)
        raise UnknownItem(item_id)


class Teachers:
    """The teachers that items fall back on, each loaded once.  An item is served without one that is refused."""

    def __init__(self, models: Path) -> None:
        self.refused: dict[str, str] = {}
        self._models = models
        self._loaded: dict[tuple[str, str], ExportedTeacher] = {}

    def second(self, bundle: Bundle, fallback: Fallback | None) -> SecondScorer | None:
        if fallback is None:
            return None
        item_id, key = bundle.item.item_id, (fallback.teacher, fallback.version)
        try:
            if key not in self._loaded:
                self._loaded[key] = ExportedTeacher.load(teacher_folder(self._models, *key))
            return SecondScorer(self._loaded[key], self._loaded[key].taught(bundle.item), fallback.policy)
        except BadBundle as error:
            self.refused[item_id] = f"{key[0]}/{key[1]}: {error}"
        except UnknownItem:
            self.refused[item_id] = f"{key[0]}/{key[1]} was not taught this question on this scale"
        return None


def load_item(models: Path, item_id: str, teachers: Teachers | None = None) -> LiveItem:
    """The item's active bundle, with its teacher if it is to have one.  Raises UnknownItem or BadBundle."""
    folder = item_folder(models, item_id)
    active = read_active(folder)
    student = Student.load(folder / active.version)
    active.check(student.bundle, student.metadata_sha256)
    second = (teachers or Teachers(models)).second(student.bundle, active.fallback)
    return LiveItem(student.bundle, student, student.examiner, active, second)
