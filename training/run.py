"""One training run in order.  Read this first.

data → split → teacher → soft labels → student → ONNX → parity → choices on validation → agreement on dev → ACTIVE
"""

import importlib.metadata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.scoring.active import activate, read_active, versions
from app.scoring.agreement import Agreement
from app.scoring.bundle import Bundle, Head, Provenance
from app.scoring.errors import BadBundle
from app.scoring.featurizer import Featurizer
from app.scoring.item import Item
from app.scoring.student import Student, decode, softmax
from app.scoring.text import is_blank
from training.augment import augmented
from training.card import card_of
from training.config import TrainingConfig
from training.datasets import ItemData
from training.datasets.responses import MarkedResponse
from training.distill import NO_LABEL, Lesson, distilled
from training.export import check_parity, staged, version_of, write_bundle
from training.graph import to_onnx
from training.measure import agreement_on, threshold_on
from training.progress import console
from training.selection import choose_head, target_for
from training.softlabels import teacher_logits
from training.splits import carve
from training.student import StudentNetwork, parameters
from training.teacher import Teacher, fine_tuned
from training.tokenizer import learn_tokenizer

SOFTWARE = ("scorelet", "torch", "transformers", "tokenizers", "onnx", "onnxruntime", "numpy")


@dataclass(frozen=True, slots=True)
class Parts:
    """An item's rows by what they are for.  Blank responses are in none: a rule answers them, no model does."""

    fit: tuple[MarkedResponse, ...]
    validation: tuple[MarkedResponse, ...]
    dev: tuple[MarkedResponse, ...]
    unlabelled: tuple[str, ...]

    @property
    def marked(self) -> tuple[MarkedResponse, ...]:
        return (*self.fit, *self.validation)


def train_item(data: ItemData, models: Path, config: TrainingConfig, cache: Path) -> Bundle:
    """Everything from one item's rows to its active bundle.  A bundle already made of the same is only read."""
    made = _made_before(data, models, config)
    if made is None:
        made = _make(data, models, config, cache)
    else:
        console.print(f"{data.item.item_id}: {made.version} was made from the same data and settings")
    _go_live(models / data.item.item_id, made.version)
    return made


def _go_live(folder: Path, version: str) -> None:
    """As a suggestion, until a person releases it.  What is live already keeps its mode."""
    try:
        live = read_active(folder).version
    except BadBundle:
        live = None
    if live != version:
        activate(folder, version, mode="suggest", by="scorelet-train", reason="newly trained")


def _make(data: ItemData, models: Path, config: TrainingConfig, cache: Path) -> Bundle:
    item, parts, teacher = data.item, split(data, config), None
    taught = config.distillation.soft_weight > 0
    seen = [row.text for row in parts.fit] + list(parts.unlabelled if taught else ())
    tokenizer = learn_tokenizer(seen, config.student.vocabulary)
    featurizer = Featurizer.from_bytes(tokenizer, config.student.max_tokens)
    StudentNetwork(featurizer.vocabulary, item.choices, config.student)  # over budget: said before the teacher's hours
    if taught:
        teacher = fine_tuned(item, parts.fit, parts.validation, config.teacher, config.seed, cache)
    texts, lesson = lesson_for(item, parts, teacher, config, cache)
    name = f"{item.item_id}: student"
    seed = 1000 * config.seed + config.distillation.seed
    network = distilled(lesson, featurizer, item.choices, config.student, config.distillation, seed, name)
    student = to_onnx(network)
    draft = Bundle(
        version=version_of(tokenizer, student),
        item=item,
        head=Head(cuts=None),
        max_tokens=config.student.max_tokens,
        threshold=None,
        parameters=parameters(network),
        agreement=None,
        provenance=_provenance(data, config, teacher_agreement(item, parts, teacher, cache) if teacher else None),
        sha256={},
    )
    counts = {f"{kind}_texts": len(rows) for kind, rows in texts.items()}
    counts |= {"validation_responses": len(parts.validation), "dev_responses": len(parts.dev)}
    with staged(models, item.item_id, draft.version, tokenizer, student) as folder:
        exported = write_bundle(folder, draft, card_of(draft, counts))
        check_parity(network, exported, [row.text for row in parts.validation])
        bundle = measured(exported, parts, config)
        return write_bundle(folder, bundle, card_of(bundle, counts)).bundle


