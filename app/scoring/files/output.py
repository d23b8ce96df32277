"""Files that we write: the mark by which they are known, and the guard on texts that a spreadsheet would run."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

from app.scoring.errors import ScoringError

ORIGIN_MARK = "written_by_scorelet"  # a column of our CSV, a key of our JSON, a comment in our pages
GUARDED, RAW = "guarded", "raw"  # the mark's value in a row: whether its texts bear guards
GUARD = "'"
FORMULA_SIGNS = frozenset("=+-@\uff1d\uff0b\uff0d\uff20")  # a spreadsheet takes the full-width forms for the same signs
LOOKED_AT = 4096  # bytes at a file's beginning, among which the mark stands
_NUMBER = re.compile(r"[+-]?(\d+([.,]\d+)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)


class CannotWrite(ScoringError):
    """A file that may not be written, said before the work."""


def guarded(text: str) -> str:
    """Return the text as a cell that no spreadsheet runs.  A number stays one; `unguarded` gives the text back."""
    if text.startswith(GUARD):
        return GUARD + text
    if _NUMBER.fullmatch(text):
        return text
    seen = next((character for character in text if not _is_skipped(character)), "")
    return GUARD + text if seen in FORMULA_SIGNS or text.startswith(("\t", "\r", "\n")) else text


def unguarded(cell: str) -> str:
    return cell.removeprefix(GUARD)


def _is_skipped(character: str) -> bool:
    """Return whether a spreadsheet may skip the character before a sign: white space, controls, format characters."""
    return character.isspace() or unicodedata.category(character) in ("Cc", "Cf")


def is_ours(path: Path) -> bool:
    with path.open("rb") as file:
        return ORIGIN_MARK.encode() in file.read(LOOKED_AT)


def refuse_to_lose(outputs: Iterable[Path | None], inputs: Sequence[Path], *, force: bool) -> None:
    """Check the files that a command will write, before its work.

    Raises CannotWrite for a folder that is not there, for a file that the command reads, for two outputs in one
    file, and for a file that scorelet did not write, unless forced.
    """
    seen: list[Path] = []
    for path in outputs:
        if path is None:
            continue
        if not path.absolute().parent.is_dir():
            raise CannotWrite(f"{path}: there is no such folder", code="no_folder", path=path)
        if path.is_dir():
            raise CannotWrite(f"{path} is a folder, not a file to write to", code="is_folder", path=path)
        if any(_same(path, other) for other in inputs):
            raise CannotWrite(f"{path} is an input of this command: name another file", code="own_input", path=path)
        if any(_same(path, other) for other in seen):
            raise CannotWrite(f"{path} is named twice: name a file for each output", code="output_twice", path=path)
        if path.is_file() and not force and not is_ours(path):
            raise CannotWrite(
                f"{path} exists and was not written by scorelet: name another file, or say --force to lose it",
                code="not_ours",
                path=path,
            )
        seen.append(path)


def _same(path: Path, other: Path) -> bool:
    if path.exists() and other.exists():
        return path.samefile(other)
    return path.resolve() == other.resolve()
