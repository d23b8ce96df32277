"""ACTIVE: the one truth about which bundle of an item is live, replaced atomically.  Rollback writes the old one."""

import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, Self, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from app.scoring.bundle import METADATA, Bundle, read_bundle
from app.scoring.errors import BadBundle, UnknownItem, first_fault
from app.scoring.gate import Gate
from app.scoring.item import Item, Name

ACTIVE = "ACTIVE"
Mode = Literal["auto", "suggest"]
_NAME: TypeAdapter[str] = TypeAdapter(Name)


class Release(BaseModel):
    """Which version of a model is live, and who decided that.  `auto` lets a confident score stand; `suggest` sends
    every score to a reviewer.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Name
    mode: Mode
    by: str = Field(min_length=1)
    at: AwareDatetime
    reason: str
    previous: Name | None = Field(default=None, description="What `rollback` goes back to.")

    @model_validator(mode="after")
    def _auto_has_a_reason(self) -> Self:
        if self.mode == "auto" and not (self.by.strip() and self.reason.strip()):
            raise PydanticCustomError("auto_without_reason", "mode 'auto' needs a named person and a reason")
        return self


class Fallback(BaseModel):
    """Another model is asked: `unsure`, where the student's score may not stand; `shadow`, always, and only logged."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    policy: Literal["unsure", "shadow"]
    teacher: Name
    version: Name
    metadata_sha256: str = Field(description="Of teacher.json as it was released.")


class Shadow(BaseModel):
    """Another version of the bundle, which scores what this one scores, and is only logged."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Name
    metadata_sha256: str = Field(description="Of its bundle.json when it was put there.")
    by: str = Field(min_length=1, description="Who put it there.")


class BlankIsWorst(BaseModel):
    """Blank responses and refusals are given the worst score, and it stands: a person's decision about the item."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    by: str = Field(pattern=r"\S")
    at: AwareDatetime
    reason: str = Field(pattern=r"\S")


class Active(Release):
    """An item's release.  `auto` needs a passed gate, or a person who lets the item score alone all the same."""

    metadata_sha256: str = Field(description="Of bundle.json as it was released.")
    gate: Gate
    fallback: Fallback | None = Field(default=None, description="None: no other model is ever asked.")
    shadow: Shadow | None = Field(default=None, description="None: no other version scores beside.")
    blank_is_worst: BlankIsWorst | None = Field(
        default=None, description="None: a person looks at blank responses and refusals."
    )
    override: bool = Field(default=False, description="Mode auto though the gate refused: by whom and why is above.")

    @model_validator(mode="after")
    def _auto_has_passed(self) -> Self:
        if self.mode == "auto" and not (self.gate.passed or self.override):
            raise PydanticCustomError(
                "auto_without_gate", "mode 'auto' needs a passed gate, or an override by a named person"
            )
        return self

    def check(self, bundle: Bundle, metadata_sha256: str) -> None:
        """Raises BadBundle where this is not what was decided of this bundle.json."""
        if metadata_sha256 != self.metadata_sha256:
            raise BadBundle(f"{METADATA} is not the one that was released: activate it again", code="not_released")
        if self.gate != bundle.gate:
            raise BadBundle(
                f"{ACTIVE} has a gate result that {METADATA} does not give: activate it again", code="gate_differs"
            )
        if self.blank_is_worst is not None and not bundle.item.is_ordered:
            raise BadBundle(
                f"{ACTIVE} gives blank responses the worst score, and the labels of item {bundle.item.item_id!r} have "
                "none: activate it again",
                code="no_worst_label",
                item_id=bundle.item.item_id,
            )

    def kept_for(self, item: Item) -> BlankIsWorst | None:
        """Return the decision on blank responses for a later version of the item, whose labels may have no worst."""
        return self.blank_is_worst if item.is_ordered else None


ReleaseT = TypeVar("ReleaseT", bound=Release)


