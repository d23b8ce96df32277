"""Results kept by the hash of what made them, so that a run killed anywhere goes on from there.

The folder lies outside the repository and may be deleted at any time: it only saves work.
"""

import glob
import hashlib
import importlib.metadata
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

Made = TypeVar("Made")
ABANDONED = 24 * 3600  # seconds after which a half-written file belongs to no run that still goes on
CACHE = "SCORELET_CACHE"


def default_folder() -> Path:
    """`$SCORELET_CACHE`, else the user's cache folder."""
    if named := os.environ.get(CACHE):
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "scorelet"


def work_folder(named: Path | None) -> Path:
    """This version's part of the folder named, or of the default one: under the same settings another version may make
    something else.
    """
    return (named or default_folder()) / importlib.metadata.version("scorelet")


def key_of(*parts: object) -> str:
    """A hash of JSON-able parts; equal parts give equal keys on every machine."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, ensure_ascii=False).encode()).hexdigest()[:20]


def key_of_texts(texts: Iterable[str]) -> str:
    """A hash of texts in their order."""
    digest = hashlib.sha256()
    for text in texts:
        content = text.encode()
        digest.update(len(content).to_bytes(8, "big") + content)
    return digest.hexdigest()[:20]


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Write to a temporary neighbour, then rename: a killed run leaves the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f".{'?' * 8}-{glob.escape(path.name)}"):  # by a run that was killed here
        with suppress(FileNotFoundError):  # another run cleared it, or renamed it
            if time.time() - left.stat().st_mtime > ABANDONED:
                left.unlink()
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=f"-{path.name}")
    os.close(descriptor)
    try:
        write(Path(name))
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def keep(path: Path, make: Callable[[], Made], save: Callable[[Path, Made], object]) -> None:
    """Makes what the file is to hold, and notes how long that took; nothing if the file is there."""
    if path.is_file():
        return
    began = time.monotonic()
    made = make()
    note_seconds(path, time.monotonic() - began)
    replace_file(path, lambda file: save(file, made))


def note_seconds(path: Path, seconds: float) -> None:
    """How long the making of a cached file took, in a small file beside it."""
    replace_file(_seconds(path), lambda file: file.write_text(f"{seconds:.1f}"))


def seconds_of(paths: Iterable[Path]) -> float | None:
    """How long the making of cached files took in all; None if it is not known of all."""
    notes = [_seconds(path) for path in paths]
    return sum(float(note.read_text()) for note in notes) if all(note.is_file() for note in notes) else None


def _seconds(path: Path) -> Path:
    return path.with_name(f"{path.name}.seconds")
