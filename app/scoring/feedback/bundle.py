"""The feedback bundle: one language model on disk with what it takes to write feedback, and to keep bad feedback back.

    models/_feedback/<name>/<version>/feedback.json, base.gguf, adapter.gguf, tokenizer.json, verdict.onnx,
    verdict_tokenizer.json, card.md

One bundle serves many items.  `models/_feedback/<name>/ACTIVE` names the version that is live.
"""

import hashlib
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from app.scoring.bundle import read_plain
from app.scoring.errors import BadBundle, UnknownItem, first_fault, refusing
from app.scoring.feedback.prompt import Prompter, PromptSettings
from app.scoring.feedback.screen import Screen
from app.scoring.item import Item, Name, is_name
from app.scoring.network import Network

FOLDER, METADATA = "_feedback", "feedback.json"
BASE, ADAPTER, TOKENIZER, READER, READER_TOKENIZER, CARD = (
    "base.gguf",
    "adapter.gguf",
    "tokenizer.json",
    "verdict.onnx",
    "verdict_tokenizer.json",
    "card.md",
)
NEEDED = (BASE, TOKENIZER, READER, READER_TOKENIZER, CARD)  # an untuned model has no adapter


class Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _nominal(item: Item) -> Item:
    if item.is_ordered:
        raise ValueError("verdicts are labels without an order")
    return item


class VerdictSettings(Value):
    """The tiny student that reads from a text what it says of the response."""

    item: Annotated[Item, AfterValidator(_nominal)] = Field(description="Its labels are the verdicts.")
    max_tokens: int = Field(ge=2, le=4096)
    threshold: float = Field(ge=0, le=1, description="A text agrees with its score from this probability.")


class FeedbackProvenance(Value):
    created_at: datetime
    data_sha256: str
    base: str
    config: dict[str, Any]
    software: dict[str, str]


class FeedbackBundle(Value):
    """feedback.json"""

    format: Literal[1] = 1
    name: Name
    version: Name
    items: tuple[Item, ...] = Field(min_length=1, description="As it learnt them.")
    prompt: PromptSettings
    verdict: VerdictSettings
    figures: dict[str, float] = Field(description="Measured on dev rows with these files; empty without any.")
    provenance: FeedbackProvenance
    sha256: dict[str, str]


class FeedbackFiles:
    """A checked bundle, ready but for the language model itself, which runs elsewhere."""

    def __init__(self, folder: Path, bundle: FeedbackBundle) -> None:
        self.folder, self.bundle = folder, bundle
        self.items = {item.item_id: item for item in bundle.items}
        self.prompter = Prompter(read_plain(folder, TOKENIZER), bundle.prompt)
        self.prompter.ids(bundle.items[0], "a probe", bundle.items[0].bottom_score or 0)
        self.screen = Screen(
            Network.from_bytes(
                read_plain(folder, READER_TOKENIZER),
                read_plain(folder, READER),
                bundle.verdict.max_tokens,
                bundle.verdict.item,
            ),
            bundle.verdict.item,
            bundle.verdict.threshold,
        )

    @property
    def base(self) -> Path:
        return self.folder / BASE

    @property
    def adapter(self) -> Path | None:
        return self.folder / ADAPTER if ADAPTER in self.bundle.sha256 else None

    def knows(self, item: Item) -> bool:
        """Whether it learnt this very question on this very scale."""
        own = self.items.get(item.item_id)
        asked = {"item_id", "prompt", "scale", "min_score", "max_score", "labels", "references"}
        return own is not None and own.model_dump(include=asked) == item.model_dump(include=asked)


def load_feedback(folder: Path) -> FeedbackFiles:
    """Every file checked against feedback.json, then read.  Raises BadBundle with the reason."""
    try:
        bundle = FeedbackBundle.model_validate_json(read_plain(folder, METADATA))
    except ValidationError as error:
        raise BadBundle(f"{METADATA}: {first_fault(error)}") from None
    if (bundle.name, bundle.version) != (folder.parent.name, folder.name):
        raise BadBundle(f"{METADATA} is of {bundle.name}/{bundle.version}, not of {folder.parent.name}/{folder.name}")
    if missing := set(NEEDED) - set(bundle.sha256):
        raise BadBundle(f"{METADATA} has no checksum of {sorted(missing)}")
    if unknown := set(bundle.sha256) - {*NEEDED, ADAPTER}:
        raise BadBundle(f"{METADATA} names {sorted(unknown)}, which no feedback bundle has")
    for name, wanted in bundle.sha256.items():
        if checksum(folder / name) != wanted:
            raise BadBundle(f"{name} does not have the checksum in {METADATA}")
    with refusing(f"{TOKENIZER} cannot be used"):
        return FeedbackFiles(folder, bundle)


def checksum(path: Path) -> str:
    """SHA-256, read in pieces: a base may have gigabytes.  Raises BadBundle."""
    try:
        if path.is_symlink() or not path.is_file():
            raise BadBundle(f"{path.name} is missing or not a plain file")
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise BadBundle(f"{path.name} cannot be read: {error.strerror}") from None


def feedback_names(models: Path) -> list[str]:
    folder = models / FOLDER
    try:
        return sorted(path.name for path in folder.iterdir() if is_name(path.name) and path.is_dir())
    except OSError:  # there is none, or none that may be read
        return []


def feedback_folder(models: Path, name: str) -> Path:
    """Raises UnknownItem."""
    folder = models / FOLDER / name
    if not is_name(name) or not folder.is_dir():
        raise UnknownItem(name)
    return folder
