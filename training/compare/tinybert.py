"""A TinyBERT-class transformer (4 layers of width 312), pruned from the teacher and distilled as TinyBERT is.

Jiao et al. 2020 (arXiv 1909.10351): the network first learns the hidden states and attention scores of the teacher's
layers, then the teacher's predictions, both on the texts that students are trained on.
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
MAX_TEXTS = 20_000  # drawn from all items that share a teacher


@dataclass(frozen=True, slots=True)
class Tokens:
    """The texts of a group, each with its context and the teacher's outputs."""

    contexts: tuple[str, ...]
    texts: tuple[str, ...]
    teacher: Outputs


def tiny_berts(run: GroupRun, seed: int) -> list[Competitor]:
    """Return the group's network as a competitor on each item; nothing if the teacher is not built like BERT."""
    teacher = run.teacher
    if not isinstance(teacher, FineTuned):
        return []
    first = teacher.members[0].network
    large = first.merged().to(first.device)
    if not is_prunable(large.encoder, LAYERS):
        return []
    training_sets = run.training_sets
    tokens = _tokens(training_sets, [run.context(parts.item) for parts in run.parts], seed)
    settings = (STATES_EPOCHS, PREDICTIONS_EPOCHS, LAYERS, BATCH, LEARNING_RATE, MAX_TEXTS)
    key = key_of(teacher.key, [training_set.key for training_set in training_sets], settings, seed)
    folder = run.cache / "tinybert" / key
    network = _trained(large, teacher, tokens, seed, folder, run.group.name)
    seconds = seconds_of([folder / "states", folder / "predictions"])
    competitors = []
    for parts in run.parts:
        context = run.context(parts.item)
        outputs = partial(_outputs, network, teacher.tokenizer, context, teacher.max_tokens)
        timed = partial(runtimes, [network], teacher.tokenizer, context, teacher.max_tokens)
        share = seconds and seconds / len(run.parts)
        competitors.append(Competitor(outputs, parameters(network), share, timed))
    return competitors


def _outputs(
    network: ScoringEncoder, tokenizer: PreTrainedTokenizerBase, context: str, max_tokens: int, texts: Sequence[str]
) -> Outputs:
    return outputs_of([network], tokenizer, [context] * len(texts), texts, max_tokens)


def _tokens(training_sets: Sequence[TrainingSet], contexts: Sequence[str], seed: int, limit: int = MAX_TEXTS) -> Tokens:
    """Return the texts of all items, or `limit` of them, drawn at random."""
    rows = [(item, row) for item, training_set in enumerate(training_sets) for row in range(len(training_set.texts))]
    if len(rows) > limit:
        drawn = np.random.default_rng(seed).choice(len(rows), limit, replace=False)
        rows = [rows[number] for number in sorted(drawn)]
    outputs = [training_set.teacher for training_set in training_sets if training_set.teacher is not None]
    return Tokens(
        tuple(contexts[item] for item, _ in rows),
        tuple(training_sets[item].texts[row] for item, row in rows),
        np.stack([outputs[item][row] for item, row in rows]),
    )


def _trained(
    large: ScoringEncoder, teacher: FineTuned, tokens: Tokens, seed: int, folder: Path, name: str
) -> ScoringEncoder:
    """Return the network after both stages; each stage is cached when it is done."""
    torch.manual_seed(seed)
    count = len(large.encoder.encoder.layer)  # type: ignore[union-attr, arg-type]
    matched = [int(number * count / LAYERS + 0.5) for number in range(1, LAYERS + 1)]  # the teacher's layers, from 1
    network = _small(large, matched)
    states, predictions = folder / "states", folder / "predictions"

    def with_states() -> dict[str, Tensor]:
        _learn_states(network, large, matched, teacher, tokens, seed, name)
        return network.state_dict()

    def with_predictions() -> dict[str, Tensor]:
        network.load_state_dict(load_file(states))
        _learn_predictions(network, teacher, tokens, seed, name)
        return network.state_dict()

    keep(states, with_states, _save)
    keep(predictions, with_predictions, _save)
    network.load_state_dict(load_file(predictions))
    return network.eval()


