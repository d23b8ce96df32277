"""Learning curves: the agreement that smaller shares of the marked responses would have given."""

import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace

from app.scoring.decoding import decode
from app.scoring.evidence import LearningPoint
from training.calibration.choose import choose_heads
from training.common.progress import console
from training.config import TrainingConfig
from training.data import ItemData
from training.data.item_groups import Group
from training.data.responses import MarkedResponse
from training.errors import TooFewRows
from training.evaluation.agreement import agreement_on
from training.pipeline.group_run import GroupRun
from training.pipeline.prepare import parts_of, prepare, train_teacher
from training.pipeline.students import distil, held_out


def learning_curve(run: GroupRun, rows: Sequence[MarkedResponse]) -> Iterator[LearningPoint]:
    """Yield a point for each share in `config.learning_curve`: a whole run on so many marked responses.

    Each point has its own teacher, student and head.  Its agreement is measured on `rows`, which are rows of dev.  All
    unlabelled text takes part.  Items that share a teacher have no curve.
    """
    for share in _shares(run.group, run.config):
        smaller = train_teacher(prepare(_of_share(run.group.members[0], share, run.config), run.config, run.cache))
        students = distil(smaller)
        [student], [head] = students, choose_heads(held_out(smaller, students))
        scores = decode(student.network.outputs([row.text for row in rows]), student.item, head)
        yield LearningPoint(marked=len(student.parts.marked), agreement=agreement_on(student.item, rows, scores))


def drawn(rows: Sequence[MarkedResponse], share: float, seed: int) -> tuple[MarkedResponse, ...]:
    """Return a random share of the rows, in their order.

    A learner's responses are drawn together.  A text that several learners wrote is drawn as often as these learners
    are, for a smaller data set has such texts too.  A smaller share is part of every larger one.
    """
    by_learner: dict[object, list[int]] = defaultdict(list)
    for number, row in enumerate(rows):
        by_learner[number if row.learner_id is None else row.learner_id].append(number)
    learners = list(by_learner.values())
    random.Random(seed).shuffle(learners)
    taken: set[int] = set()
    for numbers in learners:
        if len(taken) >= round(share * len(rows)):
            break
        taken.update(numbers)
    return tuple(row for number, row in enumerate(rows) if number in taken)


def check_rows(groups: Sequence[Group], config: TrainingConfig) -> None:
    """Check the parts of every run before hours are spent, those of learning curves too.  Raise TooFewRows."""
    for group in groups:
        parts_of(group, config)
        if _shares(group, config) != config.learning_curve:
            console.print(f"{group.name}: items that share a teacher have no learning curve")
        for share in _shares(group, config):
            try:
                parts_of(_of_share(group.members[0], share, config), config)
            except TooFewRows as error:
                sentence = f"learning_curve {share:g}: {error}"
                raise TooFewRows(sentence, code=error.code, share=share, **error.fields) from None


def _shares(group: Group, config: TrainingConfig) -> tuple[float, ...]:
    """Return no share for items that share a teacher: each item and share would need another teacher."""
    return config.learning_curve if len(group.members) == 1 else ()


def _of_share(data: ItemData, share: float, config: TrainingConfig) -> Group:
    return Group((replace(data, train=drawn(data.train, share, config.seed)),))
