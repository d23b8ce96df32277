"""ACTIVE: the file that names the live version of an item.  It is the only truth, and is replaced atomically."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, Self, TypeVar

from pydantic import AwareDatetime, Field, TypeAdapter, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from app.scoring.bundle import METADATA, Bundle, read_bundle
from app.scoring.bundle_files import FrozenModel, write_atomically
from app.scoring.errors import BadBundle, UnknownItem, first_fault
from app.scoring.gate import Gate
from app.scoring.item import Item, Name

ACTIVE = "ACTIVE"
Mode = Literal["auto", "suggest"]
_ITEM_ID: TypeAdapter[str] = TypeAdapter(Name)


class Release(FrozenModel):
    """The live version of a model, with the name of the person behind the release.

    Mode `auto` lets a confident score stand; `suggest` sends every score to a reviewer.
    """

    version: Name
    mode: Mode
    by: str = Field(min_length=1)
    at: AwareDatetime
    reason: str
    previous: Name | None = Field(default=None, description="Version that `rollback` restores.")

    @model_validator(mode="after")
    def _auto_has_a_reason(self) -> Self:
        if self.mode == "auto" and not (self.by.strip() and self.reason.strip()):
            raise PydanticCustomError("auto_without_reason", "mode 'auto' needs the name of a person and a reason")
        return self


class Fallback(FrozenModel):
    """A teacher beside the student.

    Policy `unsure` asks the teacher if the student's score may not stand; `shadow` asks it always and only logs.
    """

    policy: Literal["unsure", "shadow"] = Field(description="When the teacher scores.")
    teacher: Name = Field(description="Name of the teacher.")
    version: Name = Field(description="Version of the teacher.")
    metadata_sha256: str = Field(description="SHA-256 of teacher.json at the release.")


class Shadow(FrozenModel):
    """Another version of the bundle that scores every response beside the live version.  Its scores are only logged."""

    version: Name
    metadata_sha256: str = Field(description="SHA-256 of its bundle.json at that time.")
    by: str = Field(min_length=1, description="Person who started the shadow.")


class BlankIsWorst(FrozenModel):
    """A person's decision that blank responses and refusals get the worst score without review."""

    by: str = Field(pattern=r"\S", description="The person who decided.")
    at: AwareDatetime = Field(description="Time of the decision.")
    reason: str = Field(pattern=r"\S", description="Why the person decided so.")


class Active(Release):
    """The release of an item.  Mode `auto` needs a passed gate or an override by a named person."""

    metadata_sha256: str = Field(description="SHA-256 of bundle.json at the release.")
    gate: Gate
    fallback: Fallback | None = Field(default=None, description="Teacher beside the student; None: no teacher.")
    shadow: Shadow | None = Field(default=None, description="Shadow version; None: no shadow.")
    blank_is_worst: BlankIsWorst | None = Field(
        default=None, description="Decision on blank responses and refusals; None: they go to review."
    )
    override: bool = Field(default=False, description="Mode auto although the gate failed; see `by` and `reason`.")

    @model_validator(mode="after")
    def _auto_has_passed(self) -> Self:
        if self.mode == "auto" and not (self.gate.passed or self.override):
            raise PydanticCustomError(
                "auto_without_gate", "mode 'auto' needs a passed gate or an override by a named person"
            )
        return self

    def check(self, bundle: Bundle, metadata_sha256: str) -> None:
        """Raise BadBundle if this release does not belong to the bundle with this checksum of bundle.json."""
        if metadata_sha256 != self.metadata_sha256:
            raise BadBundle(f"{METADATA} changed after the release: activate the version again", code="not_released")
        if self.gate != bundle.gate:
            raise BadBundle(
                f"{ACTIVE} has another gate result than {METADATA}: activate the version again", code="gate_differs"
            )
        if self.blank_is_worst is not None and not bundle.item.is_ordered:
            raise BadBundle(
                f"{ACTIVE} gives blank responses the worst score, but no label of item {bundle.item.item_id!r} is the "
                "worst: activate the version again",
                code="no_worst_label",
                item_id=bundle.item.item_id,
            )

    def kept_for(self, item: Item) -> BlankIsWorst | None:
        """Return the decision on blank responses for a later version of the item; None if the item is nominal now."""
        return self.blank_is_worst if item.is_ordered else None


