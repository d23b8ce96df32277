"""Rows of a file and names of its columns, before they are interpreted."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.scoring.errors import RowError, ScoringError
from app.scoring.files.options import is_known_column

EMPTY = ("", None)  # values of fields
Line = tuple[int, dict[str, Any]]  # number of the line, or of a sheet's row, and its fields by column


@dataclass(frozen=True, slots=True)
class Content:
    """All rows of a file, and the faults of rows that cannot be read."""

    lines: list[Line] = field(default_factory=list)
    errors: list[RowError] = field(default_factory=list)
    delimiter: str = ""  # of a text file with columns
    header: int = 1  # the line with the names of the columns
    notes: tuple[str, ...] = ()  # remarks for the user

    @classmethod
    def refused(cls, error: RowError) -> "Content":
        """Return the content of a file that cannot be read."""
        return cls(errors=[error])


class BadHeader(ScoringError):
    """A header whose names of columns cannot be used."""


@dataclass(frozen=True, slots=True)
class Columns:
    """The names of a file's columns."""

    names: tuple[str, ...]
    nameless: frozenset[str]

    @classmethod
    def of(cls, header: Sequence[str]) -> "Columns":
        """Return a different name for every column.

        A repeated name gets a number; a column without a name is named by its place.  Raises BadHeader for a header
        without names, and for a repeated name that scorelet interprets.
        """
        stripped = [name.strip() for name in header]
        if not any(stripped):
            raise BadHeader("the first line must name the columns", code="no_header")
        names: list[str] = []
        for place, name in enumerate(stripped, start=1):
            if name in names and is_known_column(name):
                raise BadHeader(f"two columns are named {name!r}: rename one", code="column_twice", column=name)
            free = _free(name, names) if name else _free(f"column {place}", [*names, *stripped])
            names.append(free)
        pairs = zip(names, stripped, strict=True)
        return cls(tuple(names), frozenset(name for name, in_file in pairs if not in_file))

    def fields(self, path: Path, line: int, values: Sequence[Any]) -> Iterator[Line | RowError]:
        """Yield the row, or an error; nothing for an empty row.  Empty fields of columns without a name are dropped."""
        if not _holds_any(values):
            return
        named = [place for place, name in enumerate(self.names, start=1) if name not in self.nameless]
        if _holds_any(values[len(self.names) :]):
            reason = (
                "more fields than columns: put texts that contain the delimiter in quotes, and name every column in "
                "the first line (R leaves out the name of row names)"
            )
            yield RowError(path, line, reason, "more_fields")
        elif len(values) < named[-1]:
            reason = "fewer fields than columns: put texts that contain a line end in quotes"
            yield RowError(path, line, reason, "fewer_fields")
        else:
            fields = zip(self.names, values, strict=False)
            yield line, {name: value for name, value in fields if value not in EMPTY or name not in self.nameless}


def _holds_any(values: Sequence[Any]) -> bool:
    return any(value not in EMPTY for value in values)


def _free(name: str, used: Sequence[str]) -> str:
    """Return the name, with a number behind it if another column has the name."""
    free, number = name, 2
    while free in used:
        free, number = f"{name} ({number})", number + 1
    return free
