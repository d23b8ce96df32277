"""Items that share a teacher, on their way through a run."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from app.scoring.item import Item
from training.config import TrainingConfig
from training.data import ItemData
from training.data.item_groups import Group
from training.data.splits import Parts
from training.student.training_set import Texts, TrainingSet, make_training_set
from training.teacher.api import ApiTeacher
from training.teacher.api_question import question
from training.teacher.ensemble import Teacher


@dataclass(frozen=True, slots=True)
class ItemRun:
    """One item of a run: its rows, these in parts, and the texts that its student learns from."""

    data: ItemData
    parts: Parts
    texts: Texts

    @property
    def item(self) -> Item:
        """Return the item that the rows belong to."""
        return self.parts.item

    @property
    def counts(self) -> dict[str, int]:
        """Return the number of texts of each kind and of the rows to validate and to measure on, for the card."""
        kinds = {"marked": self.texts.marked, "unlabelled": self.texts.unlabelled, "augmented": self.texts.augmented}
        counts = {f"{kind}_texts": len(texts) for kind, texts in kinds.items()}
        rows = {"validation_responses": len(self.parts.validation), "dev_responses": len(self.parts.dev)}
        return counts | rows


@dataclass(frozen=True)
class GroupRun:
    """The items of one teacher under one configuration.  Every later step of a run starts from this value."""

    group: Group
    config: TrainingConfig
    cache: Path
    items: tuple[ItemRun, ...]
    tokenizer: bytes  # tokenizer.json, learnt from the texts of all items
    teacher: Teacher | None = None  # none before its training, and where the students learn from human scores alone

    @property
    def parts(self) -> list[Parts]:
        """Return the parts of every item, in order."""
        return [item_run.parts for item_run in self.items]

    @cached_property
    def training_sets(self) -> list[TrainingSet]:
        """Return the training set of every item, in order.  The first call has the teacher label all texts."""
        return [self._training_set(item_run) for item_run in self.items]

    def context(self, item: Item) -> str:
        """Return the text that the teacher reads before each response to this item."""
        return question(item) if isinstance(self.teacher, ApiTeacher) else self.group.context(item)

    def _training_set(self, item_run: ItemRun) -> TrainingSet:
        context = self.context(item_run.item)
        return make_training_set(item_run.parts, item_run.texts, self.teacher, context, self.cache)
