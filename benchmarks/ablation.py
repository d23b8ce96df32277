"""Measure the gain of each part of the recipe: train the student without one part at a time, on a user's own data.

    python -m benchmarks.ablation --data DIR --results FOLDER --report ablation.md [--item ITEM …] [--variant NAME …]

Each variant has three seeds (`--seeds`), soft labels for its texts, and figures on dev.  Of the teacher, only the
number of networks varies.  A killed run goes on when it is started again.  The default is all items and all variants;
variants are named as in the results.
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
from training.compare.figures import sections
from training.compare.report import write_report
from training.compare.results import read_results
from training.compare.run import SEEDS, compare
from training.compare.settings import EVERY_PART
from training.compare.students import full_recipe, with_other_texts
from training.config import TrainingConfig
from training.data import read_data
from training.data.augment import WAYS, Way, augmented, crop, splice
from training.data.targets import NO_LABEL
from training.pipeline.group_run import GroupRun, ItemRun
from training.pipeline.prepare import prepare, tokenizer_for, train_teacher
from training.student.build import make_students
from training.student.training_set import TrainingSet

CERTAIN = 20.0  # a logit that leaves the other scores a probability of almost 0
Change = Callable[[TrainingSet], TrainingSet]


def changed(run: GroupRun, seed: int, **parts: dict[str, object]) -> list[Competitor]:
    """Return students of other settings; `parts` maps sections of the configuration to changed settings."""
    update = {name: getattr(run.config, name).model_copy(update=values) for name, values in parts.items()}
    config = run.config.model_copy(update=update)
    if "teacher" in parts:
        return full_recipe(train_teacher(prepare(run.group, config, run.cache)), seed)
    return full_recipe(with_other_texts(run, config), seed)


def other_ways(run: GroupRun, seed: int, left_out: Way) -> list[Competitor]:
    """Return students with as many augmented texts, but none made in the way `left_out`."""
    ways = [way for way in WAYS if way is not left_out]
    items = tuple(_augmented_by(item_run, ways, run.config.seed) for item_run in run.items)
    return full_recipe(replace(run, items=items), seed)


def _augmented_by(item_run: ItemRun, ways: Sequence[Way], seed: int) -> ItemRun:
    texts = item_run.texts
    per_text = len(texts.augmented) // len(texts.marked)
    new_texts = augmented(texts.marked, per_text, seed, ways)
    contents = tuple(new.text for new in new_texts)
    sources = tuple(new.sources for new in new_texts)
    return replace(item_run, texts=replace(texts, augmented=contents, sources=sources))


def from_changed_sets(run: GroupRun, seed: int, change: Change) -> list[Competitor]:
    """Return students of training sets that were changed after the teacher labelled them."""
    distillation = run.config.distillation.model_copy(update={"seed": run.config.distillation.seed + seed})
    config = run.config.model_copy(update={"distillation": distillation})
    training_sets = [change(training_set) for training_set in run.training_sets]
    items = [item_run.item for item_run in run.items]
    students = make_students(items, training_sets, run.tokenizer, config, run.cache)
    networks = [files.network(item, config.student.max_tokens) for files, item in zip(students, items, strict=True)]
    return [
        Competitor(network.outputs, files.parameters, files.seconds, list)
        for files, network in zip(students, networks, strict=True)
    ]


def no_human_scores(training_set: TrainingSet) -> TrainingSet:
    return replace(training_set, targets=np.full_like(training_set.targets, NO_LABEL))


def most_probable(training_set: TrainingSet) -> TrainingSet:
    """Return a training set with the teacher's most probable score as certain, as in the paper's notebook."""
    if training_set.teacher is None:
        return training_set
    scores = training_set.teacher.argmax(axis=1)
    one_hot = np.eye(training_set.teacher.shape[1], dtype=np.float32)[scores]
    return replace(training_set, teacher=CERTAIN * one_hot)


def each_alone(run: GroupRun, seed: int) -> list[Competitor]:
    """Return students that each learn alone, with a tokenizer of the item's texts, although items share a teacher."""
    competitors: list[Competitor] = []
    for item_run in run.items:
        alone = replace(run, items=(item_run,), tokenizer=tokenizer_for([item_run.texts], run.config))
        competitors += full_recipe(alone, seed)
    return competitors


