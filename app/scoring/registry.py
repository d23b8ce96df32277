"""The items that can be scored: every active bundle under `models/`, loaded whole or refused by name."""

import errno
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from app.scoring.bundle import Bundle
from app.scoring.decision import LiveItem, SecondScorer, ShadowItem
from app.scoring.errors import BadBundle, CodedError, ItemNotReady, UnknownItem
from app.scoring.item import Item
from app.scoring.release import Fallback, Shadow, active_bytes, item_folder, item_ids, read_active
from app.scoring.student import Student
from app.scoring.student_cache import CachedStudent, StudentCache
from app.scoring.teacher import ExportedTeacher, newest_teacher, teacher_folder


class Registry:
    """Live items by id, and what is wrong: items not ready, changes not taken up, teachers that are missing."""

    def __init__(
        self, live: Mapping[str, LiveItem], refused: Mapping[str, CodedError], shelf: StudentCache | None = None
    ) -> None:
        self.shelf = StudentCache() if shelf is None else shelf
        self.live = dict(live)
        self.refused = dict(refused)
        self.not_taken_up: dict[str, CodedError] = {}  # item → why; the version before goes on serving
        self.without_teacher: dict[str, CodedError] = {}
        self._teachers: Teachers | None = None
        self._seen: dict[str, bytes] = {}  # what each ACTIVE was when it was last taken up

    @classmethod
    def from_folder(cls, models: Path, budget: int | None = None) -> "Registry":
        """Load every item.  A bad bundle is refused with its reason and does not stop the others.

        `budget`: bytes of students that stay in memory; each is loaded once, to see that it can be.
        """
        registry = cls({}, {}, StudentCache(budget))
        registry.refresh(models)
        return registry

    def refresh(self, models: Path) -> list[str]:
        """Take up what has changed: the items that did.  What cannot be loaded changes nothing, and is tried again.

        Other threads may score meanwhile: each item is swapped whole, and what is being scored ends on the old one.
        Raises OSError where the folder cannot be read, or is not what it was: nothing is in it any more.
        """
        present = item_ids(models)
        if self.live and not present:  # a disk that is not mounted leaves an empty folder, or none
            raise FileNotFoundError(errno.ENOENT, "no item is in it any more", str(models))
        teachers, changed = self._teachers_of(models), []
        for item_id in present:
            try:
                seen = active_bytes(item_folder(models, item_id))
                live = self.live.get(item_id)
                unchanged = live is not None and self._seen.get(item_id) == seen
                lacks = (item_id in self.without_teacher, live is not None and live.without_shadow is not None)
                if unchanged and not any(lacks):  # what was lacking may have been mended
                    self.not_taken_up.pop(item_id, None)
                    continue
                item = load_item(models, item_id, teachers, self.shelf)
            except (BadBundle, UnknownItem) as error:
                if isinstance(error, UnknownItem):
                    error = BadBundle("the folder's name is not an item id", code="no_item_id")
                (self.not_taken_up if item_id in self.live else self.refused)[item_id] = error.with_traceback(None)
                continue
            if unchanged and lacks == (item_id in teachers.refused, item.without_shadow is not None):
                if item_id in teachers.refused:
                    self.without_teacher[item_id] = teachers.refused[item_id]
                continue
            self.live[item_id], self._seen[item_id] = item, seen
            for wrong in (self.refused, self.not_taken_up, self.without_teacher):
                wrong.pop(item_id, None)
            self.without_teacher |= {item_id: teachers.refused[item_id]} if item_id in teachers.refused else {}
            changed.append(item_id)
        for item_id in {*self.live, *self.refused} - set(present):
            for known in (self.live, self._seen, self.refused, self.not_taken_up, self.without_teacher):
                known.pop(item_id, None)
            changed.append(item_id)
        used = [own for item in list(self.live.values()) for own in (item, item.shadow) if own is not None]
        self.shelf.keep({own.source.folder for own in used if isinstance(own.source, CachedStudent)})
        teachers.keep(
            {(own.teacher, own.version) for item in list(self.live.values()) if (own := item.active.fallback)}
        )
        return changed

    def _teachers_of(self, models: Path) -> "Teachers":
        """Each is in memory once; those that were refused are tried again."""
        if self._teachers is None:
            self._teachers = Teachers(models)
        self._teachers.forget_refused()
        return self._teachers

    @property
    def without_shadow(self) -> dict[str, CodedError]:
        """Item → why the version that should score in its shadow does not."""
        return {name: live.without_shadow for name, live in dict(self.live).items() if live.without_shadow}

    def withdraw(self, item_id: str, live: LiveItem, error: CodedError) -> None:
        """An item whose student cannot be read any more is refused until it can; one in its place since is not."""
        if self.live.get(item_id) is not live:
            return
        self.refused[item_id] = error
        self.live.pop(item_id, None)
        self._seen.pop(item_id, None)

    def get(self, item_id: str) -> LiveItem:
        """Raises UnknownItem, or ItemNotReady with the reason for which its bundle was refused."""
        if item := self.live.get(item_id):
            return item
        if error := self.refused.get(item_id):
            raise ItemNotReady(item_id, error)
        raise UnknownItem(item_id)


