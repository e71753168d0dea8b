"""The prefix tree over the catalogue's token sequences, as flat arrays.

Nodes are numbered level by level, siblings by token, so node 0 is the root and the edge into node
``e + 1`` is edge ``e``. The edges out of a node are ``indptr[node]..indptr[node + 1] - 1``; arrays
in this form (compressed sparse rows) can be put on a device as they are.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from models.recommender import PADDING

ROOT = 0
_END = -1  # fills the rows of short sequences; sorts before every token


class Leaves(StrEnum):
    """How many of a level's nodes are items."""

    NONE = "none"
    SOME = "some"
    ALL = "all"


@dataclass(frozen=True)
class Level:
    """What a search can know about one step down the tree before it begins.

    Attributes:
        fan_out: Most children of a node above.
        inner: How many nodes of the level have children of their own.
        leaves: Whether the nodes of the level are items.
        fewest_items: Least number of items below or at a node of the level.

    """

    fan_out: int
    inner: int
    leaves: Leaves
    fewest_items: int

    @property
    def forced(self) -> bool:
        """Whether every node above has one child: nothing is chosen here."""
        return self.fan_out == 1


@dataclass(frozen=True)
class Trie:
    """A prefix tree whose leaves are items.

    Attributes:
        indptr: First edge of each node, int32 [nodes + 1].
        tokens: Token of each edge, int32 [nodes - 1].
        parents: Parent of each node, the root's own being the root, int32 [nodes].
        items: Item of each leaf, `PADDING` at inner nodes, int32 [nodes].
        leaves: Items below or at each node, int32 [nodes].
        first: Place of each node's first item in the order of the sequences, int32 [nodes]; the
            items of a node stand at ``first .. first + leaves - 1``.
        starts: First node of each level below the root, and the number of nodes.
        fan_out: Most children of a node, by level from the root; its length is the depth.

    """

    indptr: NDArray[np.int32] = field(repr=False)
    tokens: NDArray[np.int32] = field(repr=False)
    parents: NDArray[np.int32] = field(repr=False)
    items: NDArray[np.int32] = field(repr=False)
    leaves: NDArray[np.int32] = field(repr=False)
    first: NDArray[np.int32] = field(repr=False)
    starts: tuple[int, ...] = field(repr=False)
    fan_out: tuple[int, ...]

    @classmethod
    def build(cls, sequences: Sequence[Sequence[int]]) -> Self:
        """Build the tree in O(N x L).

        Args:
            sequences: Tokens of item i at ``sequences[i - 1]``, the end of sequence included.

        Raises:
            ValueError: A sequence is empty, equals another's, or is the beginning of another's.

        """
        rows = _pad(sequences)  # [N, L]
        order = np.lexsort(rows.T[::-1])
        rows = rows[order]
        node = np.zeros(len(rows), dtype=np.int64)  # node of each row at the level before
        parents, tokens, fan_out, nodes = [np.zeros(1, dtype=np.int64)], [], [], 1
        leaves, first, starts = [np.array([len(rows)])], [np.zeros(1, dtype=np.int64)], []
        for level in range(rows.shape[1]):
            alive = np.flatnonzero(rows[:, level] != _END)
            above, token = node[alive], rows[alive, level]
            new = np.ones(len(alive), dtype=bool)
            new[1:] = (above[1:] != above[:-1]) | (token[1:] != token[:-1])
            below = np.cumsum(new) - 1
            node[alive] = nodes + below
            parents.append(above[new])
            tokens.append(token[new])
            leaves.append(np.bincount(below))
            first.append(alive[new])
            starts.append(nodes)
            fan_out.append(int(np.bincount(above[new] - above[0]).max()))
            nodes += int(new.sum())
        parent = np.concatenate(parents)
        children = np.bincount(parent[1:], minlength=nodes)
        if len(np.unique(node)) < len(rows) or children[node].any():
            raise ValueError("an item's token sequence equals or begins another's")
        items = np.full(nodes, PADDING, dtype=np.int32)
        items[node] = order + 1
        return cls(
            indptr=np.concatenate([[0], np.cumsum(children)]).astype(np.int32),
            tokens=np.concatenate(tokens).astype(np.int32),
            parents=parent.astype(np.int32),
            items=items,
            leaves=np.concatenate(leaves).astype(np.int32),
            first=np.concatenate(first).astype(np.int32),
            starts=(*starts, nodes),
            fan_out=tuple(fan_out),
        )

    @property
    def depth(self) -> int:
        """Tokens of the longest sequence."""
        return len(self.fan_out)

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        tree = (self.indptr, self.tokens, self.parents, self.items, self.leaves, self.first)
        arrays = (*tree, self.place, self.sequences)
        return sum(array.nbytes for array in arrays)

    @cached_property
    def levels(self) -> tuple[Level, ...]:
        """What is known of each level below the root."""
        found = []
        for level, fan_out in enumerate(self.fan_out):
            nodes = slice(self.starts[level], self.starts[level + 1])
            items = int((self.items[nodes] != PADDING).sum())
            inner = nodes.stop - nodes.start - items
            leaves = Leaves.ALL if inner == 0 else Leaves.SOME if items else Leaves.NONE
            found.append(Level(fan_out, inner, leaves, int(self.leaves[nodes].min())))
        return tuple(found)

    @property
    def last_token(self) -> int | None:
        """The token that ends every sequence, None where they end differently."""
        last = np.unique(self.tokens[np.flatnonzero(self.items[1:] != PADDING)])
        return int(last[0]) if len(last) == 1 else None

    @cached_property
    def place(self) -> NDArray[np.int32]:
        """Place of each item in the order of the sequences, int32 [n + 1]; that of padding means nothing."""
        return self.first[self._leaf]

    @cached_property
    def sequences(self) -> NDArray[np.int32]:
        """Tokens of each item, padded with 0, int32 [n + 1, depth]; row 0 is padding's."""
        rows = np.zeros((len(self._leaf), self.depth), dtype=np.int32)
        node = np.array(self._leaf)
        node[PADDING] = ROOT
        level = np.searchsorted(self.starts, node, side="right") - 1  # -1 at the root
        while (inside := np.flatnonzero(level >= 0)).size:
            rows[inside, level[inside]] = self.tokens[node[inside] - 1]
            node, level = self.parents[node], level - 1
        return rows

    @cached_property
    def copies(self) -> dict[torch.device, Any]:
        """What `baselines.decoding.device_trie` has made of the trie on each device."""
        return {}

    def step(self, node: int, token: int) -> int | None:
        """Return the child of `node` at `token`, None where there is none."""
        first, last = self._indptr[node], self._indptr[node + 1]
        edge = bisect_left(self._tokens, token, first, last)
        return edge + 1 if edge < last and self._tokens[edge] == token else None

    def find(self, prefix: Iterable[int]) -> int | None:
        """Return the node that `prefix` leads to from the root, None where it leaves the tree."""
        node = ROOT
        for token in prefix:
            child = self.step(node, token)
            if child is None:
                return None
            node = child
        return node

    def children(self, node: int) -> list[tuple[int, int]]:
        """Return the (token, child) pairs of a node, by token."""
        first, last = self._indptr[node], self._indptr[node + 1]
        return list(zip(self._tokens[first:last], range(first + 1, last + 1), strict=True))

    def exhausted(self, seen: Iterable[int]) -> frozenset[int]:
        """Return every node all of whose items are in `seen`, in O(items x depth).

        Forbidding these removes seen items exactly, without a beam lost to a prefix that leads
        to nothing else.
        """
        counts: Counter[int] = Counter()
        for item in set(seen) - {PADDING}:
            node = self._leaf[item]
            while node != ROOT:
                counts[node] += 1
                node = self._parents[node]
            counts[ROOT] += 1
        return frozenset(node for node, count in counts.items() if count == self.leaves[node])

    @cached_property
    def _leaf(self) -> list[int]:
        """Leaf of each item; Python lists are quicker than arrays to read one by one."""
        leaf = np.zeros(int(self.items.max()) + 1, dtype=np.int64)
        leaf[self.items] = np.arange(len(self.items))
        found: list[int] = leaf.tolist()
        return found

    @cached_property
    def _indptr(self) -> list[int]:
        values: list[int] = self.indptr.tolist()
        return values

    @cached_property
    def _tokens(self) -> list[int]:
        values: list[int] = self.tokens.tolist()
        return values

    @cached_property
    def _parents(self) -> list[int]:
        values: list[int] = self.parents.tolist()
        return values


def _pad(sequences: Sequence[Sequence[int]]) -> NDArray[np.int64]:
    lengths = np.array([len(sequence) for sequence in sequences])
    if not len(lengths) or lengths.min() == 0:
        raise ValueError("every item needs a token sequence that is not empty")
    rows = np.full((len(lengths), lengths.max()), _END, dtype=np.int64)
    filled = np.arange(rows.shape[1]) < lengths[:, None]
    rows[filled] = np.concatenate([np.asarray(sequence, dtype=np.int64) for sequence in sequences])
    return rows
