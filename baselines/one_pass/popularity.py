"""Popularity: every user gets the items with the most training interactions. The floor."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional
from transformers import BatchFeature

from models.catalogue import Catalogue, History
from models.errors import UserError
from models.padding import PADDING
from models.ragged import pad
from models.recommender import Recommender, Settings
from models.serving import Recommendations, SeenItems
from models.spoken import Spoken


class Popularity(Recommender):
    """Ranks by how often an item occurs in the training part; equal counts tie."""

    spoken = Spoken("Popularity")
    counts: Tensor
    order: Tensor

    def __init__(self, counts: Tensor) -> None:
        super().__init__()
        self.register_buffer("counts", counts)
        self.register_buffer("order", counts[1:].argsort(descending=True, stable=True) + 1)

    @classmethod
    def build(cls, catalogue: Catalogue, histories: Sequence[History], settings: Settings) -> Self:
        """Count the training histories."""
        del settings
        items = torch.tensor(list(chain.from_iterable(history.items for history in histories)), dtype=torch.int64)
        return cls(torch.bincount(items, minlength=len(catalogue) + 1))

    def index(self, catalogue: Catalogue) -> None:
        """Check that the catalogue is as large as the one counted; the counts are the index.

        Raises:
            UserError: The catalogue has another size.

        """
        counted = len(self.counts) - 1
        if len(catalogue) != counted:
            raise UserError(
                f"popularity counted {counted} items and {catalogue.name} has {len(catalogue)}: build it anew"
            )

    def prepare(self, histories: Sequence[History]) -> BatchFeature:
        """Return ``seen_items`` int64 [B, H], empty lists when seen items may come back."""
        keep = self.serving.seen is SeenItems.KEEP
        return BatchFeature({"seen_items": pad([() if keep else history.items for history in histories])})

    def forward_flops(self, inputs: BatchFeature) -> int:
        """Return 0: nothing is multiplied."""
        del inputs
        return 0

    def recommend(self, inputs: BatchFeature, k: int) -> Recommendations:
        """Rank by count."""
        seen = inputs["seen_items"]
        most = min(k + seen.shape[1], len(self.order))  # enough, even if all that was seen comes first
        places = torch.full_like(self.counts, most)
        places[self.order[:most]] = torch.arange(most, device=seen.device)
        ranks = torch.arange(most + 1, device=seen.device).repeat(len(seen), 1)
        ranks.scatter_(1, places[seen], value=most)  # [B, most + 1], the last for what lies behind
        ranks = ranks[:, :most].topk(min(k, most), dim=1, largest=False).values
        items = functional.pad(self.order[:most], (0, 1), value=PADDING)[ranks]
        scores = self.counts[items].float().masked_fill(items == PADDING, -torch.inf)
        missing = k - items.shape[1]
        return Recommendations(
            functional.pad(items, (0, missing), value=PADDING), functional.pad(scores, (0, missing), value=-torch.inf)
        )
