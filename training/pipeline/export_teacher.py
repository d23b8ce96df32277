"""A fine-tuned teacher as a bundle that the service falls back on, in int8 where that scores as well."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from app.scoring.bundle import CARD, TOKENIZER
from app.scoring.decoding import decode
from app.scoring.errors import BadBundle
from app.scoring.release import versions
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
from training.bundle.provenance import is_of, provenance_of
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
from training.pipeline.prepare import Taught, teach
from training.teacher.ensemble import FineTuned
from training.teacher.onnx_export import to_onnx

LOSS = 0.01  # of the figure of merit that int8 may cost
Precision = Literal["float32", "int8"]


def export_teachers(
    items: Sequence[ItemData], models: Path, config: TrainingConfig, cache: Path
) -> Iterator[TeacherBundle]:
    """The teacher of each group of items, trained or read where it was trained before.  Raises BadConfig."""
    for group in groups(items, config.teacher.own_from):
        taught = teach(group, config, cache)
        yield export_teacher(taught, key_of([group.data_sha256(data) for data in group.members]), models, config)


def export_teacher(
    taught: Taught, data_sha256: str, models: Path, config: TrainingConfig, loss: float = LOSS
) -> TeacherBundle:
    """Write `models/_teachers/<name>/<version>`; one exported before of the same is only read.  Raises BadConfig.

    `loss`: of the figure of merit that int8 may cost.
    """
    teacher = taught.teacher
    if not isinstance(teacher, FineTuned):
        raise BadConfig(
            "only a teacher that was fine-tuned here can be exported: name another teacher.kind than api, and a "
            "distillation.soft_weight above 0",
            code="no_teacher_to_export",
        )
    title = taught.parts[0].item.item_id if len(taught.parts) == 1 else f"shared-{data_sha256[:12]}"
    if (before := _exported_before(models / TEACHERS_FOLDER / title, data_sha256, config)) is not None:
        return before
    tokenizer = teacher.tokenizer.backend_tokenizer.to_str().encode()
    between = "" if teacher.tokenizer.sep_token else "\n"
    whole = [to_onnx(member.network, teacher.tokenizer, teacher.max_tokens) for member in teacher.members]
    contents: dict[Precision, list[bytes]] = {"float32": whole, "int8": [dynamic_int8(own) for own in whole]}
    first = taught.parts[0].item
    networks = {
        precision: TeacherNetwork(tokenizer, members, teacher.max_tokens, between, first)
        for precision, members in contents.items()
    }
    found = {
        precision: [_unfitted(taught, own, network) for own in taught.parts] for precision, network in networks.items()
    }
    merit = {name: _merit(own) for name, own in found.items()}
    precision: Precision = "int8" if merit["int8"] >= merit["float32"] - loss else "float32"
    console.print(f"{title}: teacher on validation {merit['float32']:.3f}, in int8 {merit['int8']:.3f}")
    heads = choose_heads(found[precision])
    threshold = group_threshold(found[precision], heads, config)
    items = []
    for parts, head in zip(taught.parts, heads, strict=True):
        outputs = networks[precision].outputs(taught.context(parts.item), [row.text for row in parts.dev])
        items.append(
            TaughtItem(
                item=parts.item,
                context=taught.context(parts.item),
                head=head,
                threshold=threshold,
                agreement=agreement_on(parts.item, parts.dev, decode(outputs, parts.item, head)),
            )
        )
    made_at = datetime.now(UTC)
    files = {TOKENIZER: tokenizer} | dict(zip(member_names(len(whole)), contents[precision], strict=True))
    bundle = TeacherBundle(
        name=title,
        version=version(b"".join(files.values()), made_at),
        items=tuple(items),
        members=len(whole),
        max_tokens=teacher.max_tokens,
        between=between,
        precision=precision,
        merit=merit,
        provenance=provenance_of(data_sha256, config, made_at),
        sha256={},
    )
    files[CARD] = teacher_card(bundle).encode()
    folder = models / TEACHERS_FOLDER / bundle.name / bundle.version
    return write_sealed(bundle, files, TEACHER_JSON, folder, ExportedTeacher.load).bundle


def _unfitted(taught: Taught, parts: Parts, network: TeacherNetwork) -> Unfitted:
    return unfitted(parts, partial(network.outputs, taught.context(parts.item)))


def _merit(found: list[Unfitted]) -> float:
    """Return the figure of merit within items, over all of them."""
    human = np.concatenate([own.human for own in found])
    outputs = np.concatenate([own.outputs for own in found])
    items = [own.parts.item.item_id for own in found for _ in own.rows]
    return validation_metric(found[0].parts.item, human.tolist(), outputs, items)


def _exported_before(home: Path, data_sha256: str, config: TrainingConfig) -> TeacherBundle | None:
    for name in reversed(versions(home)) if home.is_dir() else ():
        try:
            bundle = ExportedTeacher.load(home / name).bundle
        except BadBundle:
            continue
        if is_of(bundle.provenance, data_sha256, config):
            return bundle
    return None
