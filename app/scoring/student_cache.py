"""Students in memory within a budget.  The least recently used are evicted, and read again when they are needed."""

from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from app.scoring.errors import BadBundle
from app.scoring.student import Student


class StudentCache:
    """Loaded students by folder.  Safe to share between threads."""

    def __init__(self, budget: int | None = None) -> None:
        """Keep students of at most `budget` bytes together; None: keep all.  One student is always kept."""
        self.reloads = 0  # of students that had been evicted
        self._budget = budget
        self._students: OrderedDict[Path, Student] = OrderedDict()  # least recently used first
        self._bytes = 0
        self._lock = Lock()
        self._reading = Lock()  # one reader at a time, so that two requests for one item read it once

    def __contains__(self, folder: object) -> bool:
        return folder in self._students

    def __len__(self) -> int:
        return len(self._students)

    @property
    def bytes(self) -> int:
        """Estimated memory of all cached students."""
        return self._bytes

    def put(self, folder: Path, student: Student) -> None:
        """Cache a student, and evict the least recently used ones while the budget is exceeded."""
        with self._lock:
            if (replaced := self._students.pop(folder, None)) is not None:
                self._bytes -= replaced.bytes
            self._students[folder] = student
            self._bytes += student.bytes
            while self._budget is not None and self._bytes > self._budget and len(self._students) > 1:
                _, evicted = self._students.popitem(last=False)
                self._bytes -= evicted.bytes

    def take(self, folder: Path, metadata_sha256: str) -> Student:
        """Return a student, reading it if needed.  Raises BadBundle where its folder is no longer the one checked."""
        if student := self._cached(folder):
            return student
        with self._reading:
            if student := self._cached(folder):
                return student
            student = Student.load(folder)
            if student.metadata_sha256 != metadata_sha256:
                raise BadBundle("bundle.json has changed since it was checked", code="bundle_changed")
            self.reloads += 1
            self.put(folder, student)
            return student

    def keep(self, folders: set[Path]) -> None:
        """Evict every student whose folder is not in `folders`."""
        with self._lock:
            for folder in set(self._students) - folders:
                self._bytes -= self._students.pop(folder).bytes

    def _cached(self, folder: Path) -> Student | None:
        with self._lock:
            student = self._students.get(folder)
            if student is not None:
                self._students.move_to_end(folder)
            return student


@dataclass(frozen=True, slots=True)
class CachedStudent:
    """A student that its item takes from the cache."""

    student_cache: StudentCache
    folder: Path
    metadata_sha256: str

    @property
    def is_loaded(self) -> bool:
        """Whether the student is in memory."""
        return self.folder in self.student_cache

    def take(self) -> Student:
        """Return the student, reading it if needed.  Raises BadBundle where its folder has changed."""
        return self.student_cache.take(self.folder, self.metadata_sha256)
