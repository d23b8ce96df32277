"""The teacher: any Hugging Face encoder with a classification head, fine-tuned on the marked responses of one item."""

import copy
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from transformers import AutoModel, AutoTokenizer, PreTrainedTokenizerBase

from app.scoring.item import Item
from app.scoring.student import softmax
from training.batches import shuffled_batches, sorted_batches
from training.cache import key_of, replace_file
from training.config import TeacherConfig
from training.datasets.responses import MarkedResponse
from training.errors import NoWeights
from training.progress import console, track
from training.selection import figure_of_merit
from training.weights import fingerprint, resolve

LABEL_BATCH = 32  # texts scored in one pass
WEIGHTS, CHECKPOINT, HISTORY = "teacher.safetensors", "checkpoint.pt", "history.json"


class EncoderClassifier(nn.Module):
    """An encoder, the mean of its last hidden states, and a linear layer: tokens → logits (batch, choices)."""

    def __init__(self, encoder: nn.Module, choices: int, dropout: float) -> None:
        super().__init__()
        self.encoder = encoder
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(int(encoder.config.hidden_size), choices)  # type: ignore[arg-type, union-attr]

    def forward(self, tokens: dict[str, Tensor]) -> Tensor:
        hidden = self.encoder(**tokens).last_hidden_state  # (batch, tokens, width)
        mask = tokens["attention_mask"].unsqueeze(-1).to(hidden.dtype)
        logits: Tensor = self.head(self.dropout((hidden * mask).sum(1) / mask.sum(1).clamp(min=1)))
        return logits


@dataclass(frozen=True, slots=True)
class Member:
    network: EncoderClassifier
    history: tuple[float, ...]  # the validation figure after each epoch; the best epoch's weights are kept


@dataclass(frozen=True, slots=True)
class Teacher:
    key: str  # the hash of all that made it
    members: tuple[Member, ...]
    tokenizer: PreTrainedTokenizerBase
    max_tokens: int

    @property
    def choices(self) -> int:
        return self.members[0].network.head.out_features

    def logits(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(texts, choices), in the order given: the logarithm of the members' mean probability."""
        networks = [member.network for member in self.members]
        logits = np.zeros((len(texts), self.choices), dtype=np.float32)
        for numbers in sorted_batches([len(text) for text in texts], LABEL_BATCH):
            tokens = tokenise(self.tokenizer, [texts[number] for number in numbers], self.max_tokens)
            logits[numbers] = mean_log_probabilities(networks, tokens)
        return logits


def mean_log_probabilities(networks: Sequence[EncoderClassifier], tokens: dict[str, Tensor]) -> NDArray[np.float32]:
    with torch.inference_mode():
        each = torch.stack([torch.log_softmax(network.eval()(tokens), dim=1) for network in networks])
        mean = torch.logsumexp(each, dim=0) - math.log(len(networks))
    return np.asarray(mean.numpy(), dtype=np.float32)


def tokenise(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], max_tokens: int) -> dict[str, Tensor]:
    encoded = tokenizer(list(texts), padding=True, truncation=True, max_length=max_tokens, return_tensors="pt")
    return dict(encoded)


def fine_tuned(
    item: Item,
    fit: Sequence[MarkedResponse],
    validation: Sequence[MarkedResponse],
    config: TeacherConfig,
    seed: int,
    cache: Path,
) -> Teacher:
    """Fine-tune each member until its validation figure has not risen for `patience` epochs; keep its best epoch.

    Checkpointed after every epoch under `cache`: a killed run goes on from the last one, a finished one is only read.
    """
    tokenizer, encoder = _load(config.base)
    rows = [[(row.text, row.choice) for row in part] for part in (fit, validation)]
    settings = config.model_dump(exclude={"members"}) | {"base": fingerprint(config.base)}
    members, keys = [], []
    for number in range(config.members):
        member_seed = 1000 * seed + number
        keys.append(key_of("teacher", item.scale, item.choices, rows, settings, member_seed))
        folder = cache / "teachers" / keys[-1]
        torch.manual_seed(member_seed)
        network = EncoderClassifier(copy.deepcopy(encoder), item.choices, config.dropout)
        if not (folder / HISTORY).is_file():
            name = f"{item.item_id}: teacher {number + 1}/{config.members}"
            _train(network, tokenizer, item, fit, validation, config, member_seed, folder, name)
        network.load_state_dict(load_file(folder / WEIGHTS))
        members.append(Member(network, tuple(json.loads((folder / HISTORY).read_text()))))
    return Teacher(key_of(keys), tuple(members), tokenizer, config.max_tokens)