ReleaseT = TypeVar("ReleaseT", bound=Release)


def item_folder(models: Path, item_id: str) -> Path:
    """Return the folder of an item.

    Raises UnknownItem for a text that is no item id and for an item without a folder, and BadBundle for a folder that
    cannot be read.
    """
    try:
        _ITEM_ID.validate_python(item_id)
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
    """Return the items under `models/`, sorted, without `_teachers` and hidden folders."""
    return _visible_folders(models) if models.is_dir() else []


def versions(folder: Path) -> list[str]:
    """Return the versions of an item, oldest first: a version begins with its UTC time."""
    return _visible_folders(folder)


def _visible_folders(parent: Path) -> list[str]:
    names = [path.name for path in parent.iterdir() if path.is_dir()]
    return sorted(name for name in names if name[0].isalnum())


def read_active(folder: Path) -> Active:
    """Read the release of an item.  Raises BadBundle if no version is active or ACTIVE cannot be understood."""
    return read_release(folder, Active)


def read_release(folder: Path, kind: type[ReleaseT]) -> ReleaseT:
    """Read a release of any kind of bundle.  Raises BadBundle as `read_active` does."""
    try:
        return kind.model_validate_json(active_bytes(folder))
    except ValidationError as error:
        fault = error.errors(include_input=False, include_url=False)[0]
        raise BadBundle(
            f"{ACTIVE}: {first_fault(error)}", code="bad_active", fault=fault["type"], where=fault["loc"]
        ) from None


def active_bytes(folder: Path) -> bytes:
    """Return the content of ACTIVE.  Raises BadBundle if the file is missing or cannot be read."""
    path = folder / ACTIVE
    try:
        if not path.exists():
            raise BadBundle(f"no version is active: {ACTIVE} is missing", code="none_active")
        if not path.is_file():  # Reading a pipe would block forever.
            raise BadBundle(f"{ACTIVE} is not a file", code="active_no_file")
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
    """Write ACTIVE, so that a version of an item is live.

    The caller has loaded the bundle once, so it is known to work.  Without `mode`, the gate decides: `auto` if it
    passes, otherwise `suggest`.  To keep the present decision on blank responses, pass it as `blank_is_worst`.

    Raises BadBundle if the bundle cannot be read or does not fit the release, and ValueError for mode `auto` without a
    reason.
    """
    files = read_bundle(folder / version)
    gate = files.bundle.gate
    by_gate: Mode = "auto" if gate.passed else "suggest"
    chosen = mode or by_gate
    active = Active(
        version=version,
        mode=chosen,
        by=by,
        at=datetime.now(UTC),
        reason=reason,
        previous=_previous(folder, version, Active),
        metadata_sha256=files.metadata_sha256,
        gate=gate,
        fallback=fallback,
        blank_is_worst=blank_is_worst,
        override=chosen == "auto" and not gate.passed,
    )
    active.check(files.bundle, files.metadata_sha256)
    _write(folder, active)
    return active


def cast_shadow(folder: Path, version: str | None, *, by: str) -> Active:
    """Start a shadow version beside the live version, or stop it with None.  The rest of ACTIVE stays the same.

    The caller has loaded the bundle once, so it is known to work.  Raises BadBundle if a file cannot be read, and
    ValueError if the version is live.
    """
    active = read_active(folder)
    if version == active.version:
        raise ValueError(f"{version} is the live version")
    shadow = None
    if version is not None:
        shadow = Shadow(version=version, metadata_sha256=read_bundle(folder / version).metadata_sha256, by=by)
    changed = active.model_copy(update={"shadow": shadow})
    _write(folder, changed)
    return changed


def release_ungated(folder: Path, version: str, *, by: str, reason: str) -> Release:
    """Write ACTIVE for a bundle without a gate, which the caller has checked.  Raises ValueError without a reason."""
    previous = _previous(folder, version, Release)
    release = Release(version=version, mode="auto", by=by, at=datetime.now(UTC), reason=reason, previous=previous)
    _write(folder, release)
    return release


def _previous(folder: Path, version: str, kind: type[Release]) -> str | None:
    try:
        before = read_release(folder, kind)
    except BadBundle:
        return None
    return before.version if before.version != version else before.previous


def _write(folder: Path, release: Release) -> None:
    write_atomically(folder / ACTIVE, release.model_dump_json(indent=2) + "\n")
