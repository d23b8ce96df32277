"""The teacher: encoders fine-tuned on the marked responses of one item, or of all items that share it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from safetensors.torch import load_file
from torch import nn
from transformers import PreTrainedTokenizerBase

from app.scoring.decoding import Outputs
from app.scoring.item import Item
from training.common.cache import key_of, seconds_of
from training.common.hardware import device
from training.config import TeacherConfig
from training.data.targets import Example
from training.errors import NoWeights
from training.teacher.adapters import with_adapters
from training.teacher.base_models import fingerprint
from training.teacher.encoder import ScoringEncoder, check_length, keep_less, load_base
from training.teacher.fine_tuning import HISTORY, WEIGHTS, FineTuning, fine_tune, outputs_of

# Settings that a member's weights do not depend on, or that follow from others.
NOT_LEARNT_BY = ("members", "own_from", "shared_min_steps", "precision", "checkpointing", "api")


@dataclass(frozen=True, slots=True)
class Member:
    """A fine-tuned network of a teacher."""

    network: ScoringEncoder
    history: tuple[float, ...]  # the validation figure after each epoch; the best epoch's weights are kept
    seconds: float | None  # of its training


class Teacher(Protocol):
    """A model that gives every text a distribution over an item's scores, or mean and variance of a grade."""

    @property
    def key(self) -> str:
        """Return a hash of everything that its outputs depend on."""

    @property
    def columns(self) -> int:
        """Return the number of output columns."""

    @property
    def keeps_answers(self) -> bool:
        """Return whether the teacher caches its answers itself, so that no other cache may hold them."""

    def outputs(self, texts: Sequence[str], context: str = "") -> Outputs:
        """Return (texts, columns) in the order given.  `context` is read before each text."""


@dataclass(frozen=True, slots=True)
class FineTuned:
    """A teacher of encoders that were fine-tuned here."""

    key: str
    members: tuple[Member, ...]
    tokenizer: PreTrainedTokenizerBase
    max_tokens: int

    @property
    def columns(self) -> int:
        """Return the number of output columns."""
        return self.members[0].network.head.out_features

    @property
    def keeps_answers(self) -> bool:
        """Return False: outputs are cached in chunks of texts."""
        return False

    def outputs(self, texts: Sequence[str], context: str = "") -> Outputs:
        """Return (texts, columns) in the order given: the mixture of the members' distributions."""
        networks = [member.network for member in self.members]
        return outputs_of(networks, self.tokenizer, [context] * len(texts), texts, self.max_tokens)


def fine_tuned(
    item: Item,
    fit: Sequence[Example],
    validation: Sequence[Example],
    config: TeacherConfig,
    seed: int,
    cache: Path,
    name: str,
) -> FineTuned:
    """Return a teacher of members that differ in their seed alone.

    `item` stands for all items whose responses are read: they share a scale.  Training is checkpointed under `cache`: a
    killed run goes on from the last epoch, and a finished member is only read.  Raise NoWeights.
    """
    rows = [[(row.context, row.text, row.target) for row in part] for part in (fit, validation)]
    settings = learnt_by(config)
    members, keys = [], []
    for number in range(config.members):
        member_seed = 1000 * seed + number
        keys.append(key_of("teacher", item.scale, item.choices, rows, settings, member_seed))
        folder = cache / "teachers" / keys[-1]
        tokenizer, network = _network(item, config, member_seed)
        if not (folder / HISTORY).is_file():
            title = f"{name}: teacher {number + 1}/{config.members}"
            fine_tune(FineTuning(network, tokenizer, item, fit, validation, config, member_seed, folder, title))
        members.append(_read_member(network, folder))
    return FineTuned(key_of(keys), tuple(members), tokenizer, config.max_tokens)


def _read_member(network: ScoringEncoder, folder: Path) -> Member:
    """Return the member with its trained weights.  Frozen weights are the base's, and not in the file."""
    loaded = network.load_state_dict(load_file(folder / WEIGHTS), strict=False)
    if loaded.unexpected_keys or network.learnt.keys() & set(loaded.missing_keys):
        raise NoWeights(f"{folder} holds another network's weights: delete it", code="foreign_weights", folder=folder)
    history = json.loads((folder / HISTORY).read_text())
    return Member(network, tuple(history), seconds_of([folder / WEIGHTS]))


def learnt_by(config: TeacherConfig) -> dict[str, object]:
    """Return the settings that a member's weights depend on, the base by its content."""
    adaptation = {"kind", "adapter_rank", "adapter_learning_rate"}
    settings = config.model_dump(exclude={*NOT_LEARNT_BY, *adaptation})
    settings |= {"base": fingerprint(config.base)}
    settings |= config.model_dump(include=adaptation) if config.has_adapters else {}
    return settings | ({"precision": config.precision} if config.precision != "float32" else {})


def _network(item: Item, config: TeacherConfig, seed: int) -> tuple[PreTrainedTokenizerBase, ScoringEncoder]:
    tokenizer, encoder = load_base(config.base, config.kind == "qlora", config.in_bfloat16)
    torch.manual_seed(seed)
    return tokenizer, as_teacher(encoder, item, config).to(device())


def as_teacher(encoder: nn.Module, item: Item, config: TeacherConfig) -> ScoringEncoder:
    """Return the network that will be trained: a base with adapters, if any, and an output layer.  Raise BadConfig."""
    check_length(encoder.config, config.max_tokens)
    if config.checkpointing:
        keep_less(encoder)
    if config.has_adapters:
        encoder = with_adapters(encoder, config.adapter_rank, config.dropout)
    return ScoringEncoder(encoder, item, config.dropout, config.in_bfloat16)