def most_probable_decoding(run: GroupRun, seed: int) -> list[Competitor]:
    if not _has_cuts(run):
        return []
    return [replace(competitor, head=Head(cuts=None)) for competitor in full_recipe(run, seed)]


def rounded_decoding(run: GroupRun, seed: int) -> list[Competitor]:
    if not _has_cuts(run):
        return []
    columns = output_columns(run.items[0].parts.item)
    head = Head(cuts=tuple(number + 0.5 for number in range(columns - 1)))
    return [replace(competitor, head=head) for competitor in full_recipe(run, seed)]


def _has_cuts(run: GroupRun) -> bool:
    """Return whether the item has cuts: grades and nominal labels have none, and are left out of these variants."""
    item = run.items[0].parts.item
    return item.is_ordered and not item.is_continuous


def most_probable_labels(run: GroupRun, seed: int) -> list[Competitor]:
    """Return students of the teacher's most probable scores; none for grades, which have a mean and a variance."""
    if run.items[0].parts.item.is_continuous:
        return []
    return from_changed_sets(run, seed, most_probable)


def _variants() -> list[Contestant]:
    makers: dict[str, Callable[[GroupRun, int], list[Competitor]]] = {
        "no unlabelled responses": partial(changed, text={"unlabelled": False}),
        "no augmented text": partial(changed, text={"augmented_per_response": 0}),
        "no crops among the augmented": partial(other_ways, left_out=crop),
        "no splices among the augmented": partial(other_ways, left_out=splice),
        "the teacher's most probable score for its probabilities": most_probable_labels,
        "no human scores": partial(from_changed_sets, change=no_human_scores),
        "one network as teacher": partial(changed, teacher={"members": 1}),
        "no teacher": partial(changed, distillation={"soft_weight": 0.0}),
        "each student by itself": each_alone,
        "no dropout": partial(changed, student={"dropout": 0.0}),
        "a quarter of the vocabulary": partial(changed, student={"vocabulary": 250}),
        "the most probable score": most_probable_decoding,
        "the rounded expected score": rounded_decoding,
    }
    variants = [
        Contestant(name.replace(" ", "_"), name, True, make, EVERY_PART, timed=False) for name, make in makers.items()
    ]
    return [Contestant("student", "full recipe", True, full_recipe, EVERY_PART, timed=False), *variants]


def main(
    data: Annotated[Path, typer.Option(help="Folder of items and marked responses.")],
    results: Annotated[Path, typer.Option(help="Folder of one file per item.")],
    report: Annotated[Path, typer.Option(help="The report, .md or .html.")],
    item: Annotated[list[str] | None, typer.Option(help="Default: all items.")] = None,
    variant: Annotated[list[str] | None, typer.Option(help="Default: all variants.")] = None,
    seeds: Annotated[int, typer.Option(help="Number of seeds.")] = SEEDS,
    cache: Annotated[Path | None, typer.Option()] = None,
) -> None:
    folder, variants = read_data(data), _variants()
    if unknown := set(variant or ()) - {known.name for known in variants}:
        raise typer.BadParameter(f"no such variant: {', '.join(sorted(unknown))}")
    chosen = [known for known in variants if not variant or known.name in variant]
    items = [folder.of(item_id) for item_id in item or folder.items]
    compare(items, TrainingConfig(), results, work_folder(cache), chosen, seeds)
    write_report(report, sections(read_results(results), {variant.name: variant.title for variant in variants}))


if __name__ == "__main__":
    typer.run(main)
