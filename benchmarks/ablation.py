"""What each part of the recipe earns: the student with one part removed in turn, on a user's own data.

    python -m benchmarks.ablation --data DIR --results FOLDER --report ablation.md [--item ITEM …] [--variant NAME …]

Each variant has three seeds (`--seeds`), soft labels for its own texts, and figures on dev.  Killed,
it goes on when called again.  The teachers' own parts (their number aside) are left as they are.  All items and all
variants if none are named; a variant is named as results name it.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from app.scoring.bundle import Head
from app.scoring.decoding import output_columns
from training.common.cache import work_folder
from training.compare.contest import Competitor, Contestant
from training.compare.distilled import full_recipe, with_other_texts
from training.compare.figures import sections
from training.compare.report import write_report
from training.compare.results import read_results
from training.compare.run import SEEDS, compare
from training.compare.settings import EVERY_PART
from training.config import TrainingConfig
from training.data import read_data
from training.data.augment import WAYS, Way, augmented, crop, splice
from training.data.targets import NO_LABEL
from training.pipeline.group_run import GroupRun, ItemRun
from training.pipeline.prepare import prepare, tokenizer_for, train_teacher
from training.student.build import make_students
from training.student.training_set import TrainingSet

CERTAIN = 20.0  # a logit that leaves the other scores nothing
Mend = Callable[[TrainingSet], TrainingSet]


def changed(run: GroupRun, seed: int, **parts: dict[str, object]) -> list[Competitor]:
    """With other settings, by the section of the configuration that they stand in."""
    update = {name: getattr(run.config, name).model_copy(update=values) for name, values in parts.items()}
    config = run.config.model_copy(update=update)
    if "teacher" in parts:
        return full_recipe(train_teacher(prepare(run.group, config, run.cache)), seed)
    return full_recipe(with_other_texts(run, config), seed)


def other_ways(run: GroupRun, seed: int, left_out: Way) -> list[Competitor]:
    """As many augmented texts, none made in this way."""
    ways = [way for way in WAYS if way is not left_out]
    items = tuple(_augmented_by(item_run, ways, run.config.seed) for item_run in run.items)
    return full_recipe(replace(run, items=items), seed)


def _augmented_by(item_run: ItemRun, ways: Sequence[Way], seed: int) -> ItemRun:
    texts = item_run.texts
    made = augmented(texts.marked, len(texts.augmented) // len(texts.marked), seed, ways)
    new = replace(texts, augmented=tuple(a.text for a in made), sources=tuple(a.sources for a in made))
    return replace(item_run, texts=new)


def mended(run: GroupRun, seed: int, mend: Mend) -> list[Competitor]:
    """From training sets that were changed after the teacher gave them."""
    distillation = run.config.distillation.model_copy(update={"seed": run.config.distillation.seed + seed})
    config = run.config.model_copy(update={"distillation": distillation})
    training_sets = [mend(training_set) for training_set in run.training_sets]
    items = [item_run.item for item_run in run.items]
    made = make_students(items, training_sets, run.tokenizer, config, run.cache)
    networks = [files.network(item, config.student.max_tokens) for files, item in zip(made, items, strict=True)]
    return [
        Competitor(network.outputs, files.parameters, files.seconds, list)
        for files, network in zip(made, networks, strict=True)
    ]


def no_human_scores(lesson: TrainingSet) -> TrainingSet:
    return replace(lesson, targets=np.full_like(lesson.targets, NO_LABEL))


def most_probable(lesson: TrainingSet) -> TrainingSet:
    """The teacher's most probable score for certain, as the authors' notebook has it."""
    if lesson.teacher is None:
        return lesson
    certain = np.eye(lesson.teacher.shape[1], dtype=np.float32)[lesson.teacher.argmax(axis=1)]
    return replace(lesson, teacher=CERTAIN * certain)


def each_alone(run: GroupRun, seed: int) -> list[Competitor]:
    """Where items share a teacher: each student learns by itself, and has a tokenizer of its own item's text."""
    made = []
    for item_run in run.items:
        alone = replace(run, items=(item_run,), tokenizer=tokenizer_for([item_run.texts], run.config))
        made += full_recipe(alone, seed)
    return made


def most_probable_decoding(run: GroupRun, seed: int) -> list[Competitor]:
    if not _has_cuts(run):
        return []
    return [replace(own, head=Head(cuts=None)) for own in full_recipe(run, seed)]


def rounded_decoding(run: GroupRun, seed: int) -> list[Competitor]:
    if not _has_cuts(run):
        return []
    head = Head(cuts=tuple(number + 0.5 for number in range(output_columns(run.items[0].parts.item) - 1)))
    return [replace(own, head=head) for own in full_recipe(run, seed)]


def _has_cuts(run: GroupRun) -> bool:
    """Neither grades nor labels without order have any: what decodes otherwise does not take part."""
    item = run.items[0].parts.item
    return item.is_ordered and not item.is_continuous


def most_probable_labels(run: GroupRun, seed: int) -> list[Competitor]:
    """The mean and variance of a grade have no most probable one."""
    return [] if run.items[0].parts.item.is_continuous else mended(run, seed, most_probable)


def _variants() -> list[Contestant]:
    made: dict[str, Callable[[GroupRun, int], list[Competitor]]] = {
        "no unlabelled responses": partial(changed, text={"unlabelled": False}),
        "no augmented text": partial(changed, text={"augmented_per_response": 0}),
        "no crops among the augmented": partial(other_ways, left_out=crop),
        "no splices among the augmented": partial(other_ways, left_out=splice),
        "the teacher's most probable score for its probabilities": most_probable_labels,
        "no human scores": partial(mended, mend=no_human_scores),
        "one network as teacher": partial(changed, teacher={"members": 1}),
        "no teacher": partial(changed, distillation={"soft_weight": 0.0}),
        "each student by itself": each_alone,
        "no dropout": partial(changed, student={"dropout": 0.0}),
        "a quarter of the vocabulary": partial(changed, student={"vocabulary": 250}),
        "the most probable score": most_probable_decoding,
        "the rounded expected score": rounded_decoding,
    }
    variants = [
        Contestant(name.replace(" ", "_"), name, True, make, EVERY_PART, timed=False) for name, make in made.items()
    ]
    return [Contestant("student", "full recipe", True, full_recipe, EVERY_PART, timed=False), *variants]


def main(
    data: Annotated[Path, typer.Option()],
    results: Annotated[Path, typer.Option()],
    report: Annotated[Path, typer.Option()],
    item: Annotated[list[str] | None, typer.Option()] = None,
    variant: Annotated[list[str] | None, typer.Option()] = None,
    seeds: Annotated[int, typer.Option()] = SEEDS,
    cache: Annotated[Path | None, typer.Option()] = None,
) -> None:
    read, variants = read_data(data), _variants()
    if unknown := set(variant or ()) - {own.name for own in variants}:
        raise typer.BadParameter(f"no such variant: {', '.join(sorted(unknown))}")
    chosen = [own for own in variants if not variant or own.name in variant]
    items = [read.of(item_id) for item_id in item or read.items]
    compare(items, TrainingConfig(), results, work_folder(cache), chosen, seeds)
    write_report(report, sections(read_results(results), {variant.name: variant.title for variant in variants}))


if __name__ == "__main__":
    typer.run(main)
