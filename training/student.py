"""The student's network: word embeddings, one convolution, mean and maximum over the response, one linear layer."""

import torch
from torch import Tensor, nn

from training.config import PARAMETER_BUDGET, StudentConfig
from training.errors import OverBudget


class StudentNetwork(nn.Module):
    """ids (batch, tokens), 0 = padding → logits (batch, choices).  Padding never changes a response's logits."""

    def __init__(self, vocabulary: int, choices: int, config: StudentConfig) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, config.embedding, padding_idx=0)
        self.dropout = nn.Dropout(config.dropout)
        self.convolution = nn.Conv1d(config.embedding, config.filters, config.width, padding=config.width // 2)
        self.head = nn.Linear(2 * config.filters, choices)
        if (count := parameters(self)) > PARAMETER_BUDGET:
            raise OverBudget(f"a student of {count} parameters is over the budget of {PARAMETER_BUDGET}")

    def forward(self, ids: Tensor) -> Tensor:
        mask = (ids != 0).unsqueeze(1).float()  # (batch, 1, tokens)
        embedded = self.dropout(self.embedding(ids)).transpose(1, 2)  # (batch, embedding, tokens)
        seen = torch.relu(self.convolution(embedded)) * mask  # (batch, filters, tokens)
        pooled = torch.cat([seen.sum(2) / mask.sum(2), seen.amax(2)], dim=1)
        logits: Tensor = self.head(self.dropout(pooled))
        return logits


def parameters(model: nn.Module) -> int:
    """Learned weights, all counted, embeddings included."""
    return sum(parameter.numel() for parameter in model.parameters())
