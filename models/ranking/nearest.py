"""Approximate rankers: indexes of faiss, which look at few of the items (Douze et al. 2024, arXiv 2401.08281).

``ivf`` clusters items and searches the clusters whose centres have the greatest inner products; ``hnsw`` walks a graph
of neighbours. Both nominate; nominees are scored again in float32. A user who has seen h items is looked up with
k + h places, so that k are left; where an index finds fewer than there are, every item is scored.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.errors import UserError
from models.padding import PADDING
from models.ranking import exact
from models.ranking.lists import lists
from models.ranking.ranker import CatalogueRanker, Index, Rows
from models.serving import Recommendations

LISTS_PER_ROOT = 2
"""Clusters of ``ivf``, as a multiple of the square root of the number of items."""

FEWEST_PER_LIST = 39
"""Items that faiss wants to see of each cluster to find its centre."""

ROUNDS, SEEN_PER_LIST = 10, 64
"""Rounds of the clustering, and items of each cluster that it sees: with faiss's own 25 and 256 it takes minutes."""

SEARCHED = 1 / 16
"""Share of the clusters that ``ivf`` searches, and `LEAST_SEARCHED` at least."""

LEAST_SEARCHED = 16

NEIGHBOURS, BUILD_WIDTH, SEARCH_WIDTH = 32, 100, 256
"""Neighbours of an item in the graph of ``hnsw``, and items that building and searching keep in view."""


class Nearest(Index):
    """An index of faiss over item vectors, the bias as one more column.

    Args:
        rows: [n + 1, D].
        bias: [n + 1]; None for none.

    Raises:
        UserError: faiss is not installed, or the vectors are on a GPU.

    """

    def __init__(self, rows: Rows, bias: Tensor | None) -> None:
        self._faiss = _faiss()
        self._rows, self._bias = rows, bias
        vectors = rows.float().detach()
        if vectors.device.type != "cpu":
            raise UserError(f"{type(self).__name__.lower()} ranks on CPUs, and this device is {vectors.device}")
        if bias is not None:
            vectors = torch.cat([vectors, bias.detach().float()[:, None]], 1)
        self._items = len(vectors) - 1
        self._faiss.omp_set_num_threads(torch.get_num_threads())
        self._index = self._made(np.ascontiguousarray(vectors[1:].numpy()))  # row 0 is padding

    def rank(self, query: Tensor, k: int, seen_items: Tensor | None = None) -> Recommendations:
        """Look k + h places up, take away what was seen, and score the others again."""
        most = 0 if seen_items is None else seen_items.shape[1]
        nominees = self._nominees(query, min(k + most, self._items))  # [B, places]
        nominees = nominees if seen_items is None else _without(nominees, seen_items)
        best = torch.zeros(nominees.shape).masked_fill_(nominees == PADDING, -torch.inf)
        ranked = lists(*exact.rescored(query, self._rows, self._bias, best, nominees, k), k)
        return self._filled(ranked, query, k, seen_items)

    def _nominees(self, query: Tensor, places: int) -> Tensor:
        """Return item numbers, int64 [B, places]; `PADDING` where fewer were found."""
        asked = query.detach().float()
        if self._bias is not None:
            asked = torch.cat([asked, torch.ones(len(asked), 1)], 1)
        self._faiss.omp_set_num_threads(torch.get_num_threads())
        _, rows = self._index.search(np.ascontiguousarray(asked.numpy()), places, params=self._how(places))
        return torch.from_numpy(rows) + 1  # faiss counts from 0, and says -1 where it found none

    def _filled(self, ranked: Recommendations, query: Tensor, k: int, seen_items: Tensor | None) -> Recommendations:
        """Score every item for users whose list is shorter than it could be."""
        gone = 0 if seen_items is None else _different(seen_items)
        short = (ranked.items != PADDING).sum(1) < torch.as_tensor(self._items - gone).clamp(0, k)
        if bool(short.any()):
            seen = None if seen_items is None else seen_items[short]
            full_lists = exact.rank_items(query[short], self._rows, k, seen, self._bias)
            ranked.items[short], ranked.scores[short] = full_lists.items, full_lists.scores
        return ranked

    @abstractmethod
    def _made(self, vectors: Any) -> Any:
        """Build over float32 [n, D], and set what is to be told."""

    @abstractmethod
    def _how(self, places: int) -> Any:
        """Return faiss's parameters of a search for so many places."""


class IVF(Nearest):
    """Clusters of items, see `Nearest`."""

    def _made(self, vectors: Any) -> Any:
        items, width = vectors.shape
        count = max(1, min(round(LISTS_PER_ROOT * math.sqrt(items)), items // FEWEST_PER_LIST))
        self._searched = min(count, max(LEAST_SEARCHED, math.ceil(count * SEARCHED)))
        centres = self._faiss.IndexFlatIP(width)
        index = self._faiss.IndexIVFFlat(centres, width, count, self._faiss.METRIC_INNER_PRODUCT)
        index.cp.seed, index.cp.niter = 0, ROUNDS
        index.cp.min_points_per_centroid, index.cp.max_points_per_centroid = 1, SEEN_PER_LIST
        index.train(vectors)
        index.add(vectors)
        self._centres = centres  # faiss only borrows them
        self.nbytes = index.ntotal * (index.code_size + 8) + centres.ntotal * width * 4
        self.details = f"{self._searched:,} of {count:,} lists searched"
        return index

    def _how(self, places: int) -> Any:
        del places
        return self._faiss.SearchParametersIVF(nprobe=self._searched)


class HNSW(Nearest):
    """A graph of items, see `Nearest` (Malkov and Yashunin 2016, arXiv 1603.09320)."""

    def _made(self, vectors: Any) -> Any:
        index = self._faiss.IndexHNSWFlat(vectors.shape[1], NEIGHBOURS, self._faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = BUILD_WIDTH
        index.add(vectors)
        graph = index.hnsw
        self.nbytes = vectors.nbytes + 4 * (graph.neighbors.size() + graph.levels.size()) + 8 * graph.offsets.size()
        self.details = f"{NEIGHBOURS} neighbours, {SEARCH_WIDTH} in view"
        return index

    def _how(self, places: int) -> Any:
        return self._faiss.SearchParametersHNSW(efSearch=max(SEARCH_WIDTH, places))


def _faiss() -> ModuleType:
    try:
        import faiss
    except ImportError as error:
        raise UserError(
            f"approximate rankers need faiss ({error}): install it with pip install 'lite-llm4rec-bench[ann]'"
        ) from error
    module: ModuleType = faiss
    return module


def _without(nominees: Tensor, seen_items: Tensor) -> Tensor:
    """Put `PADDING` in place of items that were seen, [B, places]."""
    ordered = seen_items.sort(1).values
    place = torch.searchsorted(ordered, nominees).clamp(max=ordered.shape[1] - 1)
    return nominees.masked_fill(ordered.gather(1, place) == nominees, PADDING)


def _different(seen_items: Tensor) -> Tensor:
    """Count the different items of each row, [B]."""
    ordered = seen_items.sort(1).values
    fresh = (ordered[:, 1:] != ordered[:, :-1]).sum(1) + 1
    return fresh - (ordered[:, 0] == PADDING).long()


IVF_RANKER = CatalogueRanker(name="ivf", kind="clusters of items (faiss)", is_counted=False, build=IVF)
HNSW_RANKER = CatalogueRanker(name="hnsw", kind="graph of items (faiss)", is_counted=False, build=HNSW)
