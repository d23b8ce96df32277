"""Export fine-tuned teachers as bundles that the service falls back on, in int8 where int8 scores as well."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from app.scoring.bundle import CARD, TOKENIZER, Head
from app.scoring.decoding import decode
from app.scoring.teacher import (
    TEACHER_JSON,
    TEACHERS_FOLDER,
    ExportedTeacher,
    TaughtItem,
    TeacherBundle,
    TeacherNetwork,
    member_names,
)
from training.bundle.card import teacher_card
from training.bundle.provenance import provenance_of
from training.bundle.write import version, write_sealed
from training.calibration.choose import Unfitted, choose_heads, group_threshold, unfitted
from training.common.cache import key_of
from training.common.progress import console
from training.common.quantise import dynamic_int8
from training.common.validation_metric import validation_metric
from training.config import TrainingConfig
from training.data import ItemData
from training.data.item_groups import groups
from training.data.splits import Parts
from training.errors import BadConfig
from training.evaluation.agreement import agreement_on
from training.pipeline.group_run import GroupRun
from training.pipeline.prepare import prepare, train_teacher
from training.pipeline.release import earlier_bundle
from training.teacher.ensemble import FineTuned
from training.teacher.onnx_export import to_onnx

MAX_INT8_LOSS = 0.01  # of the validation metric
Precision = Literal["float32", "int8"]


@dataclass(frozen=True, slots=True)
class _Export:
    """A teacher's ONNX files in one precision, opened, with its outputs on every item's validation rows."""

    tokenizer: bytes
    between: str  # context and response
    members: list[bytes]
    network: TeacherNetwork
    validated: list[Unfitted]

    @property
    def metric(self) -> float:
        """Return the validation metric within items, over all of them."""
        human = np.concatenate([item.human for item in self.validated])
        outputs = np.concatenate([item.outputs for item in self.validated])
        items = [item.parts.item.item_id for item in self.validated for _ in item.rows]
        return validation_metric(self.validated[0].parts.item, human.tolist(), outputs, items)

    @property
    def files(self) -> dict[str, bytes]:
        """Return the content of tokenizer and networks by file name."""
        names = member_names(len(self.members))
        return {TOKENIZER: self.tokenizer, **dict(zip(names, self.members, strict=True))}


def export_teachers(
    items: Sequence[ItemData], models: Path, config: TrainingConfig, cache: Path
) -> Iterator[TeacherBundle]:
    """Yield the exported teacher of each group of items, trained now or read from the cache.  Raise BadConfig."""
    for group in groups(items, config.teacher.own_from):
        run = train_teacher(prepare(group, config, cache))
        data_hashes = [group.data_sha256(data) for data in group.members]
        yield export_teacher(run, key_of(data_hashes), models)


def export_teacher(
    run: GroupRun, data_sha256: str, models: Path, max_int8_loss: float = MAX_INT8_LOSS
) -> TeacherBundle:
    """Write `models/_teachers/<name>/<version>`, or read the bundle of an earlier export of the same teacher.

    The int8 networks are taken if they lose no more than `max_int8_loss` of the validation metric.  Raise BadConfig for
    a teacher that was not fine-tuned here.
    """
    teacher = _exportable(run)
    name = run.items[0].item.item_id
    if len(run.items) > 1:
        name = f"shared-{data_sha256[:12]}"
    folder = models / TEACHERS_FOLDER / name
    if (earlier := earlier_bundle(folder, _load, data_sha256, run.config)) is not None:
        return earlier
    # Read first: the tokenizer of transformers keeps the padding of its last call, which the export makes.
    tokenizer = teacher.tokenizer.backend_tokenizer.to_str().encode()
    whole = [to_onnx(member.network, teacher.tokenizer, teacher.max_tokens) for member in teacher.members]
    exports: dict[Precision, _Export] = {
        "float32": _export(run, teacher, tokenizer, whole),
        "int8": _export(run, teacher, tokenizer, [dynamic_int8(content) for content in whole]),
    }
    metrics = {precision: export.metric for precision, export in exports.items()}
    precision: Precision = "int8" if metrics["int8"] >= metrics["float32"] - max_int8_loss else "float32"
    console.print(f"{name}: teacher on validation {metrics['float32']:.3f}, in int8 {metrics['int8']:.3f}")
    chosen, made_at = exports[precision], datetime.now(UTC)
    bundle = TeacherBundle(
        name=name,
        version=version(b"".join(chosen.files.values()), made_at),
        items=_exported_items(run, chosen),
        members=len(whole),
        max_tokens=teacher.max_tokens,
        between=chosen.between,
        precision=precision,
        merit=metrics,
        provenance=provenance_of(data_sha256, run.config, made_at),
        sha256={},
    )
    files = chosen.files | {CARD: teacher_card(bundle).encode()}
    return write_sealed(bundle, files, TEACHER_JSON, folder / bundle.version, ExportedTeacher.load).bundle


def _exportable(run: GroupRun) -> FineTuned:
    if not isinstance(run.teacher, FineTuned):
        raise BadConfig(
            "only a teacher that was fine-tuned here can be exported: name another teacher.kind than api, and a "
            "distillation.soft_weight above 0",
            code="no_teacher_to_export",
        )
    return run.teacher


def _export(run: GroupRun, teacher: FineTuned, tokenizer: bytes, members: list[bytes]) -> _Export:
    between = "" if teacher.tokenizer.sep_token else "\n"
    network = TeacherNetwork(tokenizer, members, teacher.max_tokens, between, run.items[0].item)
    validated = [unfitted(parts, partial(network.outputs, run.context(parts.item))) for parts in run.parts]
    return _Export(tokenizer, between, members, network, validated)


def _exported_items(run: GroupRun, export: _Export) -> tuple[TaughtItem, ...]:
    """Return the items with the heads, the threshold and the agreement on dev of the exported networks."""
    heads = choose_heads(export.validated)
    threshold = group_threshold(export.validated, heads, run.config)
    items = zip(run.parts, heads, strict=True)
    return tuple(_exported_item(run, export, parts, head, threshold) for parts, head in items)


def _exported_item(run: GroupRun, export: _Export, parts: Parts, head: Head, threshold: float | None) -> TaughtItem:
    item, context = parts.item, run.context(parts.item)
    outputs = export.network.outputs(context, [row.text for row in parts.dev])
    agreement = agreement_on(item, parts.dev, decode(outputs, item, head))
    return TaughtItem(item=item, context=context, head=head, threshold=threshold, agreement=agreement)


def _load(folder: Path) -> TeacherBundle:
    return ExportedTeacher.load(folder).bundle