class Teachers:
    """The teachers that items fall back on, each loaded once.  An item is served without one that is refused."""

    def __init__(self, models: Path) -> None:
        self.refused: dict[str, CodedError] = {}
        self._models = models
        self._loaded: dict[tuple[str, str], ExportedTeacher | BadBundle] = {}

    def keep(self, used: set[tuple[str, str]]) -> None:
        """What no item falls back on any more is let go."""
        self._loaded = {key: found for key, found in self._loaded.items() if key in used}

    def forget_refused(self) -> None:
        self.refused.clear()
        self._loaded = {key: found for key, found in self._loaded.items() if not isinstance(found, BadBundle)}

    def second(self, bundle: Bundle, fallback: Fallback | None) -> SecondScorer | None:
        if fallback is None:
            return None
        try:
            teacher = self._load(fallback.teacher, fallback.version)
            if teacher.metadata_sha256 != fallback.metadata_sha256:
                raise BadBundle(
                    "teacher.json is not the one that was released: activate the item again", code="not_released"
                )
            return SecondScorer(teacher, teacher.taught(bundle.item), fallback.policy)
        except BadBundle as error:
            self.refused[bundle.item.item_id] = BadBundle.of(f"{fallback.teacher}/{fallback.version}", error)
            return None

    def _load(self, name: str, version: str) -> ExportedTeacher:
        key = (name, version)
        if key not in self._loaded:
            try:
                self._loaded[key] = ExportedTeacher.load(teacher_folder(self._models, name, version))
            except BadBundle as error:
                self._loaded[key] = error
        found = self._loaded[key]
        if isinstance(found, BadBundle):
            raise BadBundle(str(found), code=found.code, **found.fields)
        return found


def load_item(
    models: Path, item_id: str, teachers: Teachers | None = None, shelf: StudentCache | None = None
) -> LiveItem:
    """The item's active bundle, with its teacher if it is to have one.  Raises UnknownItem or BadBundle."""
    folder = item_folder(models, item_id)
    active = read_active(folder)
    student = Student.load(folder / active.version)
    active.check(student.bundle, student.metadata_sha256)
    shelf = StudentCache() if shelf is None else shelf
    second = (teachers or Teachers(models)).second(student.bundle, active.fallback)
    source = _shelve(shelf, folder / active.version, student)
    item = LiveItem(student.bundle.without_limits(), source, active, second)
    if active.shadow is not None:
        try:
            item.shadow = _shadow(shelf, folder, active.shadow)
        except BadBundle as error:  # the item is served all the same
            item.without_shadow = BadBundle.of(active.shadow.version, error)
    return item


def _shelve(shelf: StudentCache, folder: Path, student: Student) -> CachedStudent:
    shelf.put(folder, student)
    return CachedStudent(shelf, folder, student.metadata_sha256)


def _shadow(shelf: StudentCache, folder: Path, shadow: Shadow) -> ShadowItem:
    student = Student.load(folder / shadow.version)
    if student.metadata_sha256 != shadow.metadata_sha256:
        raise BadBundle("bundle.json has changed since it was put there", code="bundle_changed")
    return ShadowItem(student.bundle.without_limits(), _shelve(shelf, folder / shadow.version, student))


def fallback_on(models: Path, item: Item, policy: Literal["unsure", "shadow"]) -> Fallback:
    """On the newest teacher that was taught the item, loaded once.  Raises BadBundle."""
    name, version = newest_teacher(models, item)
    teacher = ExportedTeacher.load(teacher_folder(models, name, version))
    teacher.taught(item)
    return Fallback(policy=policy, teacher=name, version=version, metadata_sha256=teacher.metadata_sha256)
