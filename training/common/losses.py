"""The last layer, which makes outputs, and the losses by human and by soft labels.

Scores and labels: cross-entropy.  Grades: mean and variance as in Stirn et al. (AISTATS 2023, "Faithful heteroscedastic
regression"): the mean by its squared error, the variance by the normal likelihood with mean and features held, so that
the mean is no worse for there being a variance.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, linear, softplus

MIN_VARIANCE = 1e-4  # a hundredth of the scale as standard deviation
FIRST_VARIANCE = 0.05  # about what is left of grades' variance when a model has learnt: it need not get there first


class OutputLayer(nn.Linear):
    """features (batch, width) → outputs (batch, columns), as app.scoring.decoding reads them."""

    def __init__(self, width: int, columns: int, continuous: bool, items: int = 1) -> None:
        """`items` that learn together have a layer each, in the rows of one matrix: columns of the first, and so on."""
        super().__init__(width, items * columns)
        self.columns, self.continuous, self.items = columns, continuous, items
        if continuous:
            nn.init.constant_(self.bias[1::2].detach(), math.log(math.expm1(FIRST_VARIANCE)))

    def forward(self, features: Tensor, numbers: Tensor | None = None) -> Tensor:
        """`numbers` (batch,): whose layer each row goes through; may be left out where there is one."""
        if self.continuous:
            mean = linear(features, self.weight[::2], self.bias[::2])  # (batch, items)
            variance = softplus(linear(features.detach(), self.weight[1::2], self.bias[1::2])) + MIN_VARIANCE
            outputs = torch.stack([mean, variance], dim=2)
        else:
            outputs = super().forward(features).view(-1, self.items, self.columns)
        return outputs[:, 0] if numbers is None else outputs[torch.arange(len(outputs)), numbers]

    def alone(self, number: int) -> "OutputLayer":
        """A copy of the layer of one item."""
        layer = OutputLayer(self.in_features, self.columns, self.continuous)
        rows = slice(number * self.columns, (number + 1) * self.columns)
        layer.load_state_dict({"weight": self.weight[rows], "bias": self.bias[rows]})
        return layer


def human_loss(outputs: Tensor, target: Tensor, continuous: bool) -> Tensor:
    """outputs: (batch, columns); target: (batch,), NO_LABEL where there is none.

    Averaged over all rows: a text weighs the same whoever has scored it.
    """
    known = ~target.isnan()
    if not known.any():
        return outputs.sum() * 0
    if continuous:
        loss = _grade_loss(outputs[known], target[known].to(outputs.dtype), torch.zeros_like(target[:1]))
        return loss.sum() / len(outputs)
    return cross_entropy(outputs[known], target[known].long(), reduction="sum") / len(outputs)


def soft_loss(outputs: Tensor, teacher: Tensor, temperature: float, continuous: bool) -> Tensor:
    """The student's outputs against its teacher's, both (batch, columns)."""
    if continuous:
        return _grade_loss(outputs, teacher[:, 0], teacher[:, 1]).mean()
    soft = torch.softmax(teacher / temperature, dim=1)
    return temperature**2 * cross_entropy(outputs / temperature, soft)


def _grade_loss(outputs: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    """(batch,): against grades of a normal distribution, or a single grade where its variance is 0."""
    squared = (outputs[:, 0] - mean) ** 2
    own = outputs[:, 1]
    return squared + 0.5 * (own.log() + (variance + squared.detach()) / own)
