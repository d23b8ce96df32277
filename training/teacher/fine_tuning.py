"""Fine-tuning one encoder on marked responses: checkpointed after every epoch, the best epoch kept."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from transformers import PreTrainedTokenizerBase

from app.scoring.decoding import Outputs
from app.scoring.item import Item
from app.scoring.teacher import mixture
from training.common.batches import shuffled_batches, sorted_batches
from training.common.cache import note_seconds, replace_file
from training.common.losses import human_loss
from training.common.progress import console, track
from training.common.validation_metric import validation_metric
from training.config import TeacherConfig
from training.data.targets import Example
from training.teacher.encoder import ScoringEncoder, tokenise

LABEL_BATCH = 32  # texts scored in one pass
WEIGHTS, CHECKPOINT, HISTORY = "teacher.safetensors", "checkpoint.pt", "history.json"


def fine_tune(
    network: ScoringEncoder,
    tokenizer: PreTrainedTokenizerBase,
    item: Item,
    fit: Sequence[Example],
    validation: Sequence[Example],
    config: TeacherConfig,
    seed: int,
    folder: Path,
    name: str,
) -> None:
    """Trains until the validation figure has not risen for `patience` epochs; leaves WEIGHTS and HISTORY in `folder`.

    Never less than `min_steps`: epochs of a few rows end before the rate has risen, and tell nothing.

    A killed call goes on from the last whole epoch.  `item` stands for all that are read: they share a scale.
    """
    learnt = network.learnt
    rate = config.adapter_learning_rate if config.has_adapters else config.learning_rate
    optimizer = torch.optim.AdamW(learnt.values(), lr=rate, weight_decay=config.weight_decay, fused=True)
    steps_an_epoch = -(-len(fit) // config.batch_size)
    least = -(-config.min_steps // steps_an_epoch)
    epochs = max(config.max_epochs, least)
    steps = epochs * steps_an_epoch
    schedule = warmed_up(optimizer, steps, config.warmup)
    # The running mean of recent weights generalises better and varies less between epochs than the last weights do.
    decay = 1 - 1 / max(1.0, config.averaging * steps)
    own = nn.ParameterList(learnt.values())
    mean = AveragedModel(own, multi_avg_fn=get_ema_multi_avg_fn(decay))  # type: ignore[no-untyped-call]
    history: list[float] = []
    seconds, began = 0.0, time.monotonic()
    if (folder / CHECKPOINT).is_file():
        state: dict[str, Any] = torch.load(folder / CHECKPOINT, map_location=network.device, weights_only=True)
        own.load_state_dict(state["learnt"])
        mean.load_state_dict(state["mean"])
        optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["schedule"])
        history, seconds = state["history"], state["seconds"]
        console.print(f"{name} goes on after epoch {len(history)}")
    while len(history) < least or (len(history) < epochs and not _stalled(history, config.patience)):
        epoch = len(history) + 1
        torch.manual_seed(1000 * seed + epoch)  # so that an epoch is the same after a kill as without one
        network.train()
        batches = shuffled_batches([row.length for row in fit], config.batch_size, 1000 * seed + epoch)
        for numbers in track(batches, f"{name}, epoch {epoch}/{epochs}", len(batches)):
            batch = [fit[number] for number in numbers]
            tokens = tokenise(tokenizer, [r.context for r in batch], [r.text for r in batch], config.max_tokens)
            targets = torch.tensor([row.target for row in batch], device=network.device)
            loss = human_loss(network(tokens), targets, item.is_continuous)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(own.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            mean.update_parameters(own)
        averaged = dict(zip(learnt, cast("nn.ParameterList", mean.module), strict=True))
        with _in_place(learnt, averaged):
            history.append(_validate(network, tokenizer, item, validation, config))
        console.print(f"{name}, epoch {epoch}: validation {history[-1]:.3f}")
        if history[-1] == max(history):  # of equals the last: in warm-up a few rows cannot tell epochs apart
            replace_file(folder / WEIGHTS, partial(_save, averaged))
        state = {"learnt": own.state_dict(), "mean": mean.state_dict(), "optimizer": optimizer.state_dict()}
        state |= {"schedule": schedule.state_dict(), "history": history}
        state |= {"seconds": seconds + time.monotonic() - began}
        replace_file(folder / CHECKPOINT, lambda path, state=state: torch.save(state, path))  # type: ignore[misc]
    note_seconds(folder / WEIGHTS, seconds + time.monotonic() - began)
    replace_file(folder / HISTORY, lambda path: path.write_text(json.dumps(history)))
    (folder / CHECKPOINT).unlink(missing_ok=True)


def warmed_up(optimizer: torch.optim.Optimizer, steps: int, share: float) -> torch.optim.lr_scheduler.LambdaLR:
    """The rate rises over that share of the steps, then falls to nothing."""
    warmup = max(1, round(share * steps))
    return torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / warmup, (steps - step) / max(1, steps - warmup))
    )


@contextmanager
def _in_place(learnt: Mapping[str, Tensor], others: Mapping[str, Tensor]) -> Iterator[None]:
    """The network with other weights for a while."""
    kept = {name: weights.detach().clone() for name, weights in learnt.items()}
    _copy(others, learnt)
    try:
        yield
    finally:
        _copy(kept, learnt)


@torch.no_grad()
def _copy(source: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> None:
    for name, weights in target.items():
        weights.copy_(source[name])


def _save(weights: Mapping[str, Tensor], path: Path) -> None:
    save_file({name: tensor.detach().contiguous() for name, tensor in weights.items()}, path)


def outputs_of(
    networks: Sequence[ScoringEncoder],
    tokenizer: PreTrainedTokenizerBase,
    contexts: Sequence[str],
    texts: Sequence[str],
    max_tokens: int,
) -> Outputs:
    """(texts, columns), in the order given: of several networks the mixture of their distributions."""
    outputs = np.zeros((len(texts), networks[0].head.out_features), dtype=np.float32)
    lengths = [len(context) + len(text) for context, text in zip(contexts, texts, strict=True)]
    for numbers in sorted_batches(lengths, LABEL_BATCH):
        tokens = tokenise(tokenizer, [contexts[n] for n in numbers], [texts[n] for n in numbers], max_tokens)
        with torch.inference_mode():
            each = torch.stack([network.eval()(tokens) for network in networks])  # (networks, batch, columns)
            outputs[numbers] = mixture(each.cpu().numpy(), networks[0].head.continuous)
    return outputs


def _stalled(history: list[float], patience: int) -> bool:
    return len(history) > patience and max(history[-patience:]) <= max(history[:-patience])


def _validate(
    network: ScoringEncoder,
    tokenizer: PreTrainedTokenizerBase,
    item: Item,
    validation: Sequence[Example],
    config: TeacherConfig,
) -> float:
    contexts, texts = [row.context for row in validation], [row.text for row in validation]
    outputs = outputs_of([network], tokenizer, contexts, texts, config.max_tokens)
    return validation_metric(item, [row.target for row in validation], outputs, contexts)  # items differ in context
