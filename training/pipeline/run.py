"""One training run in order.  Read this first.

data → groups of items with one teacher → splits → teacher → soft labels → students → ONNX → calibration, cuts and
threshold on rows not fitted → agreement and evidence on dev → bundles → gate → ACTIVE
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from app.scoring.agreement import Agreement
from app.scoring.bundle import Bundle
from app.scoring.decoding import Outputs, decode
from app.scoring.errors import BadBundle
from app.scoring.evidence import LearningPoint
from app.scoring.release import activate, read_active, versions
from app.scoring.student import Student
from training.bundle.card import card_of
from training.bundle.provenance import is_of, provenance_of
from training.bundle.write import version_of, write_bundle
from training.calibration.choose import choose_heads, group_threshold, unfitted
from training.calibration.condition_limits import contradicted, contradiction_warning, learn_limits
from training.common.progress import console
from training.config import TrainingConfig
from training.data import ItemData
from training.data.item_groups import Group, groups
from training.data.responses import MarkedResponse
from training.data.splits import Parts
from training.evaluation.agreement import agreement_on
from training.evaluation.attacks import attacks, good_responses
from training.evaluation.evidence import measured
from training.pipeline.learning_curve import enough_rows, learning_curve
from training.pipeline.out_of_fold import folds_of
from training.pipeline.prepare import Taught, students_of, teach
from training.student.training_set import Texts
from training.teacher.soft_labels import teacher_outputs


def train(items: Sequence[ItemData], models: Path, config: TrainingConfig, cache: Path) -> Iterator[Bundle]:
    """Everything from the items' rows to their active bundles.  A bundle already made of the same is only read.

    Raises TooFewRows before anything is trained.
    """
    good = {data.item.item_id: good_responses(data.item, data.dev or data.train) for data in items}
    together = groups(items, config.teacher.own_from)
    enough_rows(together, config)
    for data in items:
        for entry, count in contradicted(data.item, (*data.train, *data.dev)).items():
            console.print(f"warning: {contradiction_warning(data.item.item_id, entry, count)}")
    for group in together:
        made = [_made_before(data, group, models, config) for data in group.members]
        if None not in made:
            console.print(f"{group.name}: made before of the same data and settings by this version of scorelet")
        for bundle in _make(group, made, good, models, config, cache) if None in made else filter(None, made):
            go_live(models / bundle.item.item_id, bundle)
            yield bundle


def go_live(folder: Path, bundle: Bundle) -> None:
    """In the mode that its gate gives.  What is live already keeps its own; what was decided since then stays."""
    try:
        live = read_active(folder)
    except BadBundle:
        live = None
    if live is not None and live.version == bundle.version:
        return
    if live is not None and live.at > bundle.provenance.created_at:
        item_id = bundle.item.item_id
        console.print(f"{item_id}: {live.version} stays live, as {live.by} decided after {bundle.version} was made")
        return
    activate(
        folder,
        bundle.version,
        by="scorelet-train",
        reason="newly trained",
        fallback=live.fallback if live else None,
        blank_is_worst=live.kept_for(bundle.item) if live else None,
    )


def _make(
    group: Group,
    made: Sequence[Bundle | None],
    good: Mapping[str, Sequence[str]],
    models: Path,
    config: TrainingConfig,
    cache: Path,
) -> Iterator[Bundle]:
    """The group's bundles in order; those that were made before are not made again."""
    taught = teach(group, config, cache)
    files = students_of(taught, config, cache)
    networks = [
        own.network(parts.item, config.student.max_tokens) for own, parts in zip(files, taught.parts, strict=True)
    ]
    of_folds = folds_of(taught, config, cache)
    outputs = [
        unfitted(parts, network.outputs, of_folds) for parts, network in zip(taught.parts, networks, strict=True)
    ]
    heads = choose_heads(outputs)
    threshold = group_threshold(outputs, heads, config)
    limits = learn_limits(taught.parts, taught.tokenizer, config.student.max_tokens)
    drafts = [
        Bundle(
            version=version_of(own, made_at := datetime.now(UTC)),
            item=parts.item,
            head=head,
            max_tokens=config.student.max_tokens,
            limits=limit,
            flagged={},
            threshold=threshold,
            parameters=own.parameters,
            agreement=None,
            policy=config.release,
            provenance=provenance_of(group.data_sha256(data), config, made_at),
            sha256={},
        )
        for own, parts, head, limit, data in zip(files, taught.parts, heads, limits, group.members, strict=True)
    ]
    students = [Student(draft, network, "") for draft, network in zip(drafts, networks, strict=True)]
    scored = [_scored(student, parts.dev) for student, parts in zip(students, taught.parts, strict=True)]
    of_teacher = teacher_agreements(taught, scored, cache)
    for number, (draft, student) in enumerate(zip(drafts, students, strict=True)):
        if (before := made[number]) is not None:
            yield before
            continue
        parts, item = taught.parts[number], draft.item
        others = [text for name, texts in good.items() if name != item.item_id for text in texts]
        tried = attacks(item, good[item.item_id], others, config.phrases, config.attacks_of_a_kind, config.seed)
        found = measured(student, parts.dev, tried)
        provenance = draft.provenance.model_copy(update={"teacher_agreement": of_teacher[number]})
        points = [*learning_curve(group, scored[number], config, cache)]
        if points:
            points.append(LearningPoint(marked=len(parts.marked), agreement=found.agreement))
        evidence = found.evidence.model_copy(update={"learning_curve": tuple(points)})
        shown = {"agreement": found.agreement, "evidence": evidence, "flagged": found.flagged}
        bundle = draft.model_copy(update=shown | {"provenance": provenance})
        yield write_bundle(models, bundle, files[number], card_of(bundle, _counts(parts, taught.texts[number])))


