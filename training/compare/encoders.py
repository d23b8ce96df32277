"""The teacher as a competitor, and the runtimes of encoders: ONNX in float32 and int8."""

from collections.abc import Sequence
from functools import partial

import numpy as np
from transformers import PreTrainedTokenizerBase

from app.scoring.decoding import Outputs
from app.scoring.teacher import mixture
from training.common.quantise import dynamic_int8
from training.compare.contest import Competitor, Runtime
from training.pipeline.group_run import GroupRun, ItemRun
from training.student.network import parameters
from training.teacher.encoder import ScoringEncoder
from training.teacher.ensemble import FineTuned, Teacher
from training.teacher.onnx_export import OnnxEncoder, to_onnx
from training.teacher.soft_labels import teacher_outputs


def teachers(run: GroupRun, _: int) -> list[Competitor]:
    """Return the group's teacher as a competitor on each item; nothing if there is no teacher."""
    teacher = run.teacher
    if teacher is None:
        return []
    return [_competitor(run, teacher, item_run) for item_run in run.items]


def _competitor(run: GroupRun, teacher: Teacher, item_run: ItemRun) -> Competitor:
    context = run.context(item_run.item)
    outputs = partial(_labelled, teacher, context, f"{item_run.item.item_id}: teacher", run)
    if not isinstance(teacher, FineTuned):
        return Competitor(outputs, 0, None, list)
    networks = [member.network for member in teacher.members]
    member_seconds = [member.seconds for member in teacher.members]
    seconds = None if None in member_seconds else sum(filter(None, member_seconds)) / len(run.items)
    make_runtimes = partial(runtimes, networks, teacher.tokenizer, context, teacher.max_tokens)
    return Competitor(outputs, sum(map(parameters, networks)), seconds, make_runtimes)


def _labelled(teacher: Teacher, context: str, name: str, run: GroupRun, texts: Sequence[str]) -> Outputs:
    return teacher_outputs(teacher, context, texts, name, run.cache)


def runtimes(
    networks: Sequence[ScoringEncoder], tokenizer: PreTrainedTokenizerBase, context: str, max_tokens: int
) -> list[Runtime]:
    """Return the runtimes in float32 and int8; several networks run as their mixture."""
    exported = [to_onnx(network, tokenizer, max_tokens) for network in networks]
    quantised = [dynamic_int8(content) for content in exported]
    continuous = networks[0].head.continuous
    ready = []
    for name, contents in (("float32", exported), ("int8", quantised)):
        encoders = [OnnxEncoder(content, tokenizer, max_tokens) for content in contents]
        size = sum(encoder.bytes for encoder in encoders)
        ready.append(Runtime(name, size, partial(_mixed, encoders, context, continuous)))
    return ready


def _mixed(encoders: Sequence[OnnxEncoder], context: str, continuous: bool, texts: Sequence[str]) -> Outputs:
    contexts = [context] * len(texts)
    members = np.stack([encoder.outputs(contexts, texts) for encoder in encoders])
    return mixture(members, continuous)
