"""Mark files that scorelet writes, and guard texts that a spreadsheet would run as formulas."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

from app.scoring.errors import ScoringError

ORIGIN_MARK = "written_by_scorelet"  # a column in CSV, a key in JSON, a comment in HTML and Markdown
GUARDED, RAW = "guarded", "raw"  # values of the column: texts with guards, or as they are
GUARD = "'"
FORMULA_SIGNS = frozenset("=+-@\uff1d\uff0b\uff0d\uff20")  # Spreadsheets treat full-width forms alike.
LOOKED_AT = 4096  # bytes at the beginning of a file that contain the mark
_NUMBER = re.compile(r"[+-]?(\d+([.,]\d+)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)


class CannotWrite(ScoringError):
    """A file that a command may not write, reported before the work."""


def guarded(text: str) -> str:
    """Return a text as a cell that no spreadsheet runs.  Numbers stay numbers; `unguarded` reverses it."""
    if text.startswith(GUARD):
        return GUARD + text
    if _NUMBER.fullmatch(text):
        return text
    first = next((character for character in text if not _is_skipped(character)), "")
    is_formula = first in FORMULA_SIGNS or text.startswith(("\t", "\r", "\n"))
    return GUARD + text if is_formula else text


def unguarded(cell: str) -> str:
    """Return the text of a cell that `guarded` returned."""
    return cell.removeprefix(GUARD)


def _is_skipped(character: str) -> bool:
    """Return whether a spreadsheet may skip the character before a sign: white space, control or format character."""
    return character.isspace() or unicodedata.category(character) in ("Cc", "Cf")


def is_ours(path: Path) -> bool:
    """Return whether scorelet wrote the file."""
    with path.open("rb") as file:
        return ORIGIN_MARK.encode() in file.read(LOOKED_AT)


def refuse_to_lose(outputs: Iterable[Path | None], inputs: Sequence[Path], *, force: bool) -> None:
    """Check the files that a command will write, before its work.

    Raises CannotWrite if a folder does not exist, if an output is also an input or is named twice, and, unless forced,
    if scorelet did not write the present file.
    """
    checked: list[Path] = []
    for path in outputs:
        if path is None:
            continue
        if not path.absolute().parent.is_dir():
            raise CannotWrite(f"{path}: the folder does not exist: create it first", code="no_folder", path=path)
        if path.is_dir():
            raise CannotWrite(f"{path} is a folder, not a file to write to", code="is_folder", path=path)
        if any(_same(path, other) for other in inputs):
            raise CannotWrite(f"{path} is an input of this command: choose another output", code="own_input", path=path)
        if any(_same(path, other) for other in checked):
            raise CannotWrite(f"{path} is given for two outputs: choose two files", code="output_twice", path=path)
        if path.is_file() and not force and not is_ours(path):
            raise CannotWrite(
                f"{path} exists and was not written by scorelet: choose another file, or overwrite it with --force",
                code="not_ours",
                path=path,
            )
        checked.append(path)


def _same(path: Path, other: Path) -> bool:
    if path.exists() and other.exists():
        return path.samefile(other)
    return path.resolve() == other.resolve()
