"""The step that measures students and their teacher on dev rows, and completes the bundles."""

from collections.abc import Callable, Mapping, Sequence

from app.scoring.agreement import Agreement
from app.scoring.bundle import Bundle
from app.scoring.decoding import Outputs, decode
from app.scoring.evidence import LearningPoint
from app.scoring.item import Item
from training.calibration.choose import choose_heads, unfitted
from training.evaluation.agreement import agreement_on
from training.evaluation.attacks import attacks
from training.evaluation.evidence import measured
from training.pipeline.group_run import GroupRun
from training.pipeline.learning_curve import learning_curve
from training.pipeline.students import Candidate
from training.teacher.ensemble import Teacher
from training.teacher.soft_labels import teacher_outputs


def measure(
    run: GroupRun,
    candidate: Candidate,
    teacher_agreement: Agreement | None,
    good_responses: Mapping[str, Sequence[str]],
) -> Bundle:
    """Return the candidate's bundle with agreement, evidence and flagged shares on the item's dev rows.

    `good_responses` holds responses with the best scores by item id, of all items: attacks are made of them.
    """
    parts, item = candidate.item_run.parts, candidate.item
    good = good_responses[item.item_id]
    other_responses = [text for item_id, texts in good_responses.items() if item_id != item.item_id for text in texts]
    attempts = attacks(item, good, other_responses, run.config.phrases, run.config.attacks_of_a_kind, run.config.seed)
    figures = measured(candidate.student, parts.dev, attempts)
    points = list(learning_curve(run, candidate.scored_dev))
    if points:
        points.append(LearningPoint(marked=len(parts.marked), agreement=figures.agreement))
    evidence = figures.evidence.model_copy(update={"learning_curve": tuple(points)})
    provenance = candidate.draft.provenance.model_copy(update={"teacher_agreement": teacher_agreement})
    shown = {"agreement": figures.agreement, "evidence": evidence, "flagged": figures.flagged}
    return candidate.draft.model_copy(update=shown | {"provenance": provenance})


def teacher_agreements(run: GroupRun, candidates: Sequence[Candidate]) -> list[Agreement | None]:
    """Return the teacher's agreement with raters for each candidate's item, on the dev rows that its student scores.

    The teacher's outputs are decoded like the students': by heads chosen on the validation rows.
    """
    if run.teacher is None:
        return [None] * len(candidates)
    outputs = {item_run.item.item_id: _teacher_of(run, run.teacher, item_run.item) for item_run in run.items}
    heads = choose_heads([unfitted(parts, outputs[parts.item.item_id]) for parts in run.parts])
    agreements = []
    for candidate, head in zip(candidates, heads, strict=True):
        item = candidate.item
        rows = candidate.scored_dev
        scores = decode(outputs[item.item_id]([row.text for row in rows]), item, head)
        agreements.append(agreement_on(item, rows, scores))
    return agreements


def _teacher_of(run: GroupRun, teacher: Teacher, item: Item) -> Callable[[Sequence[str]], Outputs]:
    context, description = run.context(item), f"{item.item_id}: teacher"
    return lambda texts: teacher_outputs(teacher, context, texts, description, run.cache)
