"""A TinyBERT-class transformer (4 layers of width 312), cut out of the teacher and distilled from it as TinyBERT is.

Jiao et al. 2020 (arXiv 1909.10351): first the hidden states and attention scores of the teacher's layers, then its
predictions, both on the text that the students learn from.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.functional import mse_loss
from transformers import PreTrainedTokenizerBase

from app.scoring.decoding import Outputs
from training.common.cache import keep, key_of, seconds_of
from training.common.losses import soft_loss
from training.common.training_loop import TrainingLoop, count_batches, epoch_seed, linear_schedule
from training.compare.contest import Competitor
from training.compare.encoders import runtimes
from training.compare.pruning import is_prunable, pruned
from training.pipeline.group_run import GroupRun
from training.student.network import parameters
from training.student.training_set import TrainingSet
from training.teacher.encoder import ScoringEncoder, tokenise
from training.teacher.ensemble import FineTuned
from training.teacher.fine_tuning import outputs_of

LAYERS, BATCH, LEARNING_RATE, WARMUP = 4, 32, 1e-4, 0.1
STATES_EPOCHS, PREDICTIONS_EPOCHS = 1, 2
MAX_TEXTS = 20_000  # drawn from those of all items that share a teacher


@dataclass(frozen=True, slots=True)
class Tokens:
    """All texts of a group, each with what is read before it and the teacher's outputs."""

    contexts: tuple[str, ...]
    texts: tuple[str, ...]
    teacher: Outputs


def tiny_berts(run: GroupRun, seed: int) -> list[Competitor]:
    """One network for the group, once for each item.  None where the teacher is not built like BERT."""
    teacher = run.teacher
    if not isinstance(teacher, FineTuned):
        return []
    first = teacher.members[0].network
    large = first.merged().to(first.device)
    if not is_prunable(large.encoder, LAYERS):
        return []
    lessons = run.training_sets
    reading = _reading(lessons, [run.context(parts.item) for parts in run.parts], seed)
    settings = (STATES_EPOCHS, PREDICTIONS_EPOCHS, LAYERS, BATCH, LEARNING_RATE, MAX_TEXTS)
    folder = run.cache / "tinybert" / key_of(teacher.key, [lesson.key for lesson in lessons], settings, seed)
    network = _trained(large, teacher, reading, seed, folder, run.group.name)
    seconds = seconds_of([folder / "states", folder / "predictions"])
    made = []
    for parts in run.parts:
        context = run.context(parts.item)
        outputs = partial(_outputs, network, teacher.tokenizer, context, teacher.max_tokens)
        timed = partial(runtimes, [network], teacher.tokenizer, context, teacher.max_tokens)
        made.append(Competitor(outputs, parameters(network), seconds and seconds / len(run.parts), timed))
    return made


def _outputs(
    network: ScoringEncoder, tokenizer: PreTrainedTokenizerBase, context: str, max_tokens: int, texts: Sequence[str]
) -> Outputs:
    return outputs_of([network], tokenizer, [context] * len(texts), texts, max_tokens)


def _reading(lessons: Sequence[TrainingSet], contexts: Sequence[str], seed: int, most: int = MAX_TEXTS) -> Tokens:
    rows = [(item, row) for item, lesson in enumerate(lessons) for row in range(len(lesson.texts))]
    if len(rows) > most:
        drawn = np.random.default_rng(seed).choice(len(rows), most, replace=False)
        rows = [rows[number] for number in sorted(drawn)]
    outputs = [lesson.teacher for lesson in lessons if lesson.teacher is not None]
    return Tokens(
        tuple(contexts[item] for item, _ in rows),
        tuple(lessons[item].texts[row] for item, row in rows),
        np.stack([outputs[item][row] for item, row in rows]),
    )


def _trained(
    large: ScoringEncoder, teacher: FineTuned, reading: Tokens, seed: int, folder: Path, name: str
) -> ScoringEncoder:
    """Both stages, each kept when it is done."""
    torch.manual_seed(seed)
    count = len(large.encoder.encoder.layer)  # type: ignore[union-attr, arg-type]
    matched = [int(number * count / LAYERS + 0.5) for number in range(1, LAYERS + 1)]  # the teacher's, from 1
    network = _small(large, matched)
    states, predictions = folder / "states", folder / "predictions"

    def with_states() -> dict[str, Tensor]:
        _learn_states(network, large, matched, teacher, reading, seed, name)
        return network.state_dict()

    def with_predictions() -> dict[str, Tensor]:
        network.load_state_dict(load_file(states))
        _learn_predictions(network, teacher, reading, seed, name)
        return network.state_dict()

    keep(states, with_states, _save)
    keep(predictions, with_predictions, _save)
    network.load_state_dict(load_file(predictions))
    return network.eval()


