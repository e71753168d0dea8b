"""The prefix tree over the catalogue's token sequences, as flat arrays.

Nodes are numbered level by level, siblings by token, so node 0 is the root and the edge into node
``e + 1`` is edge ``e``. The edges out of a node are ``indptr[node]..indptr[node + 1] - 1``; arrays
in this form (compressed sparse rows) can be put on a device as they are. The nodes of the last level
have neither edges nor anything below them, so nothing of that is kept for them; nor are edges looked up
in dense levels, in which every node above has every token. So twenty million semantic IDs of four
codes below 256 take less than 40 bytes an item.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from itertools import chain
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from models.padding import PADDING

ROOT = 0
MOST_BITS = 63
Tokens = NDArray[np.int16] | NDArray[np.int32]
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
        dense: Whether all nodes above have the same children, so that these need not be looked up.

    """

    fan_out: int
    inner: int
    leaves: Leaves
    fewest_items: int
    dense: bool = False

    @property
    def forced(self) -> bool:
        """Whether every node above has one child: nothing is chosen here."""
        return self.fan_out == 1


@dataclass(frozen=True)
class Trie:
    """A prefix tree whose leaves are items.

    Attributes:
        indptr: First edge of each node above the last level, and the number of edges, int32 [inner + 1].
        tokens: Token of each edge, int16 where all fit, else int32 [nodes - 1].
        items: Item of each leaf, `PADDING` at inner nodes, int32 [nodes].
        leaves: Items below or at each node above the last level, int32 [inner].
        first: Place of each node's first item in the order of the sequences, int32 [nodes]; the
            items of a node stand at ``first .. first + leaves - 1``.
        place: Place of each item in that order, int32 [n + 1]; that of padding means nothing.
        sequences: Tokens of each item, padded with 0, of the tokens' type [n + 1, depth]; row 0 is padding's.
        starts: First node of each level below the root, and the number of nodes.
        fan_out: Most children of a node, by level from the root; its length is the depth.

    """

    indptr: NDArray[np.int32] = field(repr=False)
    tokens: Tokens = field(repr=False)
    items: NDArray[np.int32] = field(repr=False)
    leaves: NDArray[np.int32] = field(repr=False)
    first: NDArray[np.int32] = field(repr=False)
    place: NDArray[np.int32] = field(repr=False)
    sequences: Tokens = field(repr=False)
    starts: tuple[int, ...] = field(repr=False)
    fan_out: tuple[int, ...]

    @classmethod
    def build(cls, sequences: Sequence[Sequence[int]] | NDArray[np.integer[Any]]) -> Self:
        """Build the tree in O(N x L) beside one sort.

        Args:
            sequences: Tokens of item i at ``sequences[i - 1]``, the end of sequence included; or all of
                them, where they have one length, as an array [n, L].

        Raises:
            ValueError: A sequence is empty, equals another's, or is the beginning of another's.

        """
        given: NDArray[Any] = sequences if isinstance(sequences, np.ndarray) else _pad(sequences)  # [N, L]
        if not given.size:
            raise ValueError("every item needs a token sequence that is not empty")
        narrow: Any = np.int16 if given.max() <= np.iinfo(np.int16).max else np.int32
        rows: Tokens = given.astype(narrow, copy=False)
        order = _sorted(rows)
        node = np.zeros(len(rows), dtype=np.int32)  # node of each row at the level before
        children: list[NDArray[np.int64]] = []  # of the nodes of each level but the last
        tokens, firsts, leaves, starts, nodes, above = [], [np.zeros(1, dtype=np.int32)], [], [], 1, 0
        for level in range(rows.shape[1]):
            token = rows[order, level]
            alive = np.flatnonzero(token != _END) if (token == _END).any() else np.arange(len(rows), dtype=np.int32)
            token, parent = token[alive], node[alive]
            new = np.ones(len(alive), dtype=bool)
            new[1:] = (parent[1:] != parent[:-1]) | (token[1:] != token[:-1])
            starts.append(nodes)
            below = np.cumsum(new, dtype=np.int32)
            below += nodes - 1
            node[alive] = below
            tokens.append(token[new])
            firsts.append(alive[new].astype(np.int32))
            leaves.append(np.bincount(below - nodes).astype(np.int32))
            children.append(np.bincount(parent[new] - above, minlength=nodes - above))
            above, nodes = nodes, nodes + int(new.sum())
        counts = np.concatenate(children)  # [inner]
        inside = node < len(counts)
        if len(np.unique(node)) < len(rows) or counts[node[inside]].any():
            raise ValueError("an item's token sequence equals or begins another's")
        items = np.full(nodes, PADDING, dtype=np.int32)
        items[node] = order + 1
        place = np.zeros(len(rows) + 1, dtype=np.int32)
        place[order + 1] = np.arange(len(rows), dtype=np.int32)
        written = np.zeros((len(rows) + 1, rows.shape[1]), dtype=narrow)
        np.copyto(written[1:], rows, where=rows != _END)
        return cls(
            indptr=np.concatenate([[0], np.cumsum(counts)]).astype(np.int32),
            tokens=np.concatenate(tokens),
            items=items,
            leaves=np.concatenate([np.array([len(rows)], dtype=np.int32), *leaves[:-1]]),
            first=np.concatenate(firsts),
            place=place,
            sequences=written,
            starts=(*starts, nodes),
            fan_out=tuple(int(level.max()) for level in children),
        )

    @property
    def depth(self) -> int:
        """Tokens of the longest sequence."""
        return len(self.fan_out)

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        arrays = (self.indptr, self.tokens, self.items, self.leaves, self.first, self.place, self.sequences)
        return sum(array.nbytes for array in arrays)

    @cached_property
    def levels(self) -> tuple[Level, ...]:
        """What is known of each level below the root."""
        levels = []
        for level, fan_out in enumerate(self.fan_out):
            nodes = slice(self.starts[level], self.starts[level + 1])
            items = int((self.items[nodes] != PADDING).sum())
            inner = nodes.stop - nodes.start - items
            leaves = Leaves.ALL if inner == 0 else Leaves.SOME if items else Leaves.NONE
            fewest = int(self.leaves[nodes].min()) if nodes.stop <= len(self.leaves) else 1
            levels.append(Level(fan_out, inner, leaves, fewest, self._is_dense(level)))
        return tuple(levels)

    def _is_dense(self, level: int) -> bool:
        """Tell whether all nodes above a level have the same children, and none above is an item."""
        if level and (self.items[: self.starts[level]] != PADDING).any():
            return False
        first, end = self.starts[level], self.starts[level + 1]
        above = first - (self.starts[level - 1] if level else ROOT)
        width = self.fan_out[level]
        if above * width != end - first:
            return False
        tokens = self.tokens[first - 1 : end - 1].reshape(above, width)
        return bool((tokens == tokens[0]).all())

    @property
    def last_token(self) -> int | None:
        """The token that ends every sequence, None where they end differently."""
        last = np.unique(self.tokens[np.flatnonzero(self.items[1:] != PADDING)])
        return int(last[0]) if len(last) == 1 else None

    @cached_property
    def parents(self) -> NDArray[np.int32]:
        """Parent of each node, the root's own being the root, int32 [nodes]."""
        edges = np.diff(self.indptr)
        return np.concatenate([[ROOT], np.repeat(np.arange(len(edges)), edges)]).astype(np.int32)

    @cached_property
    def copies(self) -> dict[torch.device, Any]:
        """What `baselines.decoding.device_trie` has made of the trie on each device."""
        return {}

    def step(self, node: int, token: int) -> int | None:
        """Return the child of `node` at `token`, None where there is none."""
        first, last = self._edges(node)
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
        first, last = self._edges(node)
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
        return frozenset(node for node, count in counts.items() if count == self.count(node))

    def count(self, node: int) -> int:
        """Count the items below or at a node."""
        return int(self.leaves[node]) if node < len(self.leaves) else 1

    def _edges(self, node: int) -> tuple[int, int]:
        """Return the first edge out of a node, and the one behind the last."""
        return (self._indptr[node], self._indptr[node + 1]) if node < len(self.leaves) else (0, 0)

    @cached_property
    def _leaf(self) -> list[int]:
        """Leaf of each item; Python lists are quicker than arrays to read one by one."""
        leaf = np.zeros(int(self.items.max()) + 1, dtype=np.int64)
        leaf[self.items] = np.arange(len(self.items))
        leaf_of_item: list[int] = leaf.tolist()
        return leaf_of_item

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
    rows[filled] = np.fromiter(chain.from_iterable(sequences), np.int64, int(lengths.sum()))
    return rows


def _sorted(rows: Tokens) -> NDArray[np.integer[Any]]:
    """Return the order in which rows [N, L] ascend; by one sort of numbers where a row fits into 63 bits."""
    bits = [(int(column.max()) - _END).bit_length() for column in rows.T]
    if sum(bits) > MOST_BITS:
        return np.lexsort(rows.T[::-1])
    key = np.zeros(len(rows), dtype=np.int64)
    for column, width in zip(rows.T, bits, strict=True):
        key <<= width
        key += column
        key -= _END
    return np.argsort(key).astype(np.int32)
