"""Students as competitors: the full recipe, and the recipe without extra text or without a teacher."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from app.scoring.item import Item
from app.scoring.network import Network
from training.common.quantise import weights_int8
from training.common.validation_metric import validation_metric
from training.compare.contest import Competitor, Runtime
from training.config import TextConfig, TrainingConfig
from training.data.targets import targets
from training.pipeline.group_run import GroupRun, ItemRun
from training.pipeline.prepare import tokenizer_for
from training.pipeline.students import DistilledStudent, distil
from training.student.build import StudentFiles
from training.student.training_set import labelling_seconds, texts_for

EPOCH_FACTORS = (1, 2, 4)  # of the full recipe's epochs, tried on validation: fewer texts make fewer steps
NO_EXTRA_TEXT = TextConfig(unlabelled=False, augmented_per_response=0)


def full_recipe(run: GroupRun, seed: int) -> list[Competitor]:
    """Return the students that a training run would make."""
    return competitors(replace(run, config=_seeded(run.config, seed)))


def published_loss(run: GroupRun, seed: int) -> list[Competitor]:
    """Return students of the paper's loss on the marked responses alone."""
    return _best_epochs(run, seed, {"temperature": 1.0})


def human_labels(run: GroupRun, seed: int) -> list[Competitor]:
    """Return students of the same networks that learn from human scores alone."""
    return _best_epochs(run, seed, {"soft_weight": 0.0})


def _seeded(config: TrainingConfig, seed: int, **distillation: object) -> TrainingConfig:
    update = {"seed": config.distillation.seed + seed, **distillation}
    return config.model_copy(update={"distillation": config.distillation.model_copy(update=update)})


def _best_epochs(run: GroupRun, seed: int, distillation: dict[str, object]) -> list[Competitor]:
    """Return students without extra text, of as many epochs as the validation parts prefer at the first seed."""
    config = run.config.model_copy(update={"text": NO_EXTRA_TEXT})
    changed = with_other_texts(run, _seeded(config, 0, **distillation))

    def trained(times: int, with_seed: int) -> list[Competitor]:
        return competitors(replace(changed, config=_with_epochs(config, with_seed, times, distillation)))

    metrics = [_validation_metric(changed, trained(times, 0)) for times in EPOCH_FACTORS]
    best = EPOCH_FACTORS[int(np.argmax(metrics))]
    return trained(best, seed)


def _validation_metric(run: GroupRun, students: Sequence[Competitor]) -> float:
    """Return the validation metric within items, over the validation parts of all."""
    validated = [(competitor, parts) for competitor, parts in zip(students, run.parts, strict=True) if parts.validation]
    outputs, target, items = [], [], []
    for competitor, parts in validated:
        outputs.append(competitor.outputs([row.text for row in parts.validation]))
        target.append(targets(parts.item, [row.value for row in parts.validation]))
        items += [parts.item.item_id] * len(parts.validation)
    return validation_metric(run.items[0].item, np.concatenate(target).tolist(), np.concatenate(outputs), items)


def _with_epochs(config: TrainingConfig, seed: int, times: int, distillation: dict[str, object]) -> TrainingConfig:
    settings = config.distillation
    longer = {name: times * getattr(settings, name) for name in ("epochs", "shared_epochs", "min_steps")}
    return _seeded(config, seed, **longer, **distillation)


def with_other_texts(run: GroupRun, config: TrainingConfig) -> GroupRun:
    """Return the run with the texts and the tokenizer of another configuration, and with the same rows and teacher."""
    items = tuple(_with_texts(item_run, config) for item_run in run.items)
    tokenizer = tokenizer_for([item_run.texts for item_run in items], config)
    teacher = run.teacher if config.distillation.soft_weight > 0 else None
    return replace(run, config=config, items=items, tokenizer=tokenizer, teacher=teacher)


def _with_texts(item_run: ItemRun, config: TrainingConfig) -> ItemRun:
    parts = item_run.parts
    if not config.text.unlabelled:
        parts = replace(parts, unlabelled=())
    return replace(item_run, parts=parts, texts=texts_for(parts, config))


def competitors(run: GroupRun) -> list[Competitor]:
    """Return the students of the group's items, in order."""
    return [_competitor(run, student) for student in distil(run)]


def _competitor(run: GroupRun, student: DistilledStudent) -> Competitor:
    files, item, seconds = student.files, student.item, student.files.seconds
    if run.teacher is not None and seconds is not None:
        labelling = labelling_seconds(student.item_run.texts, run.teacher, run.context(item), run.cache)
        seconds = None if labelling is None else seconds + labelling
    runtimes = partial(_runtimes, files, item, run.config.student.max_tokens)
    return Competitor(student.network.outputs, files.parameters, seconds, runtimes)


def _runtimes(files: StudentFiles, item: Item, max_tokens: int) -> list[Runtime]:
    runtimes = []
    for name, content in (("float32", files.student), ("int8", weights_int8(files.student))):
        network = Network.from_bytes(files.tokenizer, content, max_tokens, item)
        runtimes.append(Runtime(name, len(content) + len(files.tokenizer), network.outputs))
    return runtimes
