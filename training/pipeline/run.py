"""One training run in order.  Read this first.

prepare → train teacher → label → distil → calibrate → measure → write → release

A group of items with one teacher takes all steps together (`GroupRun`).  Cuts, calibration and threshold are chosen on
rows that were not fitted; agreement and evidence are measured on dev.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from app.scoring.bundle import Bundle
from app.scoring.student import Student
from training.bundle.card import student_card
from training.bundle.write import write_bundle
from training.calibration.condition_limits import contradicted, contradiction_warning
from training.common.progress import console
from training.config import TrainingConfig
from training.data import ItemData
from training.data.item_groups import Group, groups
from training.evaluation.attacks import good_responses
from training.pipeline.learning_curve import check_rows
from training.pipeline.measure import measure, teacher_agreements
from training.pipeline.prepare import prepare, train_teacher
from training.pipeline.release import earlier_bundle, release
from training.pipeline.students import calibrate, distil


def train(items: Sequence[ItemData], models: Path, config: TrainingConfig, cache: Path) -> Iterator[Bundle]:
    """Train the items' students, and yield their bundles when they are live.

    Items with few marked responses share a teacher.  A bundle that was made before from the same data and settings is
    only read.  Raise TooFewRows before anything is trained.
    """
    good = {data.item.item_id: good_responses(data.item, data.dev or data.train) for data in items}
    item_groups = groups(items, config.teacher.own_from)
    check_rows(item_groups, config)
    _warn_of_contradicted_refusals(items)
    for group in item_groups:
        for bundle in _bundles(group, models, config, cache, good):
            release(models / bundle.item.item_id, bundle)
            yield bundle


def _bundles(
    group: Group, models: Path, config: TrainingConfig, cache: Path, good: Mapping[str, Sequence[str]]
) -> Iterable[Bundle]:
    """Return the group's bundles in order; train only where one of them does not exist yet."""
    earlier = _earlier_bundles(group, models, config)
    if len(earlier) < len(group.members):
        return _train_group(group, earlier, models, config, cache, good)
    console.print(f"{group.name}: made before of the same data and settings by this version of scorelet")
    return earlier.values()


def _train_group(
    group: Group,
    earlier: Mapping[str, Bundle],
    models: Path,
    config: TrainingConfig,
    cache: Path,
    good: Mapping[str, Sequence[str]],
) -> Iterator[Bundle]:
    """Yield the group's bundles in order: each as it is written, or as it was made before a run was killed."""
    run = train_teacher(prepare(group, config, cache))
    candidates = calibrate(run, distil(run))
    agreements = teacher_agreements(run, candidates)
    for candidate, teacher_agreement in zip(candidates, agreements, strict=True):
        if candidate.item.item_id in earlier:
            yield earlier[candidate.item.item_id]
            continue
        bundle = measure(run, candidate, teacher_agreement, good)
        yield write_bundle(models, bundle, candidate.files, student_card(bundle, candidate.item_run.counts))


def _earlier_bundles(group: Group, models: Path, config: TrainingConfig) -> dict[str, Bundle]:
    """Return the bundles that were made before from the same data and settings, by item id, in the items' order."""
    earlier = {
        data.item.item_id: earlier_bundle(models / data.item.item_id, _load, group.data_sha256(data), config)
        for data in group.members
    }
    return {item_id: bundle for item_id, bundle in earlier.items() if bundle is not None}


def _load(folder: Path) -> Bundle:
    return Student.load(folder).bundle


def _warn_of_contradicted_refusals(items: Sequence[ItemData]) -> None:
    for data in items:
        for entry, count in contradicted(data.item, (*data.train, *data.dev)).items():
            console.print(f"warning: {contradiction_warning(data.item.item_id, entry, count)}")
