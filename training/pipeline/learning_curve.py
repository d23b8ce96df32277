"""Learning curves: what a share of the marked responses would have come to."""

import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from app.scoring.decoding import decode
from app.scoring.evidence import LearningPoint
from training.calibration.choose import choose_heads, unfitted
from training.common.progress import console
from training.config import TrainingConfig
from training.data import ItemData
from training.data.item_groups import Group
from training.data.responses import MarkedResponse
from training.errors import TooFewRows
from training.evaluation.agreement import agreement_on
from training.pipeline.out_of_fold import folds_of
from training.pipeline.prepare import parts_of, students_of, teach


def learning_curve(
    group: Group, rows: Sequence[MarkedResponse], config: TrainingConfig, cache: Path
) -> Iterator[LearningPoint]:
    """Yield a point for each share in config.learning_curve: a whole run on so many marked responses.

    Teacher, student, calibration and cuts are those that a run of that size would have; agreement is on these rows of
    dev.  Of an item that has a teacher of its own.  Unlabelled text is there in full.
    """
    for share in _shares(group, config):
        taught = teach(_of_share(group.members[0], share, config), config, cache)
        [parts] = taught.parts
        [files] = students_of(taught, config, cache)
        network = files.network(parts.item, config.student.max_tokens)
        [head] = choose_heads([unfitted(parts, network.outputs, folds_of(taught, config, cache))])
        scores = decode(network.outputs([row.text for row in rows]), parts.item, head)
        yield LearningPoint(marked=len(parts.marked), agreement=agreement_on(parts.item, rows, scores))


def drawn(rows: Sequence[MarkedResponse], share: float, seed: int) -> tuple[MarkedResponse, ...]:
    """Return a random share of the rows, in their order.

    A learner's responses are in or out together.  A text that several learners wrote is in as often as they are: a
    smaller data set has such texts too.  A smaller share is part of every larger one.
    """
    of_learners: dict[object, list[int]] = defaultdict(list)
    for number, row in enumerate(rows):
        of_learners[number if row.learner_id is None else row.learner_id].append(number)
    learners = list(of_learners.values())
    random.Random(seed).shuffle(learners)
    taken: set[int] = set()
    for numbers in learners:
        if len(taken) >= round(share * len(rows)):
            break
        taken.update(numbers)
    return tuple(row for number, row in enumerate(rows) if number in taken)


def _shares(group: Group, config: TrainingConfig) -> tuple[float, ...]:
    """Return no share for items that share a teacher: it would be another one for each item and share."""
    return config.learning_curve if len(group.members) == 1 else ()


def _of_share(data: ItemData, share: float, config: TrainingConfig) -> Group:
    return Group((replace(data, train=drawn(data.train, share, config.seed)),))


def enough_rows(together: Sequence[Group], config: TrainingConfig) -> None:
    """Check every part before hours are spent.  Raise TooFewRows."""
    for group in together:
        parts_of(group, config)
        if _shares(group, config) != config.learning_curve:
            console.print(f"{group.name}: items that share a teacher have no learning curve")
        for share in _shares(group, config):
            try:
                parts_of(_of_share(group.members[0], share, config), config)
            except TooFewRows as error:
                sentence = f"learning_curve {share:g}: {error}"
                raise TooFewRows(sentence, code=error.code, share=share, **error.fields) from None
