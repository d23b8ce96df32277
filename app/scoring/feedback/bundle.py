"""The feedback bundle: one language model on disk, with the files to write feedback and to screen it.

    models/_feedback/<name>/<version>/feedback.json, base.gguf, adapter.gguf, tokenizer.json, verdict.onnx,
    verdict_tokenizer.json, card.md

One bundle serves many items.  `models/_feedback/<name>/ACTIVE` names the version that is live.
"""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from app.scoring.bundle_files import FrozenModel, check_files, check_names, read_metadata, read_plain
from app.scoring.errors import UnknownItem, refusing
from app.scoring.feedback.prompt import PromptBuilder, PromptSettings
from app.scoring.feedback.screen import FeedbackScreen
from app.scoring.item import Item, Name, is_name
from app.scoring.network import Network

FigureValue = float | str | None

FEEDBACK_FOLDER, FEEDBACK_JSON = "_feedback", "feedback.json"
BASE, ADAPTER, TOKENIZER, READER, READER_TOKENIZER, CARD = (
    "base.gguf",
    "adapter.gguf",
    "tokenizer.json",
    "verdict.onnx",
    "verdict_tokenizer.json",
    "card.md",
)
REQUIRED_FILES = (BASE, TOKENIZER, READER, READER_TOKENIZER, CARD)  # an untuned model has no adapter


def _nominal(item: Item) -> Item:
    if item.is_ordered:
        raise PydanticCustomError("verdicts_have_no_order", "verdicts are labels without an order")
    return item


class VerdictSettings(FrozenModel):
    """Settings of the verdict reader, a tiny student that reads from a feedback text how good the response was."""

    item: Annotated[Item, AfterValidator(_nominal)] = Field(description="An item whose labels are the verdicts.")
    max_tokens: int = Field(ge=2, le=4096)
    threshold: float = Field(ge=0, le=1, description="Least probability of agreement with the score.")


class FeedbackProvenance(FrozenModel):
    """The origin of a feedback bundle."""

    created_at: datetime
    data_sha256: str
    base: str
    config: dict[str, Any]
    software: dict[str, str]


class FeedbackBundle(FrozenModel):
    """The content of feedback.json."""

    format: Literal[1] = 1
    name: Name
    version: Name
    items: tuple[Item, ...] = Field(min_length=1, description="Items, as in training.")
    prompt: PromptSettings
    verdict: VerdictSettings
    figures: dict[str, FigureValue] = Field(
        description="Figures measured on dev with these files, null where undefined, and settings of the measures; "
        "empty if nothing was measured."
    )
    provenance: FeedbackProvenance
    sha256: dict[str, str]

    @property
    def title(self) -> str:
        return f"{self.name}/{self.version}"


class FeedbackFiles:
    """A checked bundle, loaded except for the language model, which runs in another process."""

    def __init__(self, folder: Path, bundle: FeedbackBundle) -> None:
        """Load prompts and verdict reader, and probe them.  Raises BadBundle."""
        self.folder, self.bundle = folder, bundle
        self.items = {item.item_id: item for item in bundle.items}
        self.prompter = PromptBuilder(read_plain(folder, TOKENIZER), bundle.prompt)
        first = bundle.items[0]
        self.prompter.ids(first, "a probe", first.worst)
        settings = bundle.verdict
        tokenizer, reader = read_plain(folder, READER_TOKENIZER), read_plain(folder, READER)
        network = Network.from_bytes(tokenizer, reader, settings.max_tokens, settings.item)
        self.screen = FeedbackScreen(network, settings.item, settings.threshold)

    @property
    def base(self) -> Path:
        """Return the file of the language model."""
        return self.folder / BASE

    @property
    def adapter(self) -> Path | None:
        """Return the file of the LoRA adapter; None for a model that was not tuned."""
        return self.folder / ADAPTER if ADAPTER in self.bundle.sha256 else None

    def knows(self, item: Item) -> bool:
        """Return whether the model was trained on this item, with this question and this scale."""
        trained_on = self.items.get(item.item_id)
        return trained_on is not None and trained_on.asks_the_same_as(item)


def load_feedback(folder: Path) -> FeedbackFiles:
    """Check every file against feedback.json and load the bundle.  Raises BadBundle with the reason."""
    bundle, _ = read_metadata(folder, FEEDBACK_JSON, FeedbackBundle)
    check_names(bundle, FEEDBACK_JSON, REQUIRED_FILES, [ADAPTER])
    check_files(folder, bundle, FEEDBACK_JSON)
    with refusing(f"{TOKENIZER} cannot be used", code="cannot_be_used", file=TOKENIZER):
        return FeedbackFiles(folder, bundle)


def feedback_names(models: Path) -> list[str]:
    """Return the names of all feedback models, sorted."""
    folder = models / FEEDBACK_FOLDER
    try:
        return sorted(path.name for path in folder.iterdir() if is_name(path.name) and path.is_dir())
    except OSError:  # The folder does not exist or cannot be read.
        return []


def feedback_folder(models: Path, name: str) -> Path:
    """Return the folder of a feedback model.  Raises UnknownItem if there is no such model."""
    folder = models / FEEDBACK_FOLDER / name
    if not is_name(name) or not folder.is_dir():
        raise UnknownItem(name)
    return folder
