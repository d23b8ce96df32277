"""Back up and restore an installation: its database with its keys, and its bundles with ACTIVE."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError
from sqlalchemy import Engine

from app.scoring.errors import BadBundle, CodedError
from app.scoring.live_version import ACTIVE, item_ids, read_active
from app.storage.database import head_revision
from app.storage.database_backup import dump, holds_rows, loaded

MANIFEST, DATABASE, MODELS = "manifest.json", "database", "models"
LEFT_OUT = (
    "SCORELET_LEARNER_KEY: keep it elsewhere; with another key the same learner gets another pseudonym",
    "all other settings, and certificates",
)


class BackupRefused(CodedError):
    """A backup cannot be made, or not be restored, and nothing has changed."""


class Manifest(BaseModel):
    """The contents of a backup; written last."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    made_at: AwareDatetime
    database: str
    revision: str
    rows: dict[str, int]
    live: dict[str, str | None]  # item → version that its ACTIVE names; null: ACTIVE cannot be read
    sha256: dict[str, str]  # of every file but the manifest, by its path below the backup's folder


def back_up(engine: Engine, models: Path, folder: Path) -> Manifest:
    """Write a backup to a new folder that this user alone can read, while the service runs.  Raises BackupRefused."""
    if folder.exists():
        raise BackupRefused(f"{folder} already exists: name a new folder", code="backup_exists", folder=folder)
    parent = folder.absolute().parent
    if not parent.is_dir():
        raise BackupRefused(
            f"{folder} cannot be created: its parent folder does not exist", code="no_folder", folder=folder
        )
    staged = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=parent))
    try:
        (staged / DATABASE).mkdir(mode=0o700)
        rows = dump(engine, staged / DATABASE)
        _copy_bundles(models, staged / MODELS)
        manifest = _manifest(engine, staged, rows)
        descriptor = os.open(staged / MANIFEST, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(manifest.model_dump_json(indent=2) + "\n")
        staged.rename(folder)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return manifest


def _manifest(engine: Engine, staged: Path, rows: dict[str, int]) -> Manifest:
    models = staged / MODELS
    return Manifest(
        made_at=datetime.now(UTC),
        database=engine.dialect.name,
        revision=head_revision() or "",
        rows=rows,
        live={item_id: _live(models / item_id) for item_id in item_ids(models)},
        sha256={_name(path, staged): _sha256(path) for path in _files(staged)},
    )


def restore(engine: Engine, models: Path, folder: Path, *, force: bool = False) -> Manifest:
    """Replace database and bundles by a backup, completely or not at all.  `force`: even if there are any.

    Raises BackupRefused and DatabaseUnusable, and then nothing has changed.
    """
    manifest = checked(folder)
    _refuse_unsuitable(manifest, engine)
    existing = [f"the database {engine.url.database}"] if holds_rows(engine) else []
    existing += [f"the bundles in {models}"] if item_ids(models) else []
    if existing and not force:
        sentence = f"{' and '.join(existing)} would be replaced: make a backup of them, then use --force"
        raise BackupRefused(sentence, code="target_not_empty", there=existing)
    with _replaced_bundles(models, folder / MODELS) as swap, loaded(engine, folder / DATABASE, manifest.rows):
        swap()
    return manifest


def checked(folder: Path) -> Manifest:
    """Return the manifest of a backup after checking every file.  Raises BackupRefused."""
    try:
        manifest = Manifest.model_validate_json((folder / MANIFEST).read_bytes())
    except (OSError, ValidationError):
        sentence = f"{folder} is not a complete backup: {MANIFEST} is missing or was changed; restore another backup"
        raise BackupRefused(sentence, code="no_backup", folder=folder) from None
    names = {_name(path, folder) for path in _files(folder)} - {MANIFEST}
    for name in sorted(names ^ manifest.sha256.keys()):
        why = "is missing" if name in manifest.sha256 else "does not belong to the backup"
        raise BackupRefused(f"{folder}: {name} {why}: restore another backup", code="backup_damaged", file=name)
    for name, digest in manifest.sha256.items():
        if _sha256(folder / name) != digest:
            sentence = f"{folder}: {name} was changed since the backup: restore another backup"
            raise BackupRefused(sentence, code="backup_damaged", file=name)
    return manifest


def _refuse_unsuitable(manifest: Manifest, engine: Engine) -> None:
    head = head_revision()
    if manifest.revision != head:
        sentence = (
            f"the backup has tables of revision {manifest.revision}, this version has {head}: restore it with the "
            f"scorelet that made it, on {manifest.made_at:%Y-%m-%d}, then install this one and run "
            "`scorelet db upgrade`"
        )
        raise BackupRefused(sentence, code="backup_of_another_revision", found=manifest.revision, head=head)
    if manifest.database != engine.dialect.name:
        sentence = (
            f"the backup is of {manifest.database}, and SCORELET_DATABASE_URL names {engine.dialect.name}: "
            f"name a database of {manifest.database}"
        )
        raise BackupRefused(sentence, code="backup_of_another_database", found=manifest.database)


def _copy_bundles(models: Path, to: Path) -> None:
    """Copy each ACTIVE before the versions, so that the version it names is in the copy too."""
    to.mkdir(mode=0o700)
    try:
        for path in sorted(_files(models), key=_is_no_active):
            parts = path.relative_to(models).parts
            if not parts[0].startswith("."):
                _copy(path, to.joinpath(*parts), 0o600)
    except FileNotFoundError as error:
        sentence = f"{error.filename} was removed during the backup: make the backup again"
        raise BackupRefused(sentence, code="bundles_changed", file=error.filename) from None


def _is_no_active(path: Path) -> bool:
    return path.name != ACTIVE


@contextmanager
def _replaced_bundles(models: Path, backup: Path) -> Iterator["_Swap"]:
    """Stage the bundles of a backup within `models`, which may be a mount.  Undo the swap if the block fails."""
    models.mkdir(parents=True, exist_ok=True)
    staged = Path(tempfile.mkdtemp(prefix=".restored-", dir=models))
    old = Path(tempfile.mkdtemp(prefix=".replaced-", dir=models))
    swap = _Swap(models, staged, old)
    try:
        for path in _files(backup):
            _copy(path, staged / path.relative_to(backup), 0o644)
        yield swap
    except BaseException:
        swap.undo()
        raise
    finally:
        shutil.rmtree(staged, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


class _Swap:
    """The exchange of the bundles in a folder for staged ones."""

    def __init__(self, models: Path, staged: Path, old: Path) -> None:
        self._models, self._staged, self._old = models, staged, old
        self._moved: list[tuple[Path, Path]] = []

    def __call__(self) -> None:
        for path in sorted(self._models.iterdir()):
            if not path.name.startswith("."):
                self._move(path, self._old / path.name)
        for path in sorted(self._staged.iterdir()):
            self._move(path, self._models / path.name)

    def undo(self) -> None:
        while self._moved:
            source, target = self._moved.pop()
            target.rename(source)

    def _move(self, source: Path, target: Path) -> None:
        source.rename(target)
        self._moved.append((source, target))


def _copy(source: Path, target: Path, mode: int) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode)
    with os.fdopen(descriptor, "wb") as file, source.open("rb") as content:
        shutil.copyfileobj(content, file)
        file.flush()
        os.fsync(file.fileno())


def _name(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()


def _files(folder: Path) -> list[Path]:
    return [Path(home, name) for home, _, names in os.walk(folder, followlinks=True) for name in names]


def _live(item: Path) -> str | None:
    try:
        return read_active(item).version
    except BadBundle:
        return None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
