"""Results cached by a hash of their inputs, so that a killed run goes on from its last result.

The folder lies outside the repository and may be deleted at any time.
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
ABANDONED = 24 * 3600  # seconds after which a half-written file belongs to no live run
CACHE = "SCORELET_CACHE"


def default_folder() -> Path:
    """Return `$SCORELET_CACHE`, or else the folder `scorelet` in the user's cache folder."""
    if named := os.environ.get(CACHE):
        return Path(named)
    user_cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(user_cache) / "scorelet"


def work_folder(named: Path | None) -> Path:
    """Return the part of the named or the default folder that belongs to this version of scorelet.

    Another version may give another result under the same settings.
    """
    return (named or default_folder()) / importlib.metadata.version("scorelet")


def key_of(*parts: object) -> str:
    """Return a hash of parts that JSON can hold.  Equal parts give equal keys on every machine."""
    content = json.dumps(parts, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(content.encode()).hexdigest()[:20]


def key_of_texts(texts: Iterable[str]) -> str:
    """Return a hash of texts in their order."""
    digest = hashlib.sha256()
    for text in texts:
        content = text.encode()
        digest.update(len(content).to_bytes(8, "big") + content)
    return digest.hexdigest()[:20]


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Write a temporary neighbour and rename it: a killed run leaves the old file or the new file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f".{'?' * 8}-{glob.escape(path.name)}"):  # temporary files of killed runs
        with suppress(FileNotFoundError):  # another run may remove or rename the file meanwhile
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
    """Make the content of a file and note the seconds that took, unless the file is there."""
    if path.is_file():
        return
    began = time.monotonic()
    content = make()
    note_seconds(path, time.monotonic() - began)
    replace_file(path, lambda file: save(file, content))


def note_seconds(path: Path, seconds: float) -> None:
    """Write the seconds that a cached file took to make into a small file beside it."""
    text = f"{seconds:.1f}"
    replace_file(_seconds(path), lambda file: file.write_text(text))


def seconds_of(paths: Iterable[Path]) -> float | None:
    """Return the seconds that cached files took to make, added up, or None if they are not known of all."""
    notes = [_seconds(path) for path in paths]
    if not all(note.is_file() for note in notes):
        return None
    return sum(float(note.read_text()) for note in notes)


def _seconds(path: Path) -> Path:
    return path.with_name(f"{path.name}.seconds")
