"""Learning curves: what a share of the marked responses would have come to."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from app.scoring.decoding import decode
from app.scoring.evidence import LearningPoint
from training.config import TrainingConfig
from training.datasets import ItemData
from training.datasets.responses import MarkedResponse
from training.errors import TooFewRows
from training.groups import Group
from training.measure import agreement_on, pooled_head, unfitted
from training.progress import console
from training.splits import carve
from training.teach import parts_of, students_of, teach


def learning_curve(
    group: Group, rows: Sequence[MarkedResponse], config: TrainingConfig, cache: Path
) -> Iterator[LearningPoint]:
    """For each share in config.learning_curve: teacher and student of so many marked responses, measured on these rows
    of dev.  Of an item that has a teacher of its own.

    A learner's responses are in or out together; unlabelled text is there in full.
    """
    for share in _shares(group, config):
        part = _of_share(group.members[0], share, config)
        taught = teach(part, config, cache)
        [parts] = taught.parts
        [files] = students_of(taught, config, cache)
        network = files.network(parts.item, config.student.max_tokens)
        head = pooled_head([unfitted(parts, network.outputs)])
        scores = decode(network.outputs([row.text for row in rows]), parts.item, head)
        yield LearningPoint(marked=len(part.members[0].train), agreement=agreement_on(parts.item, rows, scores))


def _shares(group: Group, config: TrainingConfig) -> tuple[float, ...]:
    """None for items that share a teacher: it would be another one for each item and share."""
    return config.learning_curve if len(group.members) == 1 else ()


def _of_share(data: ItemData, share: float, config: TrainingConfig) -> Group:
    _, part = carve(data.item, data.train, share, config.seed)
    return Group((replace(data, train=part),))


def enough_rows(together: Sequence[Group], config: TrainingConfig) -> None:
    """What is too little is said before hours are spent.  Raises TooFewRows."""
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
