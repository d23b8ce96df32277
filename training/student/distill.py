"""Distillation: students learn from human scores and their teacher's outputs (Latif et al., arXiv 2312.15842).

    L = CE(human, student) + λ · T² · CE(softmax(teacher / T), softmax(student / T))

The paper's loss is T = 1; T² keeps the soft term's gradients as large at every temperature (Hinton et al. 2015).
Grades have the losses of losses.py in the place of both cross-entropies, and no temperature.

Items that share a teacher learn together: few responses teach a network to read badly, all of theirs do it better.
"""

from collections.abc import Sequence

import torch

from app.scoring.featurizer import Featurizer
from app.scoring.item import Item
from training.common.batches import shuffled_batches
from training.common.hardware import one_thread
from training.common.losses import human_loss, soft_loss
from training.common.progress import track
from training.config import DistillationConfig, StudentConfig
from training.student.network import StudentNetwork
from training.student.training_set import TrainingSet, join


@one_thread()
def distilled(
    lessons: Sequence[TrainingSet],
    featurizer: Featurizer,
    item: Item,
    student: StudentConfig,
    config: DistillationConfig,
    seed: int,
) -> StudentNetwork:
    """A network trained on the lessons, one an item, seeded, the learning rate falling to 0 along a half cosine.

    `item` stands for all that learn together: their scores are the same, or shares of their scales are learnt.  On
    one thread: its matrices are so small that a second one slows it (by 1.4 times on two cores).
    """
    torch.manual_seed(seed)
    lesson, of_rows = join(lessons)
    network = StudentNetwork(featurizer.vocabulary, item, student, len(lessons))
    numbers = torch.from_numpy(of_rows)
    ids = torch.from_numpy(featurizer.ids(lesson.texts))
    human = torch.from_numpy(lesson.targets)
    soft = None if lesson.teacher is None else torch.from_numpy(lesson.teacher)
    lengths: list[int] = (ids != 0).sum(1).tolist()
    batches = -(-len(ids) // config.batch_size)
    epochs = max(config.epochs, -(-config.min_steps // batches))
    optimizer = torch.optim.AdamW(network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, config.learning_rate, total_steps=epochs * batches, pct_start=0.1
    )
    network.train()
    for epoch in track(range(epochs), f"{item.item_id}: student", epochs):
        for rows in shuffled_batches(lengths, config.batch_size, 1000 * seed + epoch):
            shown = ids[rows, : max(lengths[row] for row in rows)]  # padding is at the end
            outputs = network(shown, numbers[rows])
            loss = human_loss(outputs, human[rows], item.is_continuous)
            if soft is not None:
                loss = loss + config.soft_weight * soft_loss(
                    outputs, soft[rows], config.temperature, item.is_continuous
                )
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    return network.eval()
