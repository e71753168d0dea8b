"""Collaborative item IDs: a path through clusters of items that the same users chose.

After "How to Index Item IDs for Recommendation Foundation Models" (Hua et al. 2023, arXiv
2305.06569) and OpenP5 (agiresearch/OpenP5): recursive spectral clustering of the co-occurrence
graph until a group is small enough; the ID is the path of cluster tokens and, last, the item's
place in its group.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heapify, heapreplace
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from sklearn.cluster import SpectralClustering

from models.catalogue import History

Group = NDArray[np.int64]

SMALL_ITEMS, LARGE_ITEMS = 1000, 5000
"""Where `default_clusters` changes."""

DENSE_ITEMS = 5000
"""Groups up to this size are clustered from a dense matrix: LAPACK then beats sparse iteration."""

CLUSTER_TOKEN = re.compile(r"<CI\d+>")


@dataclass(frozen=True)
class Clusters:
    """How finely items are clustered.

    Attributes:
        leaf_size: Most items of a group that is not split further; also how many tokens there are.
        count: Groups that a larger group is split into, at most `leaf_size`.

    """

    leaf_size: int
    count: int


def default_clusters(items: int) -> Clusters:
    """Return OpenP5's 100/20 (its MovieLens-1M) and 500/20 (its Beauty), smaller for small catalogues."""
    if items < SMALL_ITEMS:
        return Clusters(leaf_size=32, count=8)
    return Clusters(leaf_size=100 if items < LARGE_ITEMS else 500, count=20)


def cluster_tokens(clusters: Clusters) -> list[str]:
    """Return the words ``<CI0>`` ... that must be one token each."""
    return [f"<CI{number}>" for number in range(clusters.leaf_size)]


def collaborative_ids(items: int, histories: Sequence[History], clusters: Clusters, seed: int) -> list[str]:
    """Return the IDs of items 1..n, item i at ``[i - 1]``, such as ``<CI3><CI17>``.

    Cluster tokens are dealt out in turn over the whole tree, so that siblings differ and the
    same token seldom stands for clusters under different parents. The seed settles the IDs unless
    items are interchangeable in the graph (a star, a ring): rounding then decides between them.
    """
    graph = co_occurrence(items, histories)
    ids = [""] * items
    dealt = 0
    queue: deque[tuple[str, Group]] = deque([("", np.arange(items))])
    while queue:
        path, group = queue.popleft()
        if len(group) <= clusters.leaf_size:
            for place, item in enumerate(group):
                ids[item] = f"{path}<CI{place}>"
            continue
        for part in split(graph[group][:, group], clusters.count, seed):
            queue.append((f"{path}<CI{dealt % clusters.leaf_size}>", group[part]))
            dealt += 1
    return ids


def co_occurrence(items: int, histories: Sequence[History]) -> sparse.csr_array:
    """Count the users that two items share, float32 [n, n] with an empty diagonal."""
    rows = np.repeat(np.arange(len(histories)), [len(history.items) for history in histories])
    columns = np.fromiter((item - 1 for history in histories for item in history.items), dtype=np.int64)
    chosen = sparse.csr_array((np.ones(len(rows), dtype=np.float32), (rows, columns)), shape=(len(histories), items))
    chosen.data[:] = 1  # a user who came back counts once
    graph = sparse.csr_array(chosen.T @ chosen)
    graph.setdiag(0)
    graph.eliminate_zeros()
    return graph


def split(graph: sparse.csr_array, count: int, seed: int) -> list[Group]:
    """Split a group into at most `count` parts, given its co-occurrence graph [g, g].

    Spectral clustering is for connected graphs. So where one connected component holds most of the
    group, it is clustered and the items of the others are spread over the parts, the smallest part
    first; where none does, whole components are packed into parts of similar size. A component
    that cannot be clustered is cut evenly.

    Returns:
        Positions in the group, one ascending array a part, none of them empty; at least two where
        the group has two items.

    """
    pieces, component = connected_components(graph, directed=False)
    order = np.argsort(component, kind="stable")
    members = sorted(np.split(order, np.cumsum(np.bincount(component))[:-1]), key=len, reverse=True)
    if pieces > 1 and 2 * len(members[0]) <= graph.shape[0]:
        return _pack([[]] * min(count, pieces), members)
    giant = members[0]
    parts = []
    if len(giant) > count:
        labels = _cluster(graph[giant][:, giant], count, seed)
        parts = [giant[labels == label] for label in np.unique(labels)]
    if len(parts) < 2:  # noqa: PLR2004 - one part is no split
        parts = [part for part in np.array_split(giant, count) if len(part)]
    return _pack(parts, members[1:])


def _pack(parts: Sequence[Sequence[int] | Group], groups: Sequence[Group]) -> list[Group]:
    """Add each group to what is then the smallest part."""
    heap = [(len(part), number, [np.asarray(part, dtype=np.int64)]) for number, part in enumerate(parts)]
    heapify(heap)
    for group in groups:
        size, number, held = heap[0]
        heapreplace(heap, (size + len(group), number, [*held, group]))
    return [np.sort(np.concatenate(held)) for _, _, held in sorted(heap, key=itemgetter(1))]


def _cluster(graph: sparse.csr_array, count: int, seed: int) -> NDArray[np.int32]:
    size = graph.shape[0]
    graph = graph.astype(np.float64)
    affinity = graph.toarray() if size <= DENSE_ITEMS else graph
    spectral = SpectralClustering(
        n_clusters=count,
        affinity="precomputed",
        assign_labels="cluster_qr",
        eigen_solver="arpack" if size <= DENSE_ITEMS else "lobpcg",
        random_state=seed,
    )
    labels: NDArray[np.int32] = spectral.fit(affinity).labels_
    return labels
