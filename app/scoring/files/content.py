"""Hold the rows of a file and the names of its columns, before anyone knows their meaning."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.scoring.errors import RowError, ScoringError
from app.scoring.files.options import is_known_column

Line = tuple[int, dict[str, Any]]  # the line, or the row of a sheet, and its fields by column


@dataclass(frozen=True, slots=True)
class Content:
    lines: list[Line] = field(default_factory=list)
    errors: list[RowError] = field(default_factory=list)
    delimiter: str = ""  # of a text file with columns
    header: int = 1  # the line with the names of the columns
    notes: tuple[str, ...] = ()  # what else was found out, for a person


class BadHeader(ScoringError):
    """The names of the columns cannot be understood."""


@dataclass(frozen=True, slots=True)
class Columns:
    names: tuple[str, ...]
    nameless: frozenset[str]

    @classmethod
    def of(cls, header: Sequence[str]) -> "Columns":
        """Return a name for every column.

        A second column of a name that we need is an error; of any other it gets a number.  A column without a name
        is called by its place.  Raises BadHeader.
        """
        stripped = [name.strip() for name in header]
        if not any(stripped):
            raise BadHeader("the first line must name the columns", code="no_header")
        names: list[str] = []
        for place, name in enumerate(stripped, start=1):
            if name in names and is_known_column(name):
                raise BadHeader(f"two columns are named {name!r}: rename one", code="column_twice", column=name)
            names.append(_free(name, names) if name else _free(f"column {place}", [*names, *stripped]))
        return cls(tuple(names), frozenset(new for new, old in zip(names, stripped, strict=True) if not old))

    def fields(self, path: Path, line: int, values: Sequence[Any]) -> Iterator[Line | RowError]:
        """Yield the row, an error, or nothing where the row is empty.  An empty field without a name is dropped."""
        if all(value in ("", None) for value in values):
            return
        named = [place for place, name in enumerate(self.names, start=1) if name not in self.nameless]
        if any(value not in ("", None) for value in values[len(self.names) :]):
            reason = (
                "more fields than columns: is a text with a delimiter not in quotes, or has a column (row names of R) "
                "no name in the first line?"
            )
            yield RowError(path, line, reason, "more_fields")
        elif len(values) < named[-1]:
            yield RowError(
                path, line, "fewer fields than columns: is a text with a line end not in quotes?", "fewer_fields"
            )
        else:
            pairs = zip(self.names, values, strict=False)
            yield line, {k: v for k, v in pairs if k not in self.nameless or v not in ("", None)}


def _free(name: str, taken: Sequence[str]) -> str:
    """Return the name, with a number behind it where another column has the name."""
    free, number = name, 2
    while free in taken:
        free, number = f"{name} ({number})", number + 1
    return free
