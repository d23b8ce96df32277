"""Bundles written to disk: complete and checked, or not at all."""

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from app.scoring.bundle import CARD, METADATA, STUDENT, TOKENIZER, Bundle
from app.scoring.bundle_files import sha256
from app.scoring.student import Student
from training.student.build import StudentFiles

LoadedT = TypeVar("LoadedT")


def version_of(files: StudentFiles, made_at: datetime) -> str:
    """Return the version of a student made at this time; a student made again has another version."""
    return version(files.tokenizer + files.student, made_at)


def version(content: bytes, made_at: datetime) -> str:
    """Return a version: the UTC time, and a hash of the content and the exact time."""
    exact = made_at.isoformat().encode()
    return f"{made_at:%Y%m%dT%H%M%SZ}-{sha256(content + exact)[:8]}"


def write_bundle(models: Path, bundle: Bundle, files: StudentFiles, card: str) -> Bundle:
    """Write a bundle to `models/<item_id>/<version>` and return it with its checksums."""
    contents = {TOKENIZER: files.tokenizer, STUDENT: files.student, CARD: card.encode()}
    folder = models / bundle.item.item_id / bundle.version
    return write_sealed(bundle, contents, METADATA, folder, Student.load).bundle


def write_sealed(
    bundle: BaseModel, contents: Mapping[str, bytes], metadata: str, folder: Path, load: Callable[[Path], LoadedT]
) -> LoadedT:
    """Write files and, as `metadata`, their bundle with its checksums; return them loaded.

    The files are loaded once, as the service would, before the folder gets its name.  Raises BadBundle.
    """
    checksums = {name: sha256(content) for name, content in contents.items()}
    sealed = bundle.model_copy(update={"sha256": checksums})
    files = {**contents, metadata: (sealed.model_dump_json(indent=1) + "\n").encode()}
    home = folder.parent
    home.mkdir(parents=True, exist_ok=True)
    for leftover in home.glob(".staged-*"):  # of a run that was killed here
        shutil.rmtree(leftover, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=home, prefix=".staged-") as temporary:
        staged = Path(temporary) / home.name / folder.name  # loading compares a bundle with the names of its folders
        staged.mkdir(parents=True)
        for name, content in files.items():
            with (staged / name).open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())  # on disk before ACTIVE can name it
        loaded = load(staged)
        staged.rename(folder)
    return loaded
