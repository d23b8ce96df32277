"""Distillation: a student learns from human scores and its teacher's probabilities (Latif et al., arXiv 2312.15842).

    L = CE(human, student) + λ · T² · CE(softmax(teacher / T), softmax(student / T))

The paper's loss is T = 1; T² keeps the soft term's gradients as large at every temperature (Hinton et al. 2015).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy

from app.scoring.featurizer import Featurizer
from training.batches import shuffled_batches
from training.config import DistillationConfig, StudentConfig
from training.progress import track
from training.student import StudentNetwork

NO_LABEL = -1  # in `choices`: no human has scored this text


@dataclass(frozen=True, slots=True)
class Lesson:
    """What the student learns from: row i of each array belongs to text i, and they are only ever indexed together."""

    texts: Sequence[str]
    choices: NDArray[np.int64]  # (texts,), NO_LABEL where there is no human score
    teacher_logits: NDArray[np.float32] | None  # (texts, choices); None when no teacher takes part

    def __post_init__(self) -> None:
        rows = {len(self.texts), len(self.choices)}
        rows |= {len(self.teacher_logits)} if self.teacher_logits is not None else set()
        if len(rows) != 1:
            raise ValueError(f"texts, human scores and teacher rows differ in number: {sorted(rows)}")


def distillation_loss(
    student: Tensor, choices: Tensor, teacher: Tensor | None, soft_weight: float, temperature: float
) -> Tensor:
    """The loss above, both terms averaged over all rows: a text weighs the same whoever has scored it.

    student, teacher: logits (batch, choices); choices: (batch,), NO_LABEL where there is none.
    """
    loss = cross_entropy(student, choices, ignore_index=NO_LABEL, reduction="sum") / len(student)
    if teacher is not None and soft_weight > 0:
        soft = torch.softmax(teacher / temperature, dim=1)
        loss = loss + soft_weight * temperature**2 * cross_entropy(student / temperature, soft)
    return loss


def distilled(
    lesson: Lesson,
    featurizer: Featurizer,
    choices: int,
    student: StudentConfig,
    config: DistillationConfig,
    seed: int,
    description: str,
) -> StudentNetwork:
    """A student trained on the lesson, seeded, the learning rate falling to 0 along a half cosine."""
    torch.manual_seed(seed)
    network = StudentNetwork(featurizer.vocabulary, choices, student)
    ids = torch.from_numpy(featurizer.ids(list(lesson.texts)))
    human = torch.from_numpy(lesson.choices)
    soft = None if lesson.teacher_logits is None else torch.from_numpy(lesson.teacher_logits)
    lengths: list[int] = (ids != 0).sum(1).tolist()
    batches = -(-len(ids) // config.batch_size)
    optimizer = torch.optim.AdamW(network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, config.learning_rate, total_steps=config.epochs * batches, pct_start=0.1
    )
    network.train()
    for epoch in track(range(config.epochs), description, config.epochs):
        for rows in shuffled_batches(lengths, config.batch_size, 1000 * seed + epoch):
            batch = ids[rows, : max(lengths[row] for row in rows)]  # padding is at the end
            teacher = None if soft is None else soft[rows]
            loss = distillation_loss(network(batch), human[rows], teacher, config.soft_weight, config.temperature)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    return network.eval()