def _save(path: Path, weights: dict[str, Tensor]) -> None:
    save_file(weights, path)


def _small(large: ScoringEncoder, matched: Sequence[int]) -> ScoringEncoder:
    """Return a network of the matched layers, with the part of the output layer that reads the units kept."""
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
    tokens: Tokens,
    seed: int,
    name: str,
) -> None:
    """Train on the mean squared error of embeddings, hidden states and attention scores of the matched layers."""
    projection = nn.Linear(network.head.in_features, large.head.in_features, bias=False, device=network.device)
    trained = [*network.parameters(), *projection.parameters()]
    large.eval()

    def loss(batch: dict[str, Tensor], _: Tensor) -> Tensor:
        with torch.no_grad():
            of_teacher = large.hidden_states(batch)
        states = network.hidden_states(batch)
        mask = batch["attention_mask"].to(network.device).bool()
        total = mse_loss(projection(states[0])[mask], of_teacher[0][mask])
        for layer, target in enumerate(matched, start=1):
            total = total + mse_loss(projection(states[layer])[mask], of_teacher[target][mask])
            scores = _attention_scores(network.encoder, layer, states, mask)
            with torch.no_grad():
                wanted = _attention_scores(large.encoder, target, of_teacher, mask)
            total = total + mse_loss(scores, wanted)
        return total

    _learn(network, trained, loss, teacher, tokens, STATES_EPOCHS, seed, f"{name}: TinyBERT's states")


def _attention_scores(encoder: Any, layer: int, states: Sequence[Tensor], mask: Tensor) -> Tensor:
    """Return (batch, heads, tokens, tokens): scores before the softmax, 0 for padding.  Layers count from 1."""
    attention, hidden = encoder.encoder.layer[layer - 1].attention.self, states[layer - 1]
    batch, tokens, _ = hidden.shape
    query, key = (
        part(hidden).view(batch, tokens, attention.num_attention_heads, -1).transpose(1, 2)
        for part in (attention.query, attention.key)
    )
    scores: Tensor = query @ key.transpose(2, 3) * attention.scaling
    return scores * (mask[:, None, :, None] & mask[:, None, None, :])


def _learn_predictions(network: ScoringEncoder, teacher: FineTuned, tokens: Tokens, seed: int, name: str) -> None:
    def loss(batch: dict[str, Tensor], wanted: Tensor) -> Tensor:
        return soft_loss(network(batch), wanted, 1.0, network.head.continuous)

    stage = f"{name}: TinyBERT's predictions"
    _learn(network, [*network.parameters()], loss, teacher, tokens, PREDICTIONS_EPOCHS, seed, stage)


def _learn(
    network: ScoringEncoder,
    trained: list[nn.Parameter],
    loss: Callable[[dict[str, Tensor], Tensor], Tensor],
    teacher: FineTuned,
    tokens: Tokens,
    epochs: int,
    seed: int,
    name: str,
) -> None:
    lengths = [len(context) + len(text) for context, text in zip(tokens.contexts, tokens.texts, strict=True)]
    optimizer = torch.optim.AdamW(trained, lr=LEARNING_RATE, weight_decay=0.01, fused=True)
    steps = epochs * count_batches(len(lengths), BATCH)
    loop = TrainingLoop(optimizer, linear_schedule(optimizer, steps, WARMUP), lengths, BATCH, seed, max_norm=1.0)
    wanted = torch.from_numpy(tokens.teacher).to(network.device)

    def loss_of(rows: list[int]) -> Tensor:
        contexts, texts = [tokens.contexts[row] for row in rows], [tokens.texts[row] for row in rows]
        return loss(tokenise(teacher.tokenizer, contexts, texts, teacher.max_tokens), wanted[rows])

    network.train()
    for epoch in range(1, epochs + 1):
        torch.manual_seed(epoch_seed(seed, epoch))
        loop.run_epoch(epoch, loss_of, description=f"{name}, epoch {epoch}/{epochs}")
