"""The training loop of teachers, students and TinyBERTs: epochs of shuffled batches, one optimiser step a batch.

transformers' Trainer and its linear schedule would do, but give other numbers: their warm-up begins with a step at a
rate of 0, and they shuffle rows without regard to length.  Models that are trained again would change.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from training.common.batches import shuffled_batches
from training.common.progress import track


@dataclass(frozen=True, slots=True)
class TrainingLoop:
    """An optimiser with its schedule, and the order in which it meets the rows."""

    optimizer: torch.optim.Optimizer
    schedule: LRScheduler
    lengths: Sequence[int]  # of each row: a batch holds rows of like length
    batch_size: int
    seed: int
    max_norm: float | None = None  # gradients are clipped to it

    def run_epoch(
        self,
        number: int,
        loss: Callable[[list[int]], Tensor],
        after_step: Callable[[], object] = lambda: None,
        description: str | None = None,
    ) -> None:
        """Train on every row once, in an order that the seed and the number of the epoch decide.

        `loss` takes the row numbers of a batch.  With a description, a bar shows the progress over the batches.
        """
        batches = shuffled_batches(self.lengths, self.batch_size, epoch_seed(self.seed, number))
        shown = batches if description is None else track(batches, description, len(batches))
        for rows in shown:
            self._step(loss(rows))
            after_step()

    def _step(self, loss: Tensor) -> None:
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        if self.max_norm is not None:
            learnt = [weights for group in self.optimizer.param_groups for weights in group["params"]]
            nn.utils.clip_grad_norm_(learnt, self.max_norm)
        self.optimizer.step()
        self.schedule.step()


def epoch_seed(seed: int, number: int) -> int:
    """Return the seed of one epoch: the same after a killed run as without the interruption."""
    return 1000 * seed + number


def count_batches(rows: int, batch_size: int) -> int:
    """Return the number of batches in an epoch, the last one perhaps smaller."""
    return -(-rows // batch_size)


def epochs_for(steps: int, steps_an_epoch: int) -> int:
    """Return the number of epochs that make at least so many steps."""
    return -(-steps // steps_an_epoch)


def linear_schedule(optimizer: torch.optim.Optimizer, steps: int, warmup: float) -> LambdaLR:
    """Return a schedule whose rate rises over a share of the steps, `warmup`, then falls linearly to 0."""
    warmup_steps = max(1, round(warmup * steps))
    falling_steps = max(1, steps - warmup_steps)

    def factor(step: int) -> float:
        rising, falling = (step + 1) / warmup_steps, (steps - step) / falling_steps
        return min(rising, falling)

    return LambdaLR(optimizer, factor)