def item_folder(models: Path, item_id: str) -> Path:
    """The item's folder.  Raises UnknownItem for what is no item id or has no folder, BadBundle where none can look."""
    try:
        _NAME.validate_python(item_id)
    except ValidationError:
        raise UnknownItem(item_id) from None
    folder = models / item_id
    try:
        if not folder.is_dir():
            raise UnknownItem(item_id)
    except OSError as error:
        raise BadBundle(f"the item's folder cannot be read: {error.strerror}", code="folder_unreadable") from None
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
    return read_release(folder, Active)


def read_release(folder: Path, kind: type[ReleaseT]) -> ReleaseT:
    """Raises BadBundle when no version is active or the file cannot be understood."""
    try:
        return kind.model_validate_json(active_bytes(folder))
    except ValidationError as error:
        fault = error.errors(include_input=False, include_url=False)[0]
        raise BadBundle(
            f"{ACTIVE}: {first_fault(error)}", code="bad_active", fault=fault["type"], where=fault["loc"]
        ) from None


def active_bytes(folder: Path) -> bytes:
    """What stands in ACTIVE.  Raises BadBundle when there is none or it cannot be read."""
    path = folder / ACTIVE
    try:
        if not path.exists():
            raise BadBundle(f"no version is active: {ACTIVE} is missing", code="none_active")
        if not path.is_file():  # a pipe would be waited on for ever
            raise BadBundle(f"{ACTIVE} is no file", code="active_no_file")
        return path.read_bytes()
    except OSError as error:
        raise BadBundle(f"{ACTIVE} cannot be read: {error.strerror}", code="active_unreadable") from None


def activate(
    folder: Path,
    version: str,
    *,
    by: str,
    reason: str,
    mode: Mode | None = None,
    fallback: Fallback | None = None,
    blank_is_worst: BlankIsWorst | None = None,
) -> Active:
    """Make an item's version live, in the mode that its gate gives, or in another by a person's decision.

    The caller has loaded the bundle once.  `blank_is_worst` is kept from ACTIVE by callers who decide nothing about
    it.  Raises BadBundle, and ValueError for `auto` without a reason.
    """
    files = read_bundle(folder / version)
    found = files.bundle.gate
    chosen: Mode = mode or ("auto" if found.passed else "suggest")
    active = Active(
        version=version,
        mode=chosen,
        by=by,
        at=datetime.now(UTC),
        reason=reason,
        previous=_previous(folder, version, Active),
        metadata_sha256=files.metadata_sha256,
        gate=found,
        fallback=fallback,
        blank_is_worst=blank_is_worst,
        override=chosen == "auto" and not found.passed,
    )
    active.check(files.bundle, files.metadata_sha256)
    _write(folder, active)
    return active


def cast_shadow(folder: Path, version: str | None, *, by: str) -> Active:
    """Let another version of the item score in the shadow of the live one, or none; all else stays as it was decided.

    The caller has loaded the bundle once.  Raises BadBundle, and ValueError for the version that is live.
    """
    active = read_active(folder)
    if version == active.version:
        raise ValueError(f"{version} is live itself")
    shadow = None
    if version is not None:
        shadow = Shadow(version=version, metadata_sha256=read_bundle(folder / version).metadata_sha256, by=by)
    changed = active.model_copy(update={"shadow": shadow})
    _write(folder, changed)
    return changed


def release_ungated(folder: Path, version: str, *, by: str, reason: str) -> Release:
    """Make a version live that has no gate.  The caller has checked it.  Raises ValueError without a reason."""
    previous = _previous(folder, version, Release)
    made = Release(version=version, mode="auto", by=by, at=datetime.now(UTC), reason=reason, previous=previous)
    _write(folder, made)
    return made


def _previous(folder: Path, version: str, kind: type[Release]) -> str | None:
    try:
        before = read_release(folder, kind)
    except BadBundle:
        return None
    return before.version if before.version != version else before.previous


def _write(folder: Path, made: Release) -> None:
    write_atomically(folder / ACTIVE, made.model_dump_json(indent=2) + "\n")


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
