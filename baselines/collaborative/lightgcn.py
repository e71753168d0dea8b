"""LightGCN: vectors of users and items, smoothed over the graph of who took what.

He et al. 2020 (arXiv 2002.02126): the mean of a table of embeddings and of what 1 to L steps over the normalised
bipartite graph make of it, trained by BPR (Rendle et al. 2009, arXiv 1205.2618) with one sampled item a pair. Steps
over the graph are torch's products of a sparse matrix in compressed rows. Differences: few steps, with batches four
times as large and a learning rate twenty times as high as published.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor
from torch.nn import functional

from models.catalogue import History

BATCH_SIZE, EPOCHS, MAX_STEPS, LEARNING_RATE = 8192, 60, 400, 2e-2
"""Interactions a step, and how long training takes: whichever bound of epochs and steps comes first."""

DECAY = 1e-4
"""Weight of the squared lengths of the embeddings that a batch reads, as published."""

START = 0.1
"""Standard deviation of the first embeddings, as in the authors' code."""


@dataclass(frozen=True)
class GraphVectors:
    """What LightGCN knows.

    Attributes:
        users: float32 [U, D] by user number; a user without interactions has a vector that says nothing.
        items: float32 [n + 1, D]; row 0 belongs to padding and is 0.

    """

    users: Tensor
    items: Tensor


def light_gcn(histories: Sequence[History], items: int, *, width: int, layers: int, seed: int) -> GraphVectors:
    """Train LightGCN; the seed alone decides what comes out, and torch's global generator is left as it was.

    Args:
        histories: Training histories.
        items: Size n of the catalogue.
        width: D.
        layers: Steps over the graph, L.
        seed: Seed of the embeddings and of the sampling.

    """
    rows = np.repeat([history.user for history in histories], [len(history.items) for history in histories])
    columns = np.fromiter(chain.from_iterable(history.items for history in histories), np.int64)
    users = int(rows.max(initial=-1)) + 1
    graph = Graph(rows, columns, (users, items + 1), layers)
    generator = torch.Generator().manual_seed(seed)
    start = [torch.randn(rows, width, generator=generator).mul_(START) for rows in (users, items + 1)]
    tables = [table.requires_grad_() for table in start]
    optimiser = torch.optim.Adam(tables, lr=LEARNING_RATE)
    pairs = torch.from_numpy(np.stack([rows, columns]))
    with torch.enable_grad():
        for some in _batches(pairs.shape[1], generator):
            taken, positive = pairs[:, some]
            negative = torch.randint(1, items + 1, taken.shape, generator=generator)
            places = torch.stack([positive, negative])
            of_users, of_items = graph(*tables)
            gaps = of_users[taken] * (of_items[positive] - of_items[negative])
            lengths = tables[0][taken].square().sum() + tables[1][places].square().sum()
            loss = functional.softplus(-gaps.sum(1)).mean() + DECAY * lengths / (2 * len(some))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    with torch.no_grad():
        of_users, of_items = graph(*tables)
    of_items[0] = 0
    return GraphVectors(of_users, of_items)


def _batches(pairs: int, generator: torch.Generator) -> list[Tensor]:
    """Deal interactions into the batches of all epochs."""
    each = max(1, -(-pairs // BATCH_SIZE))
    epochs = min(EPOCHS, -(-MAX_STEPS // each)) if pairs else 0
    dealt = [torch.randperm(pairs, generator=generator).split(BATCH_SIZE) for _ in range(epochs)]
    return list(chain.from_iterable(dealt))[:MAX_STEPS]


class Graph:
    """Users and items as one undirected graph, normalised by both ends' degrees.

    Args:
        users: User of each interaction, int64 [E].
        items: Item of each interaction, int64 [E].
        shape: Numbers of users and of items, those without interactions included.
        layers: Steps that `__call__` averages over, beside none.

    """

    def __init__(self, users: Any, items: Any, shape: tuple[int, int], layers: int) -> None:
        self._layers = layers
        taken = sparse.coo_array((np.ones(len(users), np.float32), (users, items)), shape).tocsr()
        taken.data[:] = 1  # taken twice is taken
        halves = [np.maximum(taken.sum(axis), 1) ** -0.5 for axis in (1, 0)]
        taken = sparse.csr_array(taken.multiply(halves[0][:, None]).multiply(halves[1][None, :]).astype(np.float32))
        self._to_users, self._to_items = _in_rows(taken), _in_rows(taken.T.tocsr())

    def __call__(self, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """Smooth embeddings of users [U, D] and items [n, D]."""
        smooth: tuple[Tensor, Tensor] = _Smooth.apply(users, items, self)
        return smooth

    def smooth(self, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """Do so without a gradient."""
        sums, step = (users.clone(), items.clone()), (users, items)
        for _ in range(self._layers):
            step = self._to_users @ step[1], self._to_items @ step[0]
            sums[0].add_(step[0])
            sums[1].add_(step[1])
        return sums[0].div_(self._layers + 1), sums[1].div_(self._layers + 1)


class _Smooth(torch.autograd.Function):
    """Smoothing is a symmetric matrix, so that its gradient is smoothed likewise."""

    @staticmethod
    def forward(ctx: Any, users: Tensor, items: Tensor, graph: Graph) -> tuple[Tensor, Tensor]:
        ctx.graph = graph
        return graph.smooth(users.detach(), items.detach())

    @staticmethod
    def backward(ctx: Any, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor, None]:
        return *ctx.graph.smooth(users, items), None


def _in_rows(matrix: Any) -> Tensor:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse", UserWarning)  # torch calls its compressed rows a beta
        return torch.sparse_csr_tensor(
            torch.from_numpy(matrix.indptr.astype(np.int64)),
            torch.from_numpy(matrix.indices.astype(np.int64)),
            torch.from_numpy(matrix.data),
            matrix.shape,
            check_invariants=True,
        )
