"""Read and write files of bundles.

A bundle of any kind is a folder `<name>/<version>` whose metadata has the checksum of every other file.
"""

import hashlib
import os
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Protocol, Self, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from app.scoring.errors import BadBundle, first_fault

MAX_FILE_BYTES = 64 * 2**20  # A student has a few hundred kilobytes.


class FrozenModel(BaseModel):
    """A model whose fields are closed and cannot change."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Metadata(Protocol):
    """The metadata of a bundle of any kind."""

    @property
    def title(self) -> str:
        """Return `<name>/<version>`, the place of the bundle."""

    @property
    def sha256(self) -> Mapping[str, str]:
        """Return the checksum of every other file of the folder, by file name."""

    @classmethod
    def model_validate_json(cls, json_data: bytes) -> Self: ...


MetadataT = TypeVar("MetadataT", bound=Metadata)


def read_metadata(folder: Path, name: str, kind: type[MetadataT]) -> tuple[MetadataT, bytes]:
    """Return the metadata and the bytes of their file.

    Raises BadBundle if the file cannot be read, does not fit the schema, or belongs to another name or version.
    """
    content = read_plain(folder, name)
    try:
        bundle = kind.model_validate_json(content)
    except ValidationError as error:
        fault = error.errors(include_input=False, include_url=False)[0]
        raise BadBundle(
            f"{name}: {first_fault(error)}", code="bad_metadata", file=name, fault=fault["type"], where=fault["loc"]
        ) from None
    place = f"{folder.parent.name}/{folder.name}"
    if bundle.title != place:
        raise BadBundle(
            f"{name} belongs to {bundle.title}, not to {place}",
            code="wrong_place",
            file=name,
            of=bundle.title,
            place=place,
        )
    return bundle, content


def check_names(bundle: Metadata, name: str, needed: Collection[str], optional: Collection[str] = ()) -> None:
    """Raise BadBundle unless the metadata have a checksum of every needed file, and of no unknown file.

    Args:
        bundle: the metadata.
        name: the name of their file, for messages.
        needed: files that every bundle of the kind has.
        optional: files that a bundle of the kind may have.
    """
    if missing := set(needed) - set(bundle.sha256):
        raise BadBundle(f"{name} has no checksum for {sorted(missing)}", code="no_checksum", files=sorted(missing))
    if unknown := set(bundle.sha256) - {*needed, *optional}:
        raise BadBundle(f"{name} names unknown files: {sorted(unknown)}", code="unknown_files", files=sorted(unknown))


def read_files(folder: Path, bundle: Metadata, name: str, most: int = MAX_FILE_BYTES) -> dict[str, bytes]:
    """Read and check all files but the metadata, each once, so that the bytes that were checked are used.

    Raises BadBundle for a file that is missing, larger than `most` bytes, or does not match its checksum.
    """
    contents = {file: read_plain(folder, file, most) for file in bundle.sha256}
    for file, content in contents.items():
        _check(file, sha256(content), bundle, name)
    return contents


def check_files(folder: Path, bundle: Metadata, name: str) -> None:
    """Check all files but the metadata without holding them in memory.  Raises BadBundle as `read_files` does."""
    for file in bundle.sha256:
        _check(file, file_sha256(folder / file), bundle, name)


def _check(file: str, checksum: str, bundle: Metadata, name: str) -> None:
    if checksum != bundle.sha256[file]:
        raise BadBundle(f"{file} does not match its checksum in {name}", code="wrong_checksum", file=file)


def sha256(content: bytes) -> str:
    """Return the SHA-256 of bytes in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal, reading the file in pieces.  Raises BadBundle."""
    try:
        _check_plain(path)
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise BadBundle(f"{path.name} cannot be read: {error.strerror}", code="unreadable", file=path.name) from None


def read_plain(folder: Path, name: str, most: int = MAX_FILE_BYTES) -> bytes:
    """Return the bytes of a plain file.

    Raises BadBundle for a missing file, a link or other special file, and a file of more than `most` bytes.
    """
    path = folder / name
    try:
        _check_plain(path)
        if path.stat().st_size > most:
            raise BadBundle(f"{name} is larger than {most} bytes", code="too_large", file=name, most=most)
        return path.read_bytes()
    except OSError as error:
        raise BadBundle(f"{name} cannot be read: {error.strerror}", code="unreadable", file=name) from None


def _check_plain(path: Path) -> None:
    if path.is_symlink() or not path.is_file():
        raise BadBundle(f"{path.name} is missing or is not a plain file", code="no_plain_file", file=path.name)


def write_atomically(path: Path, text: str) -> None:
    """Replace a file so that a reader sees its old or its new content and nothing else, even after a power cut."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
