"""From a student's files to a bundle on disk, in one move."""

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from app.scoring.bundle import CARD, METADATA, STUDENT, TOKENIZER, Bundle, sha256
from app.scoring.student import Student
from training.students import StudentFiles


def version_of(files: StudentFiles, made: datetime) -> str:
    """UTC time and a hash of the content, the exact time in it: the same student made again is another version."""
    content = files.tokenizer + files.student + made.isoformat().encode()
    return f"{made:%Y%m%dT%H%M%SZ}-{sha256(content)[:8]}"


LoadedT = TypeVar("LoadedT")


def write_bundle(models: Path, bundle: Bundle, files: StudentFiles, card: str) -> Bundle:
    """`models/<item_id>/<version>`, checksums filled in."""
    contents = {TOKENIZER: files.tokenizer, STUDENT: files.student, CARD: card.encode()}
    bundle = bundle.model_copy(update={"sha256": {name: sha256(content) for name, content in contents.items()}})
    contents[METADATA] = (bundle.model_dump_json(indent=1) + "\n").encode()
    return staged(contents, models / bundle.item.item_id / bundle.version, Student.load).bundle


def staged(contents: Mapping[str, bytes], folder: Path, load: Callable[[Path], LoadedT]) -> LoadedT:
    """A bundle's files in one move, loaded once as the service will before it gets its name.  Raises BadBundle."""
    home = folder.parent
    home.mkdir(parents=True, exist_ok=True)
    for left in home.glob(".staged-*"):  # by a run that was killed here
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=home, prefix=".staged-") as temporary:
        made = Path(temporary) / home.name / folder.name  # a bundle is checked against its folders
        made.mkdir(parents=True)
        for name, content in contents.items():
            with (made / name).open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())  # on disk before ACTIVE can name it
        loaded = load(made)
        made.rename(folder)
    return loaded
