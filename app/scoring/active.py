"""ACTIVE: the one truth about which bundle of an item is live, replaced atomically.  Rollback writes the old one."""

import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from app.scoring.errors import BadBundle, UnknownItem, first_fault
from app.scoring.item import Name

ACTIVE = "ACTIVE"
_NAME: TypeAdapter[str] = TypeAdapter(Name)


class Active(BaseModel):
    """`auto` lets a confident score stand; `suggest` sends every score to a reviewer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Name
    mode: Literal["auto", "suggest"]
    by: str = Field(min_length=1)
    at: AwareDatetime
    reason: str
    previous: Name | None = Field(default=None, description="What `rollback` goes back to.")

    @model_validator(mode="after")
    def _auto_has_a_reason(self) -> Self:
        if self.mode == "auto" and not (self.by.strip() and self.reason.strip()):
            raise ValueError("mode 'auto' needs a named person and a reason")
        return self


def item_folder(models: Path, item_id: str) -> Path:
    """The item's folder.  Raises UnknownItem for what is no item id or has no folder."""
    try:
        _NAME.validate_python(item_id)
    except ValidationError:
        raise UnknownItem(item_id) from None
    folder = models / item_id
    if not folder.is_dir():
        raise UnknownItem(item_id)
    return folder


def item_ids(models: Path) -> list[str]:
    """The items under `models/`, `_teachers` and hidden folders left out."""
    if not models.is_dir():
        return []
    return sorted(path.name for path in models.iterdir() if path.is_dir() and path.name[0].isalnum())


def versions(folder: Path) -> list[str]:
    """An item's bundles, oldest first: a version begins with its UTC time."""
    return sorted(path.name for path in folder.iterdir() if path.is_dir() and path.name[0].isalnum())


def read_active(folder: Path) -> Active:
    """Raises BadBundle when no version is active or the file cannot be understood."""
    try:
        path = folder / ACTIVE
        if not path.exists():
            raise BadBundle(f"no version is active: {ACTIVE} is missing")
        if not path.is_file():  # a pipe would be waited on for ever
            raise BadBundle(f"{ACTIVE} is no file")
        return Active.model_validate_json(path.read_bytes())
    except OSError as error:
        raise BadBundle(f"{ACTIVE} cannot be read: {error.strerror}") from None
    except ValidationError as error:
        raise BadBundle(f"{ACTIVE}: {first_fault(error)}") from None


def activate(folder: Path, version: str, *, mode: Literal["auto", "suggest"], by: str, reason: str) -> Active:
    """Make a version live.  The caller has checked the bundle.  Raises ValueError for `auto` without a reason."""
    try:
        previous = read_active(folder)
    except BadBundle:
        before = None
    else:
        before = previous.version if previous.version != version else previous.previous
    active = Active(version=version, mode=mode, by=by, at=datetime.now(UTC), reason=reason, previous=before)
    write_atomically(folder / ACTIVE, active.model_dump_json(indent=2) + "\n")
    return active


def write_atomically(path: Path, text: str) -> None:
    """A reader sees the old file or the new one, also after a power cut."""
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
