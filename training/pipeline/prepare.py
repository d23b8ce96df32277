"""The first steps of a run: split the rows, gather the texts, learn the tokenizer, and train the teacher."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from training.common.progress import console
from training.config import TrainingConfig
from training.data.item_groups import Group
from training.data.splits import Parts, split_together
from training.errors import BadConfig, TooFewRows
from training.pipeline.group_run import GroupRun, ItemRun
from training.student.build import check_budget
from training.student.token_lengths import enough_tokens, over_long_share, over_long_warning, token_counts
from training.student.tokenizer import learn_tokenizer
from training.student.training_set import Texts, texts_for
from training.teacher.api import ApiTeacher
from training.teacher.ensemble import FineTuned, Teacher, fine_tuned


def prepare(group: Group, config: TrainingConfig, cache: Path) -> GroupRun:
    """Return the group's rows in parts, its texts and its tokenizer, without a teacher yet.

    Raise TooFewRows where a part lacks rows, and OverBudget where a student would have too many parameters: both
    before the hours that a teacher takes.
    """
    split = zip(group.members, parts_of(group, config), strict=True)
    items = tuple(ItemRun(data, parts, texts_for(parts, config)) for data, parts in split)
    tokenizer = tokenizer_for([item_run.texts for item_run in items], config)
    check_budget(items[0].item, tokenizer, config.student)
    for item_run in items:
        warn_of_length(item_run.parts, tokenizer, config)
    return GroupRun(group, config, cache, items, tokenizer)


def train_teacher(run: GroupRun) -> GroupRun:
    """Return the run with its teacher, which is fine-tuned now or read from the cache.

    Without a soft weight no teacher takes part.  Raise BadConfig for a teacher behind an API without its address.
    """
    if run.config.distillation.soft_weight == 0:
        return run
    teacher = _api_teacher(run) if run.config.teacher.kind == "api" else _fine_tuned(run)
    return replace(run, teacher=teacher)


def _api_teacher(run: GroupRun) -> Teacher:
    settings = run.config.teacher.api
    if settings is None:
        raise BadConfig(
            "a teacher behind an API needs teacher.api in the settings file: its url and model",
            code="api_not_configured",
        )
    return ApiTeacher(run.items[0].item, settings, run.cache)


def _fine_tuned(run: GroupRun) -> FineTuned:
    fit = [example for parts in run.parts for example in run.group.examples(parts.item, parts.fit)]
    validation = [example for parts in run.parts for example in run.group.examples(parts.item, parts.validation)]
    settings = run.config.teacher if len(run.items) == 1 else run.config.teacher.of_several
    return fine_tuned(run.items[0].item, fit, validation, settings, run.config.seed, run.cache, run.group.name)


def parts_of(group: Group, config: TrainingConfig) -> tuple[Parts, ...]:
    """Return the parts of every item of the group, in order.

    Raise TooFewRows where an item has no rows to fit, or the group none to validate on.
    """
    split = split_together(group.members, config)
    for parts in split:
        if not parts.fit:
            item_id = parts.item.item_id
            raise TooFewRows(
                f"{item_id} has no marked response to learn from", code="no_marked_responses", item_id=item_id
            )
    if not any(parts.validation for parts in split):
        rows = sum(len(parts.marked) for parts in split)
        raise TooFewRows(
            f"{group.name}: {rows} marked responses are too few to carve a validation part from: mark more, or raise "
            "validation_share",
            code="too_few_to_validate",
            group=group.name,
            rows=rows,
        )
    return split


def warn_of_length(parts: Parts, tokenizer: bytes, config: TrainingConfig) -> None:
    """Print the share of an item's responses that its student will not read to the end, if it is too large."""
    by_part = {"train": parts.marked, "dev": parts.dev}
    counts = {name: token_counts(tokenizer, [row.text for row in rows]) for name, rows in by_part.items() if rows}
    limit, max_tokens = config.release.max_over_long, config.student.max_tokens
    shares = {name: over_long_share(lengths, max_tokens) for name, lengths in counts.items()}
    if max(shares.values()) > limit:
        enough = max(enough_tokens(lengths, limit) for lengths in counts.values())
        console.print(f"warning: {over_long_warning(parts.item.item_id, shares, max_tokens, enough)}")


def tokenizer_for(texts: Sequence[Texts], config: TrainingConfig) -> bytes:
    """Return tokenizer.json, learnt from all responses that learners wrote to any of the items."""
    written = [text for item_texts in texts for text in item_texts.written]
    return learn_tokenizer(written, config.student.vocabulary)
