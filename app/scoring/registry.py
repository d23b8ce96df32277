"""The items that can be scored: every active bundle under `models/`, loaded whole or refused by name."""

import errno
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock
from typing import Literal

from app.scoring.decision import LiveItem, ShadowItem
from app.scoring.errors import BadBundle, CodedError, ItemNotReady, UnknownItem
from app.scoring.item import Item
from app.scoring.live_version import Fallback, Shadow, active_bytes, item_folder, item_ids, read_active
from app.scoring.student import Student
from app.scoring.student_cache import CachedStudent, StudentCache
from app.scoring.teacher import ExportedTeacher, newest_teacher, teacher_folder
from app.scoring.teacher_cache import TeacherCache


@dataclass(frozen=True, slots=True)
class RegistrySnapshot:
    """The items at one moment.  A refresh publishes a new snapshot, and nothing changes a published one."""

    live: Mapping[str, LiveItem] = field(default_factory=dict)
    refused: Mapping[str, CodedError] = field(default_factory=dict)
    """Item → why nothing is served for it."""
    not_taken_up: Mapping[str, CodedError] = field(default_factory=dict)
    """Item → why its changed ACTIVE could not be loaded.  The version before goes on serving."""
    without_teacher: Mapping[str, CodedError] = field(default_factory=dict)
    """Item → why the teacher it should fall back on was refused."""
    active_files: Mapping[str, bytes] = field(default_factory=dict)
    """Item → content of the ACTIVE file that its live version was loaded from."""

    @property
    def without_shadow(self) -> dict[str, CodedError]:
        """Item → why the version in its shadow was refused."""
        return {item_id: live.without_shadow for item_id, live in self.live.items() if live.without_shadow}

    def get(self, item_id: str) -> LiveItem:
        """Return the live item.  Raises UnknownItem, or ItemNotReady with the reason its bundle was refused."""
        if item := self.live.get(item_id):
            return item
        if error := self.refused.get(item_id):
            raise ItemNotReady(item_id, error)
        raise UnknownItem(item_id)

    def without(self, item_id: str, error: CodedError) -> "RegistrySnapshot":
        """Return a snapshot that refuses a live item, so that the next refresh loads it again."""
        live = {name: item for name, item in self.live.items() if name != item_id}
        active_files = {name: content for name, content in self.active_files.items() if name != item_id}
        return replace(self, live=live, active_files=active_files, refused={**self.refused, item_id: error})


class Registry:
    """The current snapshot of all items.  A reader of several of its parts takes `snapshot` once."""

    def __init__(self, snapshot: RegistrySnapshot, student_cache: StudentCache | None = None) -> None:
        self.snapshot = snapshot
        self.student_cache = StudentCache() if student_cache is None else student_cache
        self._teacher_cache = TeacherCache()
        self._publishing = Lock()

    @classmethod
    def from_folder(cls, models: Path, budget: int | None = None) -> "Registry":
        """Load every item.  A bad bundle is refused with its reason and does not stop the others.

        `budget`: bytes of students that stay in memory.  Each student is loaded once, to check that it can be.
        """
        registry = cls(RegistrySnapshot(), StudentCache(budget))
        registry.refresh(models)
        return registry

    @property
    def live(self) -> Mapping[str, LiveItem]:
        """Live items by id, as of now."""
        return self.snapshot.live

    @property
    def refused(self) -> Mapping[str, CodedError]:
        """Refused items by id with the reason, as of now."""
        return self.snapshot.refused

    @property
    def without_teacher(self) -> Mapping[str, CodedError]:
        """Items that lack their teacher by id with the reason, as of now."""
        return self.snapshot.without_teacher

    def get(self, item_id: str) -> LiveItem:
        """Return the live item.  Raises UnknownItem, or ItemNotReady with the reason its bundle was refused."""
        return self.snapshot.get(item_id)

    def refresh(self, models: Path) -> list[str]:
        """Load the items whose ACTIVE has changed and return their ids.  A failed load is tried again next time.

        Other threads may score meanwhile: they finish on the snapshot that they took.
        Raises OSError where the folder cannot be read, or where it has become empty.
        """
        present = item_ids(models)
        before = self.snapshot
        if before.live and not present:  # an unmounted disk leaves an empty folder, or none
            raise FileNotFoundError(errno.ENOENT, "no item is left in the folder", str(models))
        self._teacher_cache.forget_refused()
        refresh = _Refresh(before, models, self._teacher_cache, self.student_cache)
        try:
            for item_id in present:
                refresh.load_if_changed(item_id)
            refresh.remove_absent(present)
        finally:
            # An unforeseen error of one item does not hold back the items before it.
            self._publish(before, refresh.snapshot())
        self._evict_unused()
        return refresh.changed

    def withdraw(self, item_id: str, live: LiveItem, error: CodedError) -> None:
        """Refuse an item whose student cannot be read any more.  A newer item in its place is left alone."""
        with self._publishing:
            if self.snapshot.live.get(item_id) is live:
                self.snapshot = self.snapshot.without(item_id, error)

    def _publish(self, before: RegistrySnapshot, after: RegistrySnapshot) -> None:
        """Replace the snapshot.  Items that were withdrawn during the refresh stay withdrawn unless it loaded them."""
        with self._publishing:
            for item_id in before.live.keys() - self.snapshot.live.keys():
                if after.live.get(item_id) is before.live[item_id]:
                    after = after.without(item_id, self.snapshot.refused[item_id])
            self.snapshot = after

    def _evict_unused(self) -> None:
        live = self.snapshot.live.values()
        sources = [item.source for item in live]
        sources += [item.shadow.source for item in live if item.shadow is not None]
        self.student_cache.keep({source.folder for source in sources if isinstance(source, CachedStudent)})
        fallbacks = [item.active.fallback for item in live if item.active.fallback is not None]
        self._teacher_cache.keep({(fallback.teacher, fallback.version) for fallback in fallbacks})


