"""What students of a group are taught with: its parts and texts, their tokenizer, its teacher.  And the students."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from app.scoring.item import Item
from training.common.progress import console
from training.config import TrainingConfig
from training.data.item_groups import Group
from training.data.splits import Parts, split_together
from training.errors import BadConfig, TooFewRows
from training.student.build import StudentFiles, check_budget, make_students
from training.student.token_lengths import enough_tokens, over_long_share, over_long_warning, token_counts
from training.student.tokenizer import learn_tokenizer
from training.student.training_set import Texts, TrainingSet, lesson_for, texts_for
from training.teacher.api import ApiTeacher, question
from training.teacher.ensemble import Teacher, fine_tuned


@dataclass(frozen=True, slots=True)
class Taught:
    """A group's parts and texts, item by item, and its teacher, if one takes part."""

    group: Group
    parts: tuple[Parts, ...]
    texts: tuple[Texts, ...]
    tokenizer: bytes  # of all items' texts
    teacher: Teacher | None

    @property
    def items(self) -> list[Item]:
        return [own.item for own in self.parts]

    def context(self, item: Item) -> str:
        """What the teacher reads before a response to this item."""
        return question(item) if isinstance(self.teacher, ApiTeacher) else self.group.context(item)


def teach(group: Group, config: TrainingConfig, cache: Path) -> Taught:
    """The group's parts, the text its students will learn from, and its teacher, fine-tuned or read from the cache.

    Raises TooFewRows.
    """
    parts = parts_of(group, config)
    texts = tuple(texts_for(own, config) for own in parts)
    tokenizer = tokenizer_for(texts, config)
    check_budget(parts[0].item, tokenizer, config.student)  # said before the teacher's hours
    for own in parts:
        warn_of_length(own, tokenizer, config)
    teacher: Teacher | None = None
    if config.distillation.soft_weight > 0 and config.teacher.kind == "api":
        if config.teacher.api is None:
            raise BadConfig(
                "a teacher behind an API needs teacher.api in the settings file: its url and model",
                code="api_not_configured",
            )
        teacher = ApiTeacher(parts[0].item, config.teacher.api, cache)
    elif config.distillation.soft_weight > 0:
        fit = [example for own in parts for example in group.examples(own.item, own.fit)]
        validation = [example for own in parts for example in group.examples(own.item, own.validation)]
        own_teacher = config.teacher if len(parts) == 1 else config.teacher.of_several
        teacher = fine_tuned(parts[0].item, fit, validation, own_teacher, config.seed, cache, group.name)
    return Taught(group, parts, texts, tokenizer, teacher)


def parts_of(group: Group, config: TrainingConfig) -> tuple[Parts, ...]:
    """Raises TooFewRows where there is nothing to learn from, or to choose by."""
    parts = split_together(group.members, config)
    for own in parts:
        if not own.fit:
            item_id = own.item.item_id
            raise TooFewRows(
                f"{item_id} has no marked response to learn from", code="no_marked_responses", item_id=item_id
            )
    if not any(own.validation for own in parts):
        rows = sum(len(own.marked) for own in parts)
        raise TooFewRows(
            f"{group.name}: {rows} marked responses are too few to carve a validation part from: mark more, or raise "
            "validation_share",
            code="too_few_to_validate",
            group=group.name,
            rows=rows,
        )
    return parts


def warn_of_length(parts: Parts, tokenizer: bytes, config: TrainingConfig) -> None:
    """Print which share of an item's responses its student will not read to the end, if that is too many."""
    by_part = {"train": parts.marked, "dev": parts.dev}
    counts = {name: token_counts(tokenizer, [row.text for row in rows]) for name, rows in by_part.items() if rows}
    limit, most = config.release.max_over_long, config.student.max_tokens
    shares = {name: over_long_share(own, most) for name, own in counts.items()}
    if max(shares.values()) > limit:
        enough = max(enough_tokens(own, limit) for own in counts.values())
        console.print(f"warning: {over_long_warning(parts.item.item_id, shares, most, enough)}")


def tokenizer_for(texts: Sequence[Texts], config: TrainingConfig) -> bytes:
    """Learnt from what learners wrote to any of the items."""
    return learn_tokenizer([text for own in texts for text in own.written], config.student.vocabulary)


def students_of(taught: Taught, config: TrainingConfig, cache: Path) -> list[StudentFiles]:
    """Those of the group's items, in order."""
    return make_students(taught.items, lessons_of(taught, cache), taught.tokenizer, config, cache)


def lessons_of(taught: Taught, cache: Path) -> list[TrainingSet]:
    return [
        lesson_for(parts, texts, taught.teacher, taught.context(parts.item), cache)
        for parts, texts in zip(taught.parts, taught.texts, strict=True)
    ]