def _load(base: str) -> tuple[PreTrainedTokenizerBase, nn.Module]:
    source = resolve(base)
    try:
        return AutoTokenizer.from_pretrained(source), AutoModel.from_pretrained(source, dtype=torch.float32)
    except (OSError, ValueError) as error:  # what transformers raises for a hub out of reach and for a strange folder
        raise NoWeights(f"base model {base!r}: {str(error).partition(chr(10))[0]}") from None


def _train(
    network: EncoderClassifier,
    tokenizer: PreTrainedTokenizerBase,
    item: Item,
    fit: Sequence[MarkedResponse],
    validation: Sequence[MarkedResponse],
    config: TeacherConfig,
    seed: int,
    folder: Path,
    name: str,
) -> None:
    optimizer = torch.optim.AdamW(network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    steps_an_epoch = -(-len(fit) // config.batch_size)
    epochs = max(config.max_epochs, -(-config.min_steps // steps_an_epoch))
    steps = epochs * steps_an_epoch
    warmup = max(1, round(config.warmup * steps))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / warmup, (steps - step) / max(1, steps - warmup))
    )
    # The running mean of recent weights generalises better and varies less between epochs than the last weights do.
    decay = 1 - 1 / max(1.0, config.averaging * steps)
    mean = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(decay))  # type: ignore[no-untyped-call]
    history: list[float] = []
    if (folder / CHECKPOINT).is_file():
        state: dict[str, Any] = torch.load(folder / CHECKPOINT, weights_only=True)
        network.load_state_dict(state["network"])
        mean.load_state_dict(state["mean"])
        optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["schedule"])
        history = state["history"]
        console.print(f"{name} goes on after epoch {len(history)}")
    while len(history) < epochs and not _stalled(history, config.patience):
        epoch = len(history) + 1
        torch.manual_seed(1000 * seed + epoch)  # so that an epoch is the same after a kill as without one
        network.train()
        batches = shuffled_batches([len(row.text) for row in fit], config.batch_size, 1000 * seed + epoch)
        for numbers in track(batches, f"{name}, epoch {epoch}/{epochs}", len(batches)):
            batch = [fit[number] for number in numbers]
            logits = network(tokenise(tokenizer, [row.text for row in batch], config.max_tokens))
            loss = cross_entropy(logits, torch.tensor([row.choice for row in batch]))
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            mean.update_parameters(network)
        history.append(_validate(cast("EncoderClassifier", mean.module), tokenizer, item, validation, config))
        console.print(f"{name}, epoch {epoch}: validation {history[-1]:.3f}")
        if history[-1] == max(history) and history.count(history[-1]) == 1:
            replace_file(folder / WEIGHTS, lambda path: save_file(mean.module.state_dict(), path))
        state = {"network": network.state_dict(), "mean": mean.state_dict(), "optimizer": optimizer.state_dict()}
        state |= {"schedule": schedule.state_dict(), "history": history}
        replace_file(folder / CHECKPOINT, lambda path, state=state: torch.save(state, path))  # type: ignore[misc]
    replace_file(folder / HISTORY, lambda path: path.write_text(json.dumps(history)))
    (folder / CHECKPOINT).unlink(missing_ok=True)


def _stalled(history: list[float], patience: int) -> bool:
    return len(history) > patience and max(history[-patience:]) <= max(history[:-patience])


def _validate(
    network: EncoderClassifier,
    tokenizer: PreTrainedTokenizerBase,
    item: Item,
    validation: Sequence[MarkedResponse],
    config: TeacherConfig,
) -> float:
    teacher = Teacher("", (Member(network, ()),), tokenizer, config.max_tokens)
    logits = teacher.logits([row.text for row in validation])
    return figure_of_merit(item, [row.choice for row in validation], softmax(logits))
