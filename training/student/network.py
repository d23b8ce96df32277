"""The student: embedded word pieces, a GRU each way, mean and maximum over the response, one linear layer.

Items that share a teacher learn in one network, in which only the linear layer is each item's own.
"""

import copy

import torch
from torch import Tensor, nn

from app.scoring.decoding import output_columns
from app.scoring.item import Item
from training.common.losses import OutputLayer
from training.config import PARAMETER_BUDGET, StudentConfig
from training.errors import OverBudget


class StudentNetwork(nn.Module):
    """A network from ids (batch, tokens), 0 for padding, to outputs (batch, columns), which padding never changes."""

    def __init__(self, vocabulary: int, item: Item, config: StudentConfig, items: int = 1) -> None:
        """Make a network for `items` that learn together, for all of which `item` stands.

        Raise OverBudget where the student of one item is too large.
        """
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, config.embedding, padding_idx=0)
        self.dropout = nn.Dropout(config.dropout)
        self.forwards = nn.GRU(config.embedding, config.hidden, batch_first=True)
        self.backwards = nn.GRU(config.embedding, config.hidden, batch_first=True)
        self.head = OutputLayer(4 * config.hidden, output_columns(item), item.is_continuous, items)
        other_heads = (items - 1) * parameters(self.head) // items
        if (count := parameters(self) - other_heads) > PARAMETER_BUDGET:
            raise OverBudget(
                f"a student of {count} parameters is over the budget of {PARAMETER_BUDGET}: lower student.vocabulary, "
                "student.embedding or student.hidden",
                parameters=count,
                limit=PARAMETER_BUDGET,
            )

    def forward(self, ids: Tensor, numbers: Tensor | None = None) -> Tensor:
        """Return outputs (batch, columns).

        `numbers` (batch,) names the item of each response; a single item needs none.
        """
        real = (ids != 0).unsqueeze(2)  # (batch, tokens, 1)
        embedded = self.dropout(self.embedding(ids))  # (batch, tokens, embedding)
        # torch's bidirectional GRU would read the padding first, and a score would depend on its batch.
        reversed_ = torch.gather(embedded, 1, _backwards(ids).unsqueeze(2).expand_as(embedded))
        read = torch.cat([self.forwards(embedded)[0], self.backwards(reversed_)[0]], dim=2)  # (batch, tokens, 2·hidden)
        mean = (read * real).sum(1) / real.sum(1)
        maximum = read.masked_fill(~real, -1.0).amax(1)  # a GRU's states lie between -1 and 1
        outputs: Tensor = self.head(self.dropout(torch.cat([mean, maximum], dim=1)), numbers)
        return outputs

    def alone(self, number: int) -> "StudentNetwork":
        """Return a copy for one item: its student."""
        return copy.deepcopy(self, {id(self.head): self.head.alone(number)})


def _backwards(ids: Tensor) -> Tensor:
    """Return (batch, tokens): the places of each response's tokens from last to first, padding in its place."""
    place = torch.arange(ids.shape[1], device=ids.device)
    length = (ids != 0).sum(1, keepdim=True)
    return torch.where(place < length, length - 1 - place, place)


def parameters(model: nn.Module) -> int:
    """Return the number of learned weights, embeddings included."""
    return sum(parameter.numel() for parameter in model.parameters())
