"""Students in memory within a budget: those not asked for longest are let go, and read again when they are wanted."""

from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from app.scoring.errors import BadBundle
from app.scoring.student import Student


class StudentCache:
    """Safe to share between threads."""

    def __init__(self, budget: int | None = None) -> None:
        """`budget` in bytes, None: all are kept.  One student is always kept, however large."""
        self.read = 0  # how often a student that had been let go was read again
        self._budget = budget
        self._held: OrderedDict[Path, Student] = OrderedDict()  # the one asked for last stands last
        self._bytes = 0
        self._lock = Lock()
        self._reading = Lock()  # one at a time: two requests for one item read it once

    def __contains__(self, folder: object) -> bool:
        return folder in self._held

    def __len__(self) -> int:
        return len(self._held)

    @property
    def bytes(self) -> int:
        """About, of all students here."""
        return self._bytes

    def put(self, folder: Path, student: Student) -> None:
        with self._lock:
            if (old := self._held.pop(folder, None)) is not None:
                self._bytes -= old.bytes
            self._held[folder] = student
            self._bytes += student.bytes
            while self._budget is not None and self._bytes > self._budget and len(self._held) > 1:
                _, longest_unused = self._held.popitem(last=False)
                self._bytes -= longest_unused.bytes

    def take(self, folder: Path, metadata_sha256: str) -> Student:
        """Raises BadBundle where the folder is not what it was when it was checked."""
        if student := self._found(folder):
            return student
        with self._reading:
            if student := self._found(folder):
                return student
            student = Student.load(folder)
            if student.metadata_sha256 != metadata_sha256:
                raise BadBundle("bundle.json has changed since it was checked", code="bundle_changed")
            self.read += 1
            self.put(folder, student)
            return student

    def keep(self, folders: set[Path]) -> None:
        """What is in no other folder than these is let go."""
        with self._lock:
            for folder in set(self._held) - folders:
                self._bytes -= self._held.pop(folder).bytes

    def _found(self, folder: Path) -> Student | None:
        with self._lock:
            student = self._held.get(folder)
            if student is not None:
                self._held.move_to_end(folder)
            return student


@dataclass(frozen=True, slots=True)
class CachedStudent:
    """One item's place on the shelf."""

    shelf: StudentCache
    folder: Path
    metadata_sha256: str

    @property
    def at_hand(self) -> bool:
        return self.folder in self.shelf

    def take(self) -> Student:
        return self.shelf.take(self.folder, self.metadata_sha256)
