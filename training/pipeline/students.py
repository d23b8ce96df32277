"""The steps from training sets to students that can be measured: distil, then choose on held-out rows."""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

from app.scoring.bundle import Bundle, Head
from app.scoring.conditions import Limits
from app.scoring.featurizer import Ids
from app.scoring.item import Item
from app.scoring.network import Network
from app.scoring.student import Student
from training.bundle.provenance import provenance_of
from training.bundle.write import version_of
from training.calibration.choose import Unfitted, choose_heads, group_threshold, unfitted
from training.calibration.condition_limits import learn_limits
from training.data.responses import MarkedResponse
from training.data.splits import Parts
from training.pipeline.group_run import GroupRun, ItemRun
from training.pipeline.out_of_fold import out_of_fold
from training.student.build import StudentFiles, make_students


@dataclass(frozen=True, slots=True)
class DistilledStudent:
    """A student's files and its open network, before any choice about its outputs."""

    item_run: ItemRun
    files: StudentFiles
    network: Network

    @property
    def item(self) -> Item:
        """Return the item that the student scores."""
        return self.item_run.item

    @property
    def parts(self) -> Parts:
        """Return the rows of the student's item in parts."""
        return self.item_run.parts


@dataclass(frozen=True)
class Candidate:
    """A student that can score, under a draft of its bundle: all but the measured figures."""

    item_run: ItemRun
    files: StudentFiles
    student: Student

    @property
    def item(self) -> Item:
        """Return the item that the student scores."""
        return self.item_run.item

    @property
    def draft(self) -> Bundle:
        """Return the bundle without measured figures."""
        return self.student.bundle

    @cached_property
    def scored_dev(self) -> list[MarkedResponse]:
        """Return the item's dev rows that no condition keeps from the student."""
        rows = self.item_run.parts.dev
        read = self.student.read([row.text for row in rows])
        return [row for row, ids in zip(rows, read, strict=True) if self._is_scored(row.text, ids)]

    def _is_scored(self, text: str, ids: Ids) -> bool:
        return self.student.examine(text, ids).condition is None


@dataclass(frozen=True, slots=True)
class _Choices:
    """Values chosen on held-out rows, and the limits of conditions and flags."""

    head: Head
    threshold: float | None
    limits: Limits


def distil(run: GroupRun) -> list[DistilledStudent]:
    """Return a student for each item of the run, in order.  Raise OverBudget and NoParity."""
    items = [item_run.item for item_run in run.items]
    student_files = make_students(items, run.training_sets, run.tokenizer, run.config, run.cache)
    return [_opened(item_run, files, run) for item_run, files in zip(run.items, student_files, strict=True)]


def held_out(run: GroupRun, students: list[DistilledStudent]) -> list[Unfitted]:
    """Return each student's outputs for the validation rows, and the out-of-fold outputs where a run has them."""
    fit_outputs = out_of_fold(run)
    return [unfitted(student.parts, student.network.outputs, fit_outputs) for student in students]


def calibrate(run: GroupRun, students: list[DistilledStudent]) -> list[Candidate]:
    """Return the students with head, threshold and limits, chosen on rows that no student was fitted to."""
    outputs = held_out(run, students)
    heads = choose_heads(outputs)
    threshold = group_threshold(outputs, heads, run.config)
    limits = learn_limits(run.parts, run.tokenizer, run.config.student.max_tokens)
    choices = [_Choices(head, threshold, limit) for head, limit in zip(heads, limits, strict=True)]
    return [_candidate(run, student, chosen) for student, chosen in zip(students, choices, strict=True)]


def _opened(item_run: ItemRun, files: StudentFiles, run: GroupRun) -> DistilledStudent:
    return DistilledStudent(item_run, files, files.network(item_run.item, run.config.student.max_tokens))


def _candidate(run: GroupRun, student: DistilledStudent, chosen: _Choices) -> Candidate:
    made_at = datetime.now(UTC)
    draft = Bundle(
        version=version_of(student.files, made_at),
        item=student.item,
        head=chosen.head,
        max_tokens=run.config.student.max_tokens,
        limits=chosen.limits,
        flagged={},
        threshold=chosen.threshold,
        parameters=student.files.parameters,
        agreement=None,
        policy=run.config.release,
        provenance=provenance_of(run.group.data_sha256(student.item_run.data), run.config, made_at),
        sha256={},
    )
    return Candidate(student.item_run, student.files, Student(draft, student.network, ""))
