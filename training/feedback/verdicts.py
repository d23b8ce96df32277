"""The tiny student that reads from a text what it says of a response, and the teacher that taught it.

It is a scorelet student like any other: its responses are raters' feedback, its labels the verdicts of their scores.
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
from training.pipeline.students import distil
from training.student.build import StudentFiles
from training.teacher.ensemble import Teacher

PASSED = 0.05  # share of texts under a wrong score that may pass for agreeing with it
LEAST = 0.5  # probability of a verdict: below it another is likelier


@dataclass(frozen=True, slots=True)
class Reader:
    files: StudentFiles
    settings: VerdictSettings
    accuracy: float  # of the most probable verdict, on raters' feedback it did not learn from
    held_back: float  # share of that feedback that would not have been shown
    teacher: Teacher | None

    def network(self) -> Network:
        return self.files.network(self.settings.item, self.settings.max_tokens)


def verdict_reader(rows: Sequence[MarkedFeedback], config: TrainingConfig, cache: Path) -> Reader:
    """Raises TooFewRows where all responses have one verdict."""
    labels = tuple(sorted({verdict(row.item, row.marked.value) for row in rows}))
    if len(labels) < 2:
        raise TooFewRows(
            f"all {len(rows)} rows with feedback have the same verdict ({', '.join(labels)}), so that no reader of "
            "verdicts can learn to tell them apart: add rows with other scores",
            code="one_verdict",
            rows=len(rows),
        )
    item = Item(item_id="verdict", prompt="What does this say of the response?", scale="nominal", labels=labels)
    # Each text once: what raters said a hundred times would fill the validation part, and never be learnt.
    said = dict.fromkeys((row.feedback, labels.index(verdict(row.item, row.marked.value))) for row in rows)
    marked = tuple(
        MarkedResponse(str(number), item.item_id, text, value, None, None, ())
        for number, (text, value) in enumerate(said)
    )
    group = Group((ItemData(item, marked, (), ()),))
    try:
        parts_of(group, config)
    except TooFewRows:
        raise TooFewRows(
            f"the {len(rows)} rows with feedback hold {len(marked)} different feedback texts, too few to learn to read "
            "verdicts from: a validation part must be carved from them. Add rows whose feedback is written for the "
            "response",
            code="too_few_feedback_texts",
            rows=len(rows),
            texts=len(marked),
        ) from None
    run = train_teacher(prepare(group, config, cache))
    [student] = distil(run)
    held = student.parts.validation
    read = distribution(student.network.outputs([row.text for row in held]), item)  # (rows, labels)
    right = np.array([int(row.value) for row in held])
    own = read[np.arange(len(held)), right]
    wrong = read[np.arange(len(labels))[None, :] != right[:, None]]
    threshold = max(LEAST, float(np.quantile(wrong, 1 - PASSED)))
    return Reader(
        files=student.files,
        settings=VerdictSettings(item=item, max_tokens=config.student.max_tokens, threshold=threshold),
        accuracy=float((read.argmax(axis=1) == right).mean()),
        held_back=float((own < threshold).mean()),
        teacher=run.teacher,
    )


def agreement(reader: Reader, rows: Sequence[MarkedFeedback], texts: Sequence[str]) -> float:
    """Share of texts that say of their response what its score says: as read by the teacher, whom the screen that
    decides what is shown does not ask; by the student where it had none.
    """
    outputs = reader.teacher.outputs(texts) if reader.teacher else reader.network().outputs(texts)
    labels = reader.settings.item.labels or ()
    said = [labels[number] for number in np.asarray(outputs).argmax(axis=1)]
    return float(np.mean([own in verdicts(row.item, row.marked.value) for own, row in zip(said, rows, strict=True)]))
