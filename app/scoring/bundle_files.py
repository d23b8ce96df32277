"""What bundles of every kind are: a folder `<name>/<version>` whose metadata has the checksum of every other file."""

import hashlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Protocol, Self, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from app.scoring.errors import BadBundle, first_fault

MAX_FILE_BYTES = 64 * 2**20  # a student has some hundred kilobytes; whatever is larger is not one


class FrozenModel(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Metadata(Protocol):
    @property
    def title(self) -> str:
        """`<name>/<version>`, where it stands."""

    @property
    def sha256(self) -> Mapping[str, str]:
        """Of every other file of the folder, by name."""

    @classmethod
    def model_validate_json(cls, json_data: bytes) -> Self: ...


MetadataT = TypeVar("MetadataT", bound=Metadata)


def read_metadata(folder: Path, name: str, kind: type[MetadataT]) -> tuple[MetadataT, bytes]:
    """With its content as read.  Raises BadBundle, also where it was made for another place."""
    content = read_plain(folder, name)
    try:
        bundle = kind.model_validate_json(content)
    except ValidationError as error:
        fault = error.errors(include_input=False, include_url=False)[0]
        raise BadBundle(
            f"{name}: {first_fault(error)}", code="bad_metadata", file=name, fault=fault["type"], where=fault["loc"]
        ) from None
    if bundle.title != (place := f"{folder.parent.name}/{folder.name}"):
        raise BadBundle(
            f"{name} is of {bundle.title}, not of {place}", code="wrong_place", file=name, of=bundle.title, place=place
        )
    return bundle, content


def check_names(bundle: Metadata, name: str, needed: Collection[str], optional: Collection[str] = ()) -> None:
    """Raises BadBundle unless the metadata, in the file of this name, has checksums of these files and no others."""
    if missing := set(needed) - set(bundle.sha256):
        raise BadBundle(f"{name} has no checksum of {sorted(missing)}", code="no_checksum", files=sorted(missing))
    if unknown := set(bundle.sha256) - {*needed, *optional}:
        raise BadBundle(
            f"{name} names {sorted(unknown)}, which no such bundle has", code="unknown_files", files=sorted(unknown)
        )


def read_files(folder: Path, bundle: Metadata, name: str, most: int = MAX_FILE_BYTES) -> dict[str, bytes]:
    """All files but the metadata, read once, so that what was checked is what is used.  Raises BadBundle."""
    contents = {file: read_plain(folder, file, most) for file in bundle.sha256}
    for file, content in contents.items():
        _check(file, sha256(content), bundle, name)
    return contents


def check_files(folder: Path, bundle: Metadata, name: str) -> None:
    """The same for files that are too large to be held.  Raises BadBundle."""
    for file in bundle.sha256:
        _check(file, file_sha256(folder / file), bundle, name)


def _check(file: str, found: str, bundle: Metadata, name: str) -> None:
    if found != bundle.sha256[file]:
        raise BadBundle(f"{file} does not have the checksum in {name}", code="wrong_checksum", file=file)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, read in pieces.  Raises BadBundle."""
    try:
        _check_plain(path)
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise BadBundle(f"{path.name} cannot be read: {error.strerror}", code="unreadable", file=path.name) from None


def read_plain(folder: Path, name: str, most: int = MAX_FILE_BYTES) -> bytes:
    """Raises BadBundle for a link, for what is no file, and for more than `most` bytes."""
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
        raise BadBundle(f"{path.name} is missing or not a plain file", code="no_plain_file", file=path.name)