def _save(path: Path, weights: dict[str, Tensor]) -> None:
    save_file(weights, path)


def _small(large: ScoringEncoder, matched: Sequence[int]) -> ScoringEncoder:
    """The matched layers, and the part of the output layer that reads the units that are kept."""
    small = copy.deepcopy(large)
    small.encoder, units = pruned(large.encoder, [number - 1 for number in matched])
    small.head.weight = nn.Parameter(large.head.weight[:, units].detach().clone())
    small.head.in_features = len(units)
    return small


def _learn_states(
    network: ScoringEncoder,
    large: ScoringEncoder,
    matched: Sequence[int],
    teacher: FineTuned,
    reading: Tokens,
    seed: int,
    name: str,
) -> None:
    """Mean squared error of embeddings, hidden states and attention scores against those of the matched layers."""
    projection = nn.Linear(network.head.in_features, large.head.in_features, bias=False, device=network.device)
    wide = [*network.parameters(), *projection.parameters()]
    large.eval()

    def loss(tokens: dict[str, Tensor], _: Tensor) -> Tensor:
        with torch.no_grad():
            wanted = large.hidden_states(tokens)
        own = network.hidden_states(tokens)
        mask = tokens["attention_mask"].to(network.device).bool()
        total = mse_loss(projection(own[0])[mask], wanted[0][mask])
        for layer, target in enumerate(matched, start=1):
            total = total + mse_loss(projection(own[layer])[mask], wanted[target][mask])
            mine = _attention_scores(network.encoder, layer, own, mask)
            with torch.no_grad():
                theirs = _attention_scores(large.encoder, target, wanted, mask)
            total = total + mse_loss(mine, theirs)
        return total

    _learn(network, wide, loss, teacher, reading, STATES_EPOCHS, seed, f"{name}: TinyBERT's states")


def _attention_scores(encoder: Any, layer: int, states: Sequence[Tensor], mask: Tensor) -> Tensor:
    """(batch · heads, tokens, tokens) before the softmax, 0 where there is padding.  Layers count from 1."""
    own, hidden = encoder.encoder.layer[layer - 1].attention.self, states[layer - 1]
    batch, tokens, _ = hidden.shape
    query, key = (
        part(hidden).view(batch, tokens, own.num_attention_heads, -1).transpose(1, 2) for part in (own.query, own.key)
    )
    scores: Tensor = query @ key.transpose(2, 3) * own.scaling
    return scores * (mask[:, None, :, None] & mask[:, None, None, :])


def _learn_predictions(network: ScoringEncoder, teacher: FineTuned, reading: Tokens, seed: int, name: str) -> None:
    def loss(tokens: dict[str, Tensor], wanted: Tensor) -> Tensor:
        return soft_loss(network(tokens), wanted, 1.0, network.head.continuous)

    stage = f"{name}: TinyBERT's predictions"
    _learn(network, [*network.parameters()], loss, teacher, reading, PREDICTIONS_EPOCHS, seed, stage)


def _learn(
    network: ScoringEncoder,
    learnt: list[nn.Parameter],
    loss: Callable[[dict[str, Tensor], Tensor], Tensor],
    teacher: FineTuned,
    reading: Tokens,
    epochs: int,
    seed: int,
    name: str,
) -> None:
    lengths = [len(context) + len(text) for context, text in zip(reading.contexts, reading.texts, strict=True)]
    optimizer = torch.optim.AdamW(learnt, lr=LEARNING_RATE, weight_decay=0.01, fused=True)
    steps = epochs * count_batches(len(lengths), BATCH)
    loop = TrainingLoop(optimizer, linear_schedule(optimizer, steps, WARMUP), lengths, BATCH, seed, max_norm=1.0)
    wanted = torch.from_numpy(reading.teacher).to(network.device)

    def loss_of(rows: list[int]) -> Tensor:
        contexts, texts = [reading.contexts[row] for row in rows], [reading.texts[row] for row in rows]
        return loss(tokenise(teacher.tokenizer, contexts, texts, teacher.max_tokens), wanted[rows])

    network.train()
    for epoch in range(1, epochs + 1):
        torch.manual_seed(epoch_seed(seed, epoch))
        loop.run_epoch(epoch, loss_of, description=f"{name}, epoch {epoch}/{epochs}")
