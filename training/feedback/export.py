"""Feedback bundles written to disk: complete and checked, or not at all."""

import os
import shutil
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from torch import Tensor

from app.scoring.bundle_files import file_sha256
from app.scoring.feedback.bundle import (
    ADAPTER,
    BASE,
    CARD,
    FEEDBACK_FOLDER,
    FEEDBACK_JSON,
    READER,
    READER_TOKENIZER,
    TOKENIZER,
    FeedbackBundle,
    FeedbackFiles,
    load_feedback,
)
from training.bundle.write import version
from training.feedback.adapter_file import write_adapter
from training.feedback.verdicts import Reader


def write_parts(
    folder: Path, base: Path, tokenizer: bytes, adapter: Mapping[str, Tensor] | None, reader: Reader
) -> None:
    """Write all files of a bundle but feedback.json and the card."""
    link_or_copy(base, folder / BASE)
    (folder / TOKENIZER).write_bytes(tokenizer)
    if adapter is not None:
        write_adapter(folder / ADAPTER, base, adapter)
    (folder / READER).write_bytes(reader.files.student)
    (folder / READER_TOKENIZER).write_bytes(reader.files.tokenizer)


def link_or_copy(source: Path, target: Path) -> None:
    """Write a link to a file, so that versions share the bytes of their base, or a copy if links are impossible."""
    try:
        os.link(source.resolve(), target)
    except OSError:
        shutil.copyfile(source, target)


def finish(staged: Path, models: Path, bundle: FeedbackBundle, card: str) -> FeedbackFiles:
    """Write feedback.json and the card, load the bundle as the service would, and give its folder its name."""
    (staged / CARD).write_text(card, encoding="utf-8")
    files = [file for file in sorted(staged.iterdir()) if file.name != FEEDBACK_JSON]
    bundle = bundle.model_copy(update={"sha256": {file.name: file_sha256(file) for file in files}})
    home = models / FEEDBACK_FOLDER / bundle.name
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home, prefix=".staged-") as temporary:
        folder = Path(temporary) / bundle.name / bundle.version
        folder.mkdir(parents=True)  # readable by another user's service, unlike `staged`
        for file in files:
            link_or_copy(file, folder / file.name)
        (folder / FEEDBACK_JSON).write_text(bundle.model_dump_json(indent=1) + "\n", encoding="utf-8")
        load_feedback(folder)
        folder.rename(home / bundle.version)
    return FeedbackFiles(home / bundle.version, bundle)  # loaded above; a base may have gigabytes


def version_now(content: str) -> tuple[str, datetime]:
    """Return a version and its time.  The exact time tells versions of equal content apart."""
    now = datetime.now(UTC)
    return version(content.encode(), now), now