def _scored(student: Student, rows: Sequence[MarkedResponse]) -> list[MarkedResponse]:
    """Those that no condition holds back."""
    read = student.read([row.text for row in rows])
    found = [student.examiner.examine(row.text, ids) for row, ids in zip(rows, read, strict=True)]
    return [row for row, own in zip(rows, found, strict=True) if own.condition is None]


def teacher_agreements(taught: Taught, rows: Sequence[Sequence[MarkedResponse]], cache: Path) -> list[Agreement | None]:
    """The teacher on these rows of each item, decoded like the students."""
    teacher = taught.teacher
    if teacher is None:
        return [None] * len(taught.parts)

    def outputs_for(parts: Parts) -> Callable[[Sequence[str]], Outputs]:
        context, name = taught.context(parts.item), f"{parts.item.item_id}: teacher"
        return lambda texts: teacher_outputs(teacher, context, texts, name, cache)

    heads = choose_heads([unfitted(parts, outputs_for(parts)) for parts in taught.parts])
    return [
        agreement_on(parts.item, own, decode(outputs_for(parts)([row.text for row in own]), parts.item, head))
        for parts, head, own in zip(taught.parts, heads, rows, strict=True)
    ]


def _counts(parts: Parts, texts: Texts) -> dict[str, int]:
    kinds = {"marked": texts.marked, "unlabelled": texts.unlabelled, "augmented": texts.augmented}
    counts = {f"{kind}_texts": len(rows) for kind, rows in kinds.items()}
    return counts | {"validation_responses": len(parts.validation), "dev_responses": len(parts.dev)}


def _made_before(data: ItemData, group: Group, models: Path, config: TrainingConfig) -> Bundle | None:
    """The newest sound bundle made from the same data by the same settings and version of scorelet, if any."""
    folder = models / data.item.item_id
    for version in reversed(versions(folder)) if folder.is_dir() else ():
        try:
            bundle = Student.load(folder / version).bundle
        except BadBundle:
            continue
        if is_of(bundle.provenance, group.data_sha256(data), config):
            return bundle
    return None
