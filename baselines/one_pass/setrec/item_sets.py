"""The set of vectors that stands for an item: one of who took it, and several of its text."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn


class ItemSets(nn.Module):
    """Makes t = 1 + semantic vectors of each item.

    The first is a projection of a collaborative vector that stays as it is. The others are the
    middle layer of an autoencoder of the item's text, cut into vectors; it is trained with all the rest.

    Args:
        items: Size n of the catalogue.
        width: Width D of the vectors.
        collaborative: Width of the collaborative vectors.
        text: Width of the text vectors.
        hidden: Widths of the autoencoder's layers between text and middle.
        semantic: Vectors that the middle is cut into.

    Attributes:
        collaborative: [n + 1, C]; row 0, like that of `texts`, belongs to padding and is 0.
        texts: [n + 1, W].

    """

    collaborative: Tensor
    texts: Tensor

    def __init__(
        self, items: int, width: int, *, collaborative: int, text: int, hidden: Sequence[int], semantic: int
    ) -> None:
        super().__init__()
        self.register_buffer("collaborative", torch.zeros(items + 1, collaborative))
        self.register_buffer("texts", torch.zeros(items + 1, text))
        self.project = nn.Linear(collaborative, width)
        widths = [text, *hidden, width * semantic]
        self.encoder, self.decoder = _layers(widths), _layers(widths[::-1])
        self._width = width

    def adopt_collaborative(self, vectors: Tensor) -> None:
        """Take over collaborative vectors [n + 1, C]."""
        self.collaborative.copy_(_standardised(vectors))

    def adopt_texts(self, vectors: Tensor) -> None:
        """Take over text vectors of items 1..n, [n, W]."""
        self.texts[1:] = _standardised(vectors)

    def forward(self) -> tuple[Tensor, Tensor]:
        """Return the sets of all items, [n + 1, t, D], and the autoencoder's mean squared error over the texts."""
        middle = self.encoder(self.texts)
        error = nn.functional.mse_loss(self.decoder(middle), self.texts)
        sets = torch.cat([self.project(self.collaborative)[:, None], middle.unflatten(1, (-1, self._width))], dim=1)
        return sets, error

    @torch.no_grad()
    def sets(self) -> Tensor:
        """Return the sets of all items alone, [n + 1, t, D]."""
        middle = self.encoder(self.texts).unflatten(1, (-1, self._width))
        return torch.cat([self.project(self.collaborative)[:, None], middle], dim=1)


def _standardised(vectors: Tensor) -> Tensor:
    """Centre vectors [N, d], and scale them as a whole; what is the same for all items becomes 0."""
    centred = vectors - vectors.mean(0)
    return centred / centred.std().clamp(min=1e-6)


def _layers(widths: Sequence[int]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers[:-1])
