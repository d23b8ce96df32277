"""From a trained student to a bundle on disk: parity with torch, then the files in one move."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch

from app.scoring.bundle import CARD, FILES, METADATA, STUDENT, TOKENIZER, Bundle, sha256
from app.scoring.student import Student, softmax
from training.errors import NoParity
from training.student import StudentNetwork

MAX_DIFFERENCE = 1e-4  # between torch's and onnxruntime's probabilities


def check_parity(network: StudentNetwork, student: Student, texts: Sequence[str]) -> float:
    """The largest difference of a probability over the texts.  Raises NoParity from MAX_DIFFERENCE."""
    with torch.inference_mode():
        trained = softmax(network(torch.from_numpy(student.featurizer.ids(list(texts)))).numpy())
    difference = float(np.abs(trained - softmax(student.logits(list(texts)))).max())
    if not difference < MAX_DIFFERENCE:
        raise NoParity(f"the exported student's probabilities differ by {difference:.2g} (limit {MAX_DIFFERENCE})")
    return difference


def version_of(tokenizer: bytes, student: bytes) -> str:
    """UTC time and a hash of the content."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{sha256(tokenizer + student)[:8]}"


@contextmanager
def staged(models: Path, item_id: str, version: str, tokenizer: bytes, student: bytes) -> Iterator[Path]:
    """A folder with the two model files, moved to `models/<item_id>/<version>` when the block ends without an error."""
    home = models / item_id
    home.mkdir(parents=True, exist_ok=True)
    for left in home.glob(".staged-*"):  # by a run that was killed here
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=home, prefix=".staged-") as temporary:
        folder = Path(temporary) / item_id / version  # a bundle is checked against its folders
        folder.mkdir(parents=True)
        (folder / TOKENIZER).write_bytes(tokenizer)
        (folder / STUDENT).write_bytes(student)
        yield folder
        for path in folder.iterdir():  # on disk before ACTIVE can name it
            with path.open("rb") as file:
                os.fsync(file.fileno())
        folder.rename(home / version)


def write_bundle(folder: Path, bundle: Bundle, card: str) -> Student:
    """Write card and bundle.json, its checksums filled in, and load the whole as the service will."""
    (folder / CARD).write_text(card, encoding="utf-8")
    sums = {name: sha256((folder / name).read_bytes()) for name in FILES}
    bundle = bundle.model_copy(update={"sha256": sums})
    (folder / METADATA).write_text(bundle.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return Student.load(folder)
