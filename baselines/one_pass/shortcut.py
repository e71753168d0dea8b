"""Shortcut: how far a dataset is solved by who follows whom and who is described alike, without training.

The probe of arXiv 2605.07125 (2026), which finds that a graph of item transitions from the last one or two items and
the similarity of item features are competitive with trained recommenders on many public datasets. The score of item j
for a user whose last items are i and i'::

    s(j) = S[i, j] + earlier * S[i', j]
    S = graph * (P + second_hop * P²) + text * cosine(TF-IDF)

P holds transitions between items at most three apart in training histories, weighted 1, 1/2, 1/4, half of that
backwards; rows sum to 1, after columns were divided by a power of their items' degree.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from scipy import sparse
from torch import Tensor
from torch.nn import functional
from transformers import BatchFeature

from models.catalogue import Catalogue, History
from models.errors import UserError
from models.item_words import tf_idf
from models.padding import PADDING
from models.ragged import pad
from models.recommender import Recommender, Settings
from models.serving import Recommendations, SeenItems
from models.spoken import Spoken

REACH = (1.0, 0.5, 0.25)
"""Weights of transitions to the next item, the one behind it, and the third."""

BACKWARDS = 0.5
"""Weight of a transition against the order of time, over that of one in it."""

BLOCK = 512
"""Rows of S that are held whole at a time."""

TIE_BREAK = 1e-6
"""The most that popularity adds to a score: it orders what nothing else tells apart."""

Weight = Annotated[float, Field(ge=0, le=100)]


class ShortcutSettings(Settings):
    """What counts, and how much.

    Attributes:
        graph: Weight of transitions; 0 leaves the similarity of texts alone.
        hops: Steps in the graph: 1 for transitions alone, 2 for transitions of transitions, too.
        second_hop: Weight of the second step over the first.
        text: Weight of the cosine of texts; 0 leaves the graph alone.
        earlier: Weight of the last item but one over the last.
        degree_power: Power of an item's degree that transitions to it are divided by.
        candidates: Largest scores of each item that are kept; what lies behind them ranks by popularity.

    """

    graph: Weight = 1.0
    hops: Annotated[int, Field(ge=1, le=2)] = 2
    second_hop: Weight = 0.3
    text: Weight = 0.03
    earlier: Weight = 0.3
    degree_power: Annotated[float, Field(ge=0, le=1)] = 0.3
    candidates: Annotated[int, Field(ge=1, le=100_000)] = 500


class Shortcut(Recommender):
    """Looks up what follows the last two items and what is described like them; nothing is trained."""

    settings_type = ShortcutSettings
    spoken = Spoken("Shortcut (no training)")
    near: Tensor
    scores: Tensor
    popularity: Tensor

    def __init__(self, transitions: sparse.csr_array, counts: NDArray[np.int64], settings: ShortcutSettings) -> None:
        super().__init__()
        self._transitions = transitions
        self._counts = counts
        self._settings = settings
        popularity = TIE_BREAK * counts / max(1, counts.max(initial=0))
        self.register_buffer("popularity", torch.from_numpy(popularity).float())
        self.register_buffer("near", torch.zeros(len(counts), 1, dtype=torch.int64))
        self.register_buffer("scores", torch.zeros(len(counts), 1))

    @classmethod
    def build(cls, catalogue: Catalogue, histories: Sequence[History], settings: Settings) -> Self:
        """Count the transitions of training histories."""
        assert isinstance(settings, ShortcutSettings)
        lengths = np.array([len(history.items) for history in histories], dtype=np.int64)
        flat = np.fromiter((item for history in histories for item in history.items), np.int64, int(lengths.sum()))
        users = np.repeat(np.arange(len(lengths)), lengths)
        size = len(catalogue) + 1
        graph = sparse.csr_array((size, size), dtype=np.float64)
        for apart, weight in enumerate(REACH, 1):
            same = users[apart:] == users[:-apart]
            first, second = flat[:-apart][same], flat[apart:][same]
            ones = np.full(len(first), weight)
            graph = graph + sparse.csr_array((ones, (first, second)), shape=(size, size))
            graph = graph + sparse.csr_array((BACKWARDS * ones, (second, first)), shape=(size, size))
        return cls(_normalised(graph, settings.degree_power), np.bincount(flat, minlength=size), settings)

    @property
    def index_parts(self) -> dict[str, int]:
        """Bytes of each item's neighbours and their scores."""
        return {"neighbours": self.near.nbytes + self.scores.nbytes}

    @property
    def counted(self) -> dict[str, NDArray[Any]]:
        """What was counted: transitions as weights, columns and starts of rows, and how often each item occurs."""
        rows = self._transitions
        return {"weights": rows.data, "columns": rows.indices, "starts": rows.indptr, "counts": self._counts}

    def index(self, catalogue: Catalogue) -> None:
        """Add up graph and texts for each item, and keep its largest scores.

        Raises:
            UserError: The catalogue has another size than the one whose transitions were counted.

        """
        size = self._transitions.shape[0]
        if len(catalogue) + 1 != size:
            raise UserError(
                f"shortcut counted {size - 1} items and {catalogue.name} has {len(catalogue)}: build it anew"
            )
        settings = self._settings
        words = tf_idf(catalogue) if settings.text else None
        kept = min(settings.candidates, size)
        near, scores = np.zeros((size, kept), dtype=np.int64), np.zeros((size, kept), dtype=np.float32)
        for start in range(0, size, BLOCK):
            rows = slice(start, min(start + BLOCK, size))
            block = np.zeros((rows.stop - rows.start, size), dtype=np.float32)
            if settings.graph:
                steps = self._transitions[rows]
                steps = steps + settings.second_hop * (steps @ self._transitions) if settings.hops > 1 else steps
                block += settings.graph * steps.toarray()
            if words is not None:
                block += settings.text * (words[rows] @ words.T).toarray()
            block[:, PADDING] = 0
            best = np.argpartition(-block, kept - 1, axis=1)[:, :kept]
            near[rows], scores[rows] = best, np.take_along_axis(block, best, axis=1)
        near[PADDING], scores[PADDING] = 0, 0  # a history that is empty has no last item
        device, dtype = self.popularity.device, self.popularity.dtype
        self.near = torch.from_numpy(near).to(device)
        self.scores = torch.from_numpy(scores).to(device, dtype)

    def prepare(self, histories: Sequence[History]) -> BatchFeature:
        """Return ``last`` int64 [B, 2], the last item and the one before; ``seen_items`` int64 [B, H], or empty."""
        keep = self.serving.seen is SeenItems.KEEP
        last = pad([tuple(reversed(history.items[-2:])) for history in histories])
        return BatchFeature(
            {
                "last": functional.pad(last, (0, 2 - last.shape[1]), value=PADDING),
                "seen_items": pad([() if keep else history.items for history in histories]),
            }
        )

    def forward_flops(self, inputs: BatchFeature) -> int:
        """Return 0: scores are looked up and added."""
        del inputs
        return 0

    def add_up(self, last: Tensor) -> Tensor:
        """Return each item's score, [B, n + 1], from the last two items int64 [B, 2]; no list, nothing is removed."""
        item_scores = self.popularity.repeat(len(last), 1)
        for place, weight in ((0, 1.0), (1, self._settings.earlier)):
            rows = last[:, place]
            item_scores.scatter_add_(1, self.near[rows], weight * self.scores[rows])
        return item_scores

    def recommend(self, inputs: BatchFeature, k: int) -> Recommendations:
        """Add the last two items' scores, take away what was seen, and rank."""
        seen = inputs["seen_items"]
        item_scores = self.add_up(inputs["last"])
        item_scores.scatter_(1, seen, -torch.inf)
        item_scores[:, PADDING] = -torch.inf
        scores, items = item_scores.topk(min(k, item_scores.shape[1]), dim=1)
        items = items.masked_fill(scores == -torch.inf, PADDING)
        missing = k - items.shape[1]
        return Recommendations(
            functional.pad(items, (0, missing), value=PADDING),
            functional.pad(scores.float(), (0, missing), value=-torch.inf),
        )


def _normalised(graph: sparse.csr_array, power: float) -> sparse.csr_array:
    """Divide columns by a power of their sum, then rows by theirs."""
    degree = np.maximum(graph.sum(axis=0), 1e-12)
    scaled = graph @ sparse.diags_array(degree**-power)
    rows = np.maximum(scaled.sum(axis=1), 1e-12)
    return sparse.csr_array(sparse.diags_array(1 / rows) @ scaled)