class _Refresh:
    """The next snapshot in the making."""

    def __init__(
        self, before: RegistrySnapshot, models: Path, teacher_cache: TeacherCache, student_cache: StudentCache
    ) -> None:
        self.changed: list[str] = []
        self._models, self._teacher_cache, self._student_cache = models, teacher_cache, student_cache
        self._live, self._active_files = dict(before.live), dict(before.active_files)
        self._refused, self._not_taken_up = dict(before.refused), dict(before.not_taken_up)
        self._without_teacher = dict(before.without_teacher)

    def snapshot(self) -> RegistrySnapshot:
        return RegistrySnapshot(
            self._live, self._refused, self._not_taken_up, self._without_teacher, self._active_files
        )

    def load_if_changed(self, item_id: str) -> None:
        """Load an item if its ACTIVE has changed, or to see whether a teacher or shadow that it lacks is there now."""
        live = self._live.get(item_id)
        lacks = self._lacks(item_id, live)
        try:
            active_file = active_bytes(item_folder(self._models, item_id))
            is_unchanged = live is not None and self._active_files.get(item_id) == active_file
            if is_unchanged and not any(lacks):
                self._not_taken_up.pop(item_id, None)
                return
            loaded = load_item(self._models, item_id, self._teacher_cache, self._student_cache)
        except UnknownItem:
            self._refuse(item_id, BadBundle("the folder's name is not an item id", code="no_item_id"))
        except BadBundle as error:
            self._refuse(item_id, error)
        else:
            lacks_now = (item_id in self._teacher_cache.refused, loaded.without_shadow is not None)
            if not is_unchanged or lacks_now != lacks:
                self._take_up(item_id, loaded, active_file)
            elif item_id in self._teacher_cache.refused:  # perhaps for another reason than before
                self._without_teacher[item_id] = self._teacher_cache.refused[item_id]

    def remove_absent(self, present: list[str]) -> None:
        """Remove every item that has no folder any more."""
        for item_id in {*self._live, *self._refused} - set(present):
            self._live.pop(item_id, None)
            self._active_files.pop(item_id, None)
            self._forget_faults(item_id)
            self.changed.append(item_id)

    def _lacks(self, item_id: str, live: LiveItem | None) -> tuple[bool, bool]:
        """Return whether a live item lacks its teacher, and its shadow."""
        return item_id in self._without_teacher, live is not None and live.without_shadow is not None

    def _take_up(self, item_id: str, loaded: LiveItem, active_file: bytes) -> None:
        self._live[item_id], self._active_files[item_id] = loaded, active_file
        self._forget_faults(item_id)
        if item_id in self._teacher_cache.refused:
            self._without_teacher[item_id] = self._teacher_cache.refused[item_id]
        self.changed.append(item_id)

    def _refuse(self, item_id: str, error: BadBundle) -> None:
        faults = self._not_taken_up if item_id in self._live else self._refused
        faults[item_id] = error.with_traceback(None)

    def _forget_faults(self, item_id: str) -> None:
        for faults in (self._refused, self._not_taken_up, self._without_teacher):
            faults.pop(item_id, None)


def load_item(
    models: Path, item_id: str, teacher_cache: TeacherCache | None = None, student_cache: StudentCache | None = None
) -> LiveItem:
    """Return the item's active version, with the teacher and the shadow that ACTIVE names.

    An item is served without a teacher or a shadow that is refused.  Raises UnknownItem or BadBundle.
    """
    folder = item_folder(models, item_id)
    active = read_active(folder)
    student = Student.load(folder / active.version)
    active.check(student.bundle, student.metadata_sha256)
    student_cache = StudentCache() if student_cache is None else student_cache
    teacher_cache = TeacherCache() if teacher_cache is None else teacher_cache
    second = teacher_cache.second_scorer(models, student.bundle, active.fallback)
    source = _cached(student_cache, folder / active.version, student)
    item = LiveItem(student.bundle.without_limits(), source, active, second)
    if active.shadow is not None:
        try:
            item.shadow = _load_shadow(student_cache, folder, active.shadow)
        except BadBundle as error:
            item.without_shadow = BadBundle.of(active.shadow.version, error)
    return item


def _cached(student_cache: StudentCache, folder: Path, student: Student) -> CachedStudent:
    student_cache.put(folder, student)
    return CachedStudent(student_cache, folder, student.metadata_sha256)


def _load_shadow(student_cache: StudentCache, folder: Path, shadow: Shadow) -> ShadowItem:
    student = Student.load(folder / shadow.version)
    if student.metadata_sha256 != shadow.metadata_sha256:
        raise BadBundle("bundle.json has changed since the version was put into the shadow", code="bundle_changed")
    return ShadowItem(student.bundle.without_limits(), _cached(student_cache, folder / shadow.version, student))


def fallback_on(models: Path, item: Item, policy: Literal["unsure", "shadow"]) -> Fallback:
    """Return a fall-back on the newest teacher that was taught the item, after loading it once.  Raises BadBundle."""
    name, version = newest_teacher(models, item)
    teacher = ExportedTeacher.load(teacher_folder(models, name, version))
    teacher.taught(item)
    return Fallback(policy=policy, teacher=name, version=version, metadata_sha256=teacher.metadata_sha256)
