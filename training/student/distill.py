"""Distillation: students learn from human scores and their teacher's outputs (Latif et al., arXiv 2312.15842).

    L = CE(human, student) + λ · T² · CE(softmax(teacher / T), softmax(student / T))

The paper's loss is T = 1; T² keeps the soft term's gradients as large at every temperature (Hinton et al. 2015).
For grades, the losses of losses.py replace both cross-entropies, and there is no temperature.

Items that share a teacher learn together: a network learns to read better from all their responses than from a few.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from app.scoring.featurizer import Featurizer
from app.scoring.item import Item
from training.common.hardware import one_thread
from training.common.losses import human_loss, soft_loss
from training.common.progress import track
from training.common.training_loop import TrainingLoop, count_batches, epochs_for
from training.config import DistillationConfig, StudentConfig
from training.student.network import StudentNetwork
from training.student.training_set import TrainingSet, join


@dataclass(frozen=True, slots=True)
class _Rows:
    """The rows of all training sets as tensors."""

    ids: Tensor  # (rows, tokens), padding at the end
    lengths: list[int]  # tokens of each row
    items: Tensor  # (rows,): the number of the item that each row answers
    human: Tensor  # (rows,), NO_LABEL where there is no human score
    teacher: Tensor | None  # (rows, columns)


@one_thread()
def distilled(
    training_sets: Sequence[TrainingSet],
    featurizer: Featurizer,
    item: Item,
    student: StudentConfig,
    config: DistillationConfig,
    seed: int,
) -> StudentNetwork:
    """Train one network on the training sets of all items that learn together.

    `item` stands for all items: their scores are the same, or are learnt as shares of their scales.  The learning rate
    rises for a tenth of the steps and falls to 0 along half a cosine.  The seed decides all random choices.  Training
    takes one thread, for a second one slows matrices as small as these (by 1.4 times on two cores).
    """
    torch.manual_seed(seed)
    rows = _rows(training_sets, featurizer)
    network = StudentNetwork(featurizer.vocabulary, item, student, len(training_sets))
    loop, epochs = _loop(network, rows, config, seed)

    def loss(batch: list[int]) -> Tensor:
        return _loss(network, rows, batch, config, item.is_continuous)

    network.train()
    for epoch in track(range(epochs), f"{item.item_id}: student", epochs):
        loop.run_epoch(epoch, loss)
    return network.eval()


def _rows(training_sets: Sequence[TrainingSet], featurizer: Featurizer) -> _Rows:
    joined, numbers = join(training_sets)
    ids = torch.from_numpy(featurizer.ids(joined.texts))
    lengths: list[int] = (ids != 0).sum(1).tolist()
    teacher = None if joined.teacher is None else torch.from_numpy(joined.teacher)
    return _Rows(ids, lengths, torch.from_numpy(numbers), torch.from_numpy(joined.targets), teacher)


def _loop(network: StudentNetwork, rows: _Rows, config: DistillationConfig, seed: int) -> tuple[TrainingLoop, int]:
    """Return the training loop and its number of epochs."""
    batches = count_batches(len(rows.lengths), config.batch_size)
    epochs = max(config.epochs, epochs_for(config.min_steps, batches))
    rate = config.learning_rate
    optimizer = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=config.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=epochs * batches, pct_start=0.1)
    return TrainingLoop(optimizer, schedule, rows.lengths, config.batch_size, seed), epochs


def _loss(
    network: StudentNetwork, rows: _Rows, batch: list[int], config: DistillationConfig, continuous: bool
) -> Tensor:
    longest = max(rows.lengths[row] for row in batch)
    outputs = network(rows.ids[batch, :longest], rows.items[batch])
    loss = human_loss(outputs, rows.human[batch], continuous)
    if rows.teacher is None:
        return loss
    return loss + config.soft_weight * soft_loss(outputs, rows.teacher[batch], config.temperature, continuous)
