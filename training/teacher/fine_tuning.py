"""Fine-tuning one encoder on marked responses: checkpointed after every epoch, the best epoch kept."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
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
from training.common.batches import sorted_batches
from training.common.cache import note_seconds, replace_file
from training.common.losses import human_loss
from training.common.progress import console
from training.common.training_loop import TrainingLoop, count_batches, epoch_seed, epochs_for, linear_schedule
from training.common.validation_metric import validation_metric
from training.config import TeacherConfig
from training.data.targets import Example
from training.teacher.encoder import ScoringEncoder, tokenise

PASS_SIZE = 32  # texts in one forward pass
WEIGHTS, CHECKPOINT, HISTORY = "teacher.safetensors", "checkpoint.pt", "history.json"


@dataclass(frozen=True, slots=True)
class FineTuning:
    """A network to be fine-tuned, the rows that it learns from, and the folder that keeps the result.

    `item` stands for all items that are read: they share a scale.
    """

    network: ScoringEncoder
    tokenizer: PreTrainedTokenizerBase
    item: Item
    fit: Sequence[Example]
    validation: Sequence[Example]
    config: TeacherConfig
    seed: int
    folder: Path
    name: str  # in messages

    def loss(self, batch: list[int]) -> Tensor:
        """Return the loss of the fit rows with these numbers."""
        rows = [self.fit[number] for number in batch]
        contexts, texts = [row.context for row in rows], [row.text for row in rows]
        tokens = tokenise(self.tokenizer, contexts, texts, self.config.max_tokens)
        targets = torch.tensor([row.target for row in rows], device=self.network.device)
        return human_loss(self.network(tokens), targets, self.item.is_continuous)


def fine_tune(task: FineTuning) -> None:
    """Train until the validation metric has not risen for `patience` epochs; leave WEIGHTS and HISTORY in the folder.

    Training takes at least `min_steps`: epochs of a few rows end before the learning rate has risen, and their metrics
    say nothing.  A killed call goes on from the last whole epoch.
    """
    training = _Training(task)
    training.resume()
    while not training.is_over:
        training.run_epoch()
    training.finish()


class _Training:
    """The state of a training: weights, their running mean, optimiser, schedule, history and time."""

    def __init__(self, task: FineTuning) -> None:
        config = task.config
        self.task = task
        self.learnt = task.network.learnt
        self.weights = nn.ParameterList(self.learnt.values())
        steps_an_epoch = count_batches(len(task.fit), config.batch_size)
        self.min_epochs = epochs_for(config.min_steps, steps_an_epoch)
        self.max_epochs = max(config.max_epochs, self.min_epochs)
        steps = self.max_epochs * steps_an_epoch
        self.loop = self._loop(steps)
        # The running mean of recent weights generalises better and varies less between epochs than the last weights do.
        decay = 1 - 1 / max(1.0, config.averaging * steps)
        self.mean = AveragedModel(self.weights, multi_avg_fn=get_ema_multi_avg_fn(decay))  # type: ignore[no-untyped-call]
        self.history: list[float] = []
        self.seconds_before, self.began = 0.0, time.monotonic()

    def _loop(self, steps: int) -> TrainingLoop:
        config = self.task.config
        rate = config.adapter_learning_rate if config.has_adapters else config.learning_rate
        optimizer = torch.optim.AdamW(self.learnt.values(), lr=rate, weight_decay=config.weight_decay, fused=True)
        schedule = linear_schedule(optimizer, steps, config.warmup)
        lengths = [row.length for row in self.task.fit]
        return TrainingLoop(optimizer, schedule, lengths, config.batch_size, self.task.seed, max_norm=1.0)

    @property
    def is_over(self) -> bool:
        """Return whether no epoch is left, or the validation metric has stopped rising."""
        epochs = len(self.history)
        if epochs < self.min_epochs:
            return False
        return epochs >= self.max_epochs or _stalled(self.history, self.task.config.patience)

    @property
    def seconds(self) -> float:
        """Return the time of this call and of the calls that were killed before it, up to their last checkpoint."""
        return self.seconds_before + time.monotonic() - self.began

    @property
    def averaged(self) -> dict[str, Tensor]:
        """Return the running mean of the weights by name."""
        return dict(zip(self.learnt, cast("nn.ParameterList", self.mean.module), strict=True))

    def resume(self) -> None:
        """Load the checkpoint of a killed call, if there is one, so that training goes on from it."""
        file = self.task.folder / CHECKPOINT
        if not file.is_file():
            return
        state: dict[str, Any] = torch.load(file, map_location=self.task.network.device, weights_only=True)
        self.weights.load_state_dict(state["learnt"])
        self.mean.load_state_dict(state["mean"])
        self.loop.optimizer.load_state_dict(state["optimizer"])
        self.loop.schedule.load_state_dict(state["schedule"])
        self.history, self.seconds_before = state["history"], state["seconds"]
        console.print(f"{self.task.name} goes on after epoch {len(self.history)}")

    def run_epoch(self) -> None:
        """Train for an epoch, validate the mean weights, keep them if they are the best, and write a checkpoint."""
        task, epoch = self.task, len(self.history) + 1
        torch.manual_seed(epoch_seed(task.seed, epoch))  # so that a resumed training drops the same units
        task.network.train()
        title = f"{task.name}, epoch {epoch}/{self.max_epochs}"
        self.loop.run_epoch(epoch, task.loss, lambda: self.mean.update_parameters(self.weights), title)
        averaged = self.averaged
        with _in_place(self.learnt, averaged):
            metric = _validate(task)
        self.history.append(metric)
        console.print(f"{task.name}, epoch {epoch}: validation {metric:.3f}")
        # Of equal epochs the last one counts: during warm-up a few rows cannot tell epochs apart.
        if metric == max(self.history):
            replace_file(task.folder / WEIGHTS, partial(_save, averaged))
        state = self._state()
        replace_file(task.folder / CHECKPOINT, lambda path: torch.save(state, path))

    def _state(self) -> dict[str, Any]:
        return {
            "learnt": self.weights.state_dict(),
            "mean": self.mean.state_dict(),
            "optimizer": self.loop.optimizer.state_dict(),
            "schedule": self.loop.schedule.state_dict(),
            "history": self.history,
            "seconds": self.seconds,
        }

    def finish(self) -> None:
        """Write the history, which marks a finished training, and remove the checkpoint."""
        folder = self.task.folder
        note_seconds(folder / WEIGHTS, self.seconds)
        replace_file(folder / HISTORY, lambda path: path.write_text(json.dumps(self.history)))
        (folder / CHECKPOINT).unlink(missing_ok=True)


@contextmanager
def _in_place(learnt: Mapping[str, Tensor], averaged: Mapping[str, Tensor]) -> Iterator[None]:
    """Put the averaged weights into the network until the block ends."""
    kept = {name: weights.detach().clone() for name, weights in learnt.items()}
    _copy(averaged, learnt)
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
    """Return (texts, columns), in the order given: of several networks the mixture of their distributions."""
    outputs = np.zeros((len(texts), networks[0].head.out_features), dtype=np.float32)
    lengths = [len(context) + len(text) for context, text in zip(contexts, texts, strict=True)]
    for numbers in sorted_batches(lengths, PASS_SIZE):
        batch_contexts, batch_texts = [contexts[number] for number in numbers], [texts[number] for number in numbers]
        tokens = tokenise(tokenizer, batch_contexts, batch_texts, max_tokens)
        with torch.inference_mode():
            each = torch.stack([network.eval()(tokens) for network in networks])  # (networks, batch, columns)
        outputs[numbers] = mixture(each.cpu().numpy(), networks[0].head.continuous)
    return outputs


def _stalled(history: list[float], patience: int) -> bool:
    if len(history) <= patience:
        return False
    earlier, last = history[:-patience], history[-patience:]
    return max(last) <= max(earlier)


def _validate(task: FineTuning) -> float:
    contexts, texts = [row.context for row in task.validation], [row.text for row in task.validation]
    outputs = outputs_of([task.network], task.tokenizer, contexts, texts, task.config.max_tokens)
    targets = [row.target for row in task.validation]
    return validation_metric(task.item, targets, outputs, contexts)  # items differ in context
