"""The teacher as a competitor, and what it shares with any other encoder: export, int8, timing."""

from collections.abc import Sequence
from functools import partial

import numpy as np
from transformers import PreTrainedTokenizerBase

from app.scoring.decoding import Outputs
from app.scoring.teacher import mixture
from training.common.quantise import dynamic_int8
from training.compare.contest import Competitor, Runtime
from training.pipeline.group_run import GroupRun
from training.student.network import parameters
from training.teacher.encoder import ScoringEncoder
from training.teacher.ensemble import FineTuned, Teacher
from training.teacher.onnx_export import OnnxEncoder, to_onnx
from training.teacher.soft_labels import teacher_outputs


def teachers(run: GroupRun, _: int) -> list[Competitor]:
    """One teacher, once for each item that it teaches."""
    teacher = run.teacher
    if teacher is None:
        return []
    members = teacher.members if isinstance(teacher, FineTuned) else ()
    seconds = [member.seconds for member in members]
    networks = [member.network for member in members]
    made = []
    for parts in run.parts:
        context, name = run.context(parts.item), f"{parts.item.item_id}: teacher"
        made.append(
            Competitor(
                partial(_labelled, teacher, context, name, run),
                sum(map(parameters, networks)),
                sum(filter(None, seconds)) / len(run.parts) if seconds and None not in seconds else None,
                partial(runtimes, networks, teacher.tokenizer, context, teacher.max_tokens)
                if isinstance(teacher, FineTuned)
                else list,
            )
        )
    return made


def _labelled(teacher: Teacher, context: str, name: str, run: GroupRun, texts: Sequence[str]) -> Outputs:
    return teacher_outputs(teacher, context, texts, name, run.cache)


def runtimes(
    networks: Sequence[ScoringEncoder], tokenizer: PreTrainedTokenizerBase, context: str, max_tokens: int
) -> list[Runtime]:
    """In float32 and in int8, by onnxruntime; of several networks the mixture."""
    whole = [to_onnx(network, tokenizer, max_tokens) for network in networks]
    continuous = networks[0].head.continuous
    made = []
    for name, contents in (("float32", whole), ("int8", [dynamic_int8(content) for content in whole])):
        encoders = [OnnxEncoder(content, tokenizer, max_tokens) for content in contents]
        size = sum(encoder.bytes for encoder in encoders)
        made.append(Runtime(name, size, partial(_mixed, encoders, context, continuous)))
    return made


def _mixed(encoders: Sequence[OnnxEncoder], context: str, continuous: bool, texts: Sequence[str]) -> Outputs:
    contexts = [context] * len(texts)
    each = np.stack([encoder.outputs(contexts, texts) for encoder in encoders])
    return mixture(each, continuous)
