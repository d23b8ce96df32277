"""The output layer of every network, and the losses against human scores and soft labels.

Scores and labels have cross-entropy.  Grades have the losses of Stirn et al. (AISTATS 2023, "Faithful heteroscedastic
regression"): the squared error for the mean, and for the variance the normal likelihood with mean and features held.
The variance therefore never makes the mean worse.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, linear, softplus

MIN_VARIANCE = 1e-4  # a hundredth of the scale as standard deviation
FIRST_VARIANCE = 0.05  # of an untrained layer: about the variance that grades keep when a model has learnt


class OutputLayer(nn.Linear):
    """A linear layer from features (batch, width) to the outputs (batch, columns) of app.scoring.decoding."""

    def __init__(self, width: int, columns: int, continuous: bool, items: int = 1) -> None:
        """Make a layer for each of the `items` that learn together, one after the other in the rows of one matrix."""
        super().__init__(width, items * columns)
        self.columns, self.continuous, self.items = columns, continuous, items
        if continuous:
            nn.init.constant_(self.bias[1::2].detach(), math.log(math.expm1(FIRST_VARIANCE)))

    def forward(self, features: Tensor, numbers: Tensor | None = None) -> Tensor:
        """Return (batch, columns).

        `numbers` (batch,) names the item whose layer each row goes through; a single item needs none.
        """
        if self.continuous:
            mean = linear(features, self.weight[::2], self.bias[::2])  # (batch, items)
            raw_variance = linear(features.detach(), self.weight[1::2], self.bias[1::2])
            outputs = torch.stack([mean, softplus(raw_variance) + MIN_VARIANCE], dim=2)
        else:
            outputs = super().forward(features).view(-1, self.items, self.columns)
        if numbers is None:
            return outputs[:, 0]
        rows = torch.arange(len(outputs))
        return outputs[rows, numbers]

    def alone(self, number: int) -> "OutputLayer":
        """Return a copy of the layer of one item."""
        layer = OutputLayer(self.in_features, self.columns, self.continuous)
        rows = slice(number * self.columns, (number + 1) * self.columns)
        layer.load_state_dict({"weight": self.weight[rows], "bias": self.bias[rows]})
        return layer


def human_loss(outputs: Tensor, target: Tensor, continuous: bool) -> Tensor:
    """Return the loss of outputs (batch, columns) against targets (batch,).

    A target is NO_LABEL where a text has no score.  The sum over texts with a score is divided by the number of all
    texts, so that a text's weight does not depend on its batch.
    """
    known = ~target.isnan()
    if not known.any():
        return outputs.sum() * 0
    if continuous:
        grades, no_variance = target[known].to(outputs.dtype), torch.zeros_like(target[:1])
        return _grade_loss(outputs[known], grades, no_variance).sum() / len(outputs)
    return cross_entropy(outputs[known], target[known].long(), reduction="sum") / len(outputs)


def soft_loss(outputs: Tensor, teacher: Tensor, temperature: float, continuous: bool) -> Tensor:
    """Return the loss of a student's outputs against the outputs of its teacher, both (batch, columns)."""
    if continuous:
        return _grade_loss(outputs, teacher[:, 0], teacher[:, 1]).mean()
    soft = torch.softmax(teacher / temperature, dim=1)
    return temperature**2 * cross_entropy(outputs / temperature, soft)


def _grade_loss(outputs: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    """Return (batch,): the loss against normally distributed grades, or single grades where `variance` is 0."""
    squared_error = (outputs[:, 0] - mean) ** 2
    predicted = outputs[:, 1]
    expected = variance + squared_error.detach()
    likelihood = predicted.log() + expected / predicted
    return squared_error + 0.5 * likelihood
