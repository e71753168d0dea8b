"""An item as a few vectors of the language model's width, made of its collaborative vector."""

from __future__ import annotations

import torch
from torch import Tensor, nn

MASKED = 0.1
"""Share of values that are read as 0 in training."""

DROPOUT = 0.2


class ContinuousTokens(nn.Module):
    """Maps vectors [..., d] to K tokens [..., K, D].

    Args:
        vectors: d.
        width: D.
        tokens: K.

    """

    def __init__(self, vectors: int, width: int, tokens: int) -> None:
        super().__init__()
        self.position = nn.Parameter(torch.empty(vectors).uniform_(-1 / vectors, 1 / vectors))
        self.inner = nn.ModuleList([_layer(vectors, vectors) for _ in range(tokens)])
        self.outer = nn.ModuleList([_layer(vectors, width) for _ in range(tokens)])

    def forward(self, vectors: Tensor) -> Tensor:
        """Make the tokens; in training a tenth of the values is masked, each by chance."""
        if self.training:
            vectors = vectors * (torch.rand_like(vectors) >= MASKED)
        read = vectors + self.position
        made = [torch.relu(last(read + first(read))) for first, last in zip(self.inner, self.outer, strict=True)]
        return torch.stack(made, dim=-2)


def _layer(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(nn.ReLU(), nn.Dropout(DROPOUT), nn.Linear(before, after))
