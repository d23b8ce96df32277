"""The students: the full recipe, and what is left of it without extra text or without a teacher."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from app.scoring.item import Item
from app.scoring.network import Network
from training.common.quantise import weights_int8
from training.common.validation_metric import validation_metric
from training.compare.contest import Competitor, Contest, Runtime
from training.config import TextConfig, TrainingConfig
from training.data.targets import targets
from training.pipeline.prepare import Taught, students_of, tokenizer_for
from training.student.build import StudentFiles
from training.student.training_set import labelling_seconds, texts_for

TIMES_EPOCHS = (1, 2, 4)  # of the full recipe's, tried on validation where there are fewer texts and so fewer steps
NO_EXTRA_TEXT = TextConfig(unlabelled=False, augmented_per_response=0)


def full_recipe(contest: Contest, seed: int) -> list[Competitor]:
    return competitors(contest, contest.taught, _seeded(contest.config, seed))


def published_loss(contest: Contest, seed: int) -> list[Competitor]:
    """The loss of the paper on the marked responses alone."""
    return _best_epochs(contest, seed, {"temperature": 1.0})


def human_labels(contest: Contest, seed: int) -> list[Competitor]:
    """The same network without a teacher."""
    return _best_epochs(contest, seed, {"soft_weight": 0.0})


def _seeded(config: TrainingConfig, seed: int, **distillation: object) -> TrainingConfig:
    update = {"seed": config.distillation.seed + seed, **distillation}
    return config.model_copy(update={"distillation": config.distillation.model_copy(update=update)})


def _best_epochs(contest: Contest, seed: int, distillation: dict[str, object]) -> list[Competitor]:
    """Without extra text; as many epochs as the validation parts prefer at the first seed."""
    config = contest.config.model_copy(update={"text": NO_EXTRA_TEXT})
    taught = retaught(contest.taught, _seeded(config, 0, **distillation))
    tried = [competitors(contest, taught, _with_epochs(config, 0, times, distillation)) for times in TIMES_EPOCHS]
    best = TIMES_EPOCHS[int(np.argmax([_on_validation(taught, made) for made in tried]))]
    return competitors(contest, taught, _with_epochs(config, seed, best, distillation))


def _on_validation(taught: Taught, made: Sequence[Competitor]) -> float:
    """Return the figure of merit within items, over the validation parts of all."""
    validated = [(own, parts) for own, parts in zip(made, taught.parts, strict=True) if parts.validation]
    outputs = [own.outputs([row.text for row in parts.validation]) for own, parts in validated]
    target = [targets(parts.item, [row.value for row in parts.validation]) for _, parts in validated]
    items = [parts.item.item_id for _, parts in validated for _ in parts.validation]
    return validation_metric(taught.items[0], np.concatenate(target).tolist(), np.concatenate(outputs), items)


def _with_epochs(config: TrainingConfig, seed: int, times: int, distillation: dict[str, object]) -> TrainingConfig:
    own = config.distillation
    longer = {name: times * getattr(own, name) for name in ("epochs", "shared_epochs", "min_steps")}
    return _seeded(config, seed, **longer, **distillation)


def retaught(taught: Taught, config: TrainingConfig) -> Taught:
    """The same parts and teacher, other texts, and no text of any kind that a configuration leaves out."""
    parts = tuple(replace(own, unlabelled=own.unlabelled if config.text.unlabelled else ()) for own in taught.parts)
    texts = tuple(texts_for(own, config) for own in parts)
    teacher = taught.teacher if config.distillation.soft_weight > 0 else None
    return Taught(taught.group, parts, texts, tokenizer_for(texts, config), teacher)


def competitors(contest: Contest, taught: Taught, config: TrainingConfig) -> list[Competitor]:
    """The students of the group's items, in order."""
    files = students_of(taught, config, contest.cache)
    return [_competitor(contest, taught, number, own, config) for number, own in enumerate(files)]


def _competitor(
    contest: Contest, taught: Taught, number: int, files: StudentFiles, config: TrainingConfig
) -> Competitor:
    parts = taught.parts[number]
    network = files.network(parts.item, config.student.max_tokens)
    seconds = files.seconds
    if taught.teacher is not None and seconds is not None:
        context = taught.context(parts.item)
        labelling = labelling_seconds(taught.texts[number], taught.teacher, context, contest.cache)
        seconds = None if labelling is None else seconds + labelling
    return Competitor(
        network.outputs,
        files.parameters,
        seconds,
        partial(_runtimes, files, parts.item, config.student.max_tokens),
    )


def _runtimes(files: StudentFiles, item: Item, max_tokens: int) -> list[Runtime]:
    made = []
    for name, content in (("float32", files.student), ("int8", weights_int8(files.student))):
        network = Network.from_bytes(files.tokenizer, content, max_tokens, item)
        made.append(Runtime(name, len(content) + len(files.tokenizer), network.outputs))
    return made
