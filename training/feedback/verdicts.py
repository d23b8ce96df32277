"""The verdict reader: a student that reads from feedback whether it calls a response right, and its teacher.

The reader is trained like any other student.  Its responses are raters' feedback, its labels the verdicts of scores.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from app.scoring.decoding import distribution
from app.scoring.feedback.bundle import VerdictSettings
from app.scoring.feedback.screen import verdict, verdicts
from app.scoring.item import Item
from app.scoring.network import Network
from training.config import TrainingConfig
from training.data import ItemData
from training.data.item_groups import Group
from training.data.responses import MarkedResponse
from training.errors import TooFewRows
from training.feedback.data import MarkedFeedback
from training.pipeline.prepare import parts_of, prepare, train_teacher
from training.pipeline.students import DistilledStudent, distil
from training.student.build import StudentFiles
from training.teacher.ensemble import Teacher

FALSE_AGREEMENT = 0.05  # share of texts under a wrong score that may pass as agreeing with the score
MIN_THRESHOLD = 0.5  # below this probability another verdict is likelier


@dataclass(frozen=True, slots=True)
class Reader:
    """A trained verdict reader."""

    files: StudentFiles
    settings: VerdictSettings
    accuracy: float  # of the most probable verdict, on held-out feedback by raters
    held_back: float  # share of held-out feedback that the screen would not show
    teacher: Teacher | None

    def network(self) -> Network:
        """Return the reader's network, ready to run."""
        return self.files.network(self.settings.item, self.settings.max_tokens)


def verdict_reader(rows: Sequence[MarkedFeedback], config: TrainingConfig, cache: Path) -> Reader:
    """Train a verdict reader on raters' feedback.

    Raises TooFewRows if all responses have the same verdict, or if there are too few different texts.
    """
    labels = tuple(sorted({verdict(row.item, row.marked.value) for row in rows}))
    if len(labels) < 2:
        raise TooFewRows(
            f"all {len(rows)} rows with feedback have the same verdict ({', '.join(labels)}), so that no reader of "
            "verdicts can learn to tell them apart: add rows with other scores",
            code="one_verdict",
            rows=len(rows),
        )
    group = _group(rows, labels)
    _require_texts(group, config, len(rows))
    run = train_teacher(prepare(group, config, cache))
    [student] = distil(run)
    return _reader(student, run.teacher, config)


def _group(rows: Sequence[MarkedFeedback], labels: tuple[str, ...]) -> Group:
    """Return the item of the reader with every text once.

    Repeated texts would fill the validation part, and the reader would never learn them.
    """
    item = Item(item_id="verdict", prompt="What does this say of the response?", scale="nominal", labels=labels)
    texts = dict.fromkeys((row.feedback, labels.index(verdict(row.item, row.marked.value))) for row in rows)
    marked = tuple(
        MarkedResponse(str(number), item.item_id, text, value, None, None, ())
        for number, (text, value) in enumerate(texts)
    )
    return Group((ItemData(item, marked, (), ()),))


def _require_texts(group: Group, config: TrainingConfig, rows: int) -> None:
    """Raise TooFewRows if the texts are too few for a validation part."""
    try:
        parts_of(group, config)
    except TooFewRows:
        texts = len(group.members[0].train)
        raise TooFewRows(
            f"the {rows} rows with feedback hold {texts} different texts, too few to train a reader of verdicts and to "
            "hold some out for validation: add rows with feedback written for the response",
            code="too_few_feedback_texts",
            rows=rows,
            texts=texts,
        ) from None


def _reader(student: DistilledStudent, teacher: Teacher | None, config: TrainingConfig) -> Reader:
    """Return the reader with the threshold, accuracy and share held back that validation gives."""
    item, held_out = student.item, student.parts.validation
    outputs = student.network.outputs([row.text for row in held_out])
    probabilities = distribution(outputs, item)  # (rows, labels)
    right = np.array([int(row.value) for row in held_out])
    is_right = np.arange(probabilities.shape[1])[None, :] == right[:, None]
    of_right = probabilities[np.arange(len(held_out)), right]
    limit = np.quantile(probabilities[~is_right], 1 - FALSE_AGREEMENT)
    threshold = max(MIN_THRESHOLD, float(limit))
    return Reader(
        files=student.files,
        settings=VerdictSettings(item=item, max_tokens=config.student.max_tokens, threshold=threshold),
        accuracy=float((probabilities.argmax(axis=1) == right).mean()),
        held_back=float((of_right < threshold).mean()),
        teacher=teacher,
    )


def verdict_agreement(reader: Reader, rows: Sequence[MarkedFeedback], texts: Sequence[str]) -> float:
    """Return the share of texts with the verdict of their score.

    The teacher reads the verdicts if there is one, because the screen that decides on texts asks the student.
    """
    outputs = reader.teacher.outputs(texts) if reader.teacher else reader.network().outputs(texts)
    labels = reader.settings.item.labels or ()
    read = [labels[number] for number in np.asarray(outputs).argmax(axis=1)]
    agrees = [
        verdict_read in verdicts(row.item, row.marked.value) for verdict_read, row in zip(read, rows, strict=True)
    ]
    return float(np.mean(agrees))