def _provenance(data: ItemData, config: TrainingConfig, of_teacher: Agreement | None) -> Provenance:
    return Provenance(
        created_at=datetime.now(UTC),
        data_sha256=data.sha256,
        teacher=config.teacher.base if config.distillation.soft_weight > 0 else None,
        teacher_agreement=of_teacher,
        config=config.model_dump(),
        seed=config.seed,
        software={name: importlib.metadata.version(name) for name in SOFTWARE},
    )


def split(data: ItemData, config: TrainingConfig) -> Parts:
    fit, validation = carve([row for row in data.train if not is_blank(row.text)], config.validation_share, config.seed)
    unlabelled = data.unlabelled if config.text.unlabelled else ()
    return Parts(
        fit=fit,
        validation=validation,
        dev=tuple(row for row in data.dev if not is_blank(row.text)),
        unlabelled=tuple(row.text for row in unlabelled if not is_blank(row.text)),
    )


def lesson_for(
    item: Item, parts: Parts, teacher: Teacher | None, config: TrainingConfig, cache: Path
) -> tuple[dict[str, Sequence[str]], Lesson]:
    """The texts by kind, and the same texts in the same order with human scores and the teacher's logits."""
    marked = [row.text for row in parts.fit]
    unlabelled = list(parts.unlabelled) if teacher else []
    made = augmented(marked, config.text.augmented_per_response, config.seed) if teacher else []
    texts = [*marked, *unlabelled, *made]
    choices = np.full(len(texts), NO_LABEL, dtype=np.int64)
    choices[: len(marked)] = [row.choice for row in parts.fit]
    soft = teacher_logits(teacher, texts, f"{item.item_id}: soft labels", cache) if teacher else None
    return {"marked": marked, "unlabelled": unlabelled, "augmented": made}, Lesson(texts, choices, soft)


def measured(exported: Student, parts: Parts, config: TrainingConfig) -> Bundle:
    """The exported student's bundle with cuts and threshold chosen inside train, and its agreement on dev."""
    item = exported.bundle.item

    def probabilities(texts: Sequence[str]) -> NDArray[np.float64]:
        return softmax(exported.logits(list(texts)))

    validation = probabilities([row.text for row in parts.validation])
    head = linked_head(item, parts, validation, probabilities)
    target = target_for(parts.marked, config.target_agreement, config.human_margin)
    threshold = threshold_on(parts.validation, decode(validation, item, head), target)
    scores = decode(probabilities([row.text for row in parts.dev]), item, head) if parts.dev else []
    figures = agreement_on(item, parts.dev, scores)
    return exported.bundle.model_copy(update={"head": head, "threshold": threshold, "agreement": figures})


def linked_head(
    item: Item,
    parts: Parts,
    validation: NDArray[np.float64],
    probabilities: Callable[[Sequence[str]], NDArray[np.float64]],
) -> Head:
    """Cuts from the human scores of all marked rows, and the machine's on validation and unlabelled text."""
    unfitted = [validation, probabilities(parts.unlabelled)] if parts.unlabelled else [validation]
    return choose_head(item, [row.choice for row in parts.marked], np.concatenate(unfitted))


def teacher_agreement(item: Item, parts: Parts, teacher: Teacher, cache: Path) -> Agreement | None:
    """The teacher on dev, decoded like the student."""
    if not parts.dev:
        return None

    def probabilities(texts: Sequence[str]) -> NDArray[np.float64]:
        return softmax(teacher_logits(teacher, texts, f"{item.item_id}: teacher", cache))

    head = linked_head(item, parts, probabilities([row.text for row in parts.validation]), probabilities)
    return agreement_on(item, parts.dev, decode(probabilities([row.text for row in parts.dev]), item, head))


def _made_before(data: ItemData, models: Path, config: TrainingConfig) -> Bundle | None:
    """The newest sound bundle made from the same data by the same settings, if any."""
    folder = models / data.item.item_id
    for version in reversed(versions(folder)) if folder.is_dir() else ():
        try:
            bundle = Student.load(folder / version).bundle
        except BadBundle:
            continue
        if (bundle.provenance.data_sha256, bundle.provenance.config) == (data.sha256, config.model_dump()):
            return bundle
    return None
