"""From torch to a bundle on disk: ONNX, parity with torch, then the files in one move."""

import io
import logging
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import onnx
import torch

from app.scoring.bundle import CARD, FILES, METADATA, STUDENT, TOKENIZER, Bundle, sha256
from app.scoring.student import Student, softmax
from training.errors import NoParity
from training.student import StudentNetwork

MAX_DIFFERENCE = 1e-4  # between torch's and onnxruntime's probabilities


def to_onnx(network: StudentNetwork) -> bytes:
    """ids: int64 (batch, tokens) → logits: float (batch, choices), both dimensions free."""
    ids = torch.ones((2, 5), dtype=torch.int64)
    shapes = {"ids": {0: torch.export.Dim("batch"), 1: torch.export.Dim("tokens")}}
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")  # the exporter's, about its own insides
        file = Path(folder) / STUDENT
        torch.onnx.export(
            network.eval(),
            (ids,),
            file,
            input_names=["ids"],
            output_names=["logits"],
            dynamic_shapes=shapes,
            dynamo=True,
            external_data=False,
            verbose=False,
        )
        return _bare(file.read_bytes())


def _bare(content: bytes) -> bytes:
    """Without the exporter's notes, which name source files of the machine that trained."""
    model = onnx.load_from_string(content)
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for value in (*model.graph.value_info, *model.graph.input, *model.graph.output):
        del value.metadata_props[:]
    del model.metadata_props[:]
    del model.graph.metadata_props[:]
    stream = io.BytesIO()
    onnx.save_model(model, stream)
    return stream.getvalue()


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
