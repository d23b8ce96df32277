"""From a student's files to a bundle on disk, in one move."""

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


def version_of(files: StudentFiles, made: datetime) -> str:
    """The same student made again is another version."""
    return version(files.tokenizer + files.student, made)


def version(content: bytes, made: datetime) -> str:
    """UTC time and a hash of the content, the exact time in it."""
    return f"{made:%Y%m%dT%H%M%SZ}-{sha256(content + made.isoformat().encode())[:8]}"


def write_bundle(models: Path, bundle: Bundle, files: StudentFiles, card: str) -> Bundle:
    """`models/<item_id>/<version>`, checksums filled in."""
    contents = {TOKENIZER: files.tokenizer, STUDENT: files.student, CARD: card.encode()}
    folder = models / bundle.item.item_id / bundle.version
    return write_sealed(bundle, contents, METADATA, folder, Student.load).bundle


def write_sealed(
    bundle: BaseModel, contents: Mapping[str, bytes], metadata: str, folder: Path, load: Callable[[Path], LoadedT]
) -> LoadedT:
    """The files and, as `metadata`, their bundle with its `sha256` filled in, in one move; loaded once as the service
    will before they get their name.  Raises BadBundle.
    """
    sealed = bundle.model_copy(update={"sha256": {name: sha256(content) for name, content in contents.items()}})
    files = {**contents, metadata: (sealed.model_dump_json(indent=1) + "\n").encode()}
    home = folder.parent
    home.mkdir(parents=True, exist_ok=True)
    for left in home.glob(".staged-*"):  # by a run that was killed here
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=home, prefix=".staged-") as temporary:
        made = Path(temporary) / home.name / folder.name  # a bundle is checked against its folders
        made.mkdir(parents=True)
        for name, content in files.items():
            with (made / name).open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())  # on disk before ACTIVE can name it
        loaded = load(made)
        made.rename(folder)
    return loaded
