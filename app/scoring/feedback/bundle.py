"""The feedback bundle: one language model on disk with what it takes to write feedback, and to keep bad feedback back.

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
    """The tiny student that reads from a text what it says of the response."""

    item: Annotated[Item, AfterValidator(_nominal)] = Field(description="Its labels are the verdicts.")
    max_tokens: int = Field(ge=2, le=4096)
    threshold: float = Field(ge=0, le=1, description="A text agrees with its score from this probability.")


class FeedbackProvenance(FrozenModel):
    created_at: datetime
    data_sha256: str
    base: str
    config: dict[str, Any]
    software: dict[str, str]


class FeedbackBundle(FrozenModel):
    """feedback.json"""

    format: Literal[1] = 1
    name: Name
    version: Name
    items: tuple[Item, ...] = Field(min_length=1, description="As it learnt them.")
    prompt: PromptSettings
    verdict: VerdictSettings
    figures: dict[str, FigureValue] = Field(
        description="Measured on dev rows with these files, null where undefined, and the settings of the measures; "
        "empty without any."
    )
    provenance: FeedbackProvenance
    sha256: dict[str, str]

    @property
    def title(self) -> str:
        return f"{self.name}/{self.version}"


class FeedbackFiles:
    """A checked bundle, ready but for the language model itself, which runs elsewhere."""

    def __init__(self, folder: Path, bundle: FeedbackBundle) -> None:
        self.folder, self.bundle = folder, bundle
        self.items = {item.item_id: item for item in bundle.items}
        self.prompter = PromptBuilder(read_plain(folder, TOKENIZER), bundle.prompt)
        self.prompter.ids(bundle.items[0], "a probe", bundle.items[0].worst)
        self.screen = FeedbackScreen(
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
        own = self.items.get(item.item_id)
        return own is not None and own.asks_the_same_as(item)


def load_feedback(folder: Path) -> FeedbackFiles:
    """Every file checked against feedback.json, then read.  Raises BadBundle with the reason."""
    bundle, _ = read_metadata(folder, FEEDBACK_JSON, FeedbackBundle)
    check_names(bundle, FEEDBACK_JSON, REQUIRED_FILES, [ADAPTER])
    check_files(folder, bundle, FEEDBACK_JSON)
    with refusing(f"{TOKENIZER} cannot be used", code="cannot_be_used", file=TOKENIZER):
        return FeedbackFiles(folder, bundle)


def feedback_names(models: Path) -> list[str]:
    folder = models / FEEDBACK_FOLDER
    try:
        return sorted(path.name for path in folder.iterdir() if is_name(path.name) and path.is_dir())
    except OSError:  # there is none, or none that may be read
        return []


def feedback_folder(models: Path, name: str) -> Path:
    """Raises UnknownItem."""
    folder = models / FEEDBACK_FOLDER / name
    if not is_name(name) or not folder.is_dir():
        raise UnknownItem(name)
    return folder
