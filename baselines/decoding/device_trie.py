"""The trie on the device: its arrays as tensors, and the questions that a search asks in bulk."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any, Self

import torch
from torch import Tensor

from baselines.decoding.trie import Level, Trie
from models.padding import PADDING


@dataclass(frozen=True)
class Children:
    """The children of nodes [...], in rows as wide as the level's fan-out.

    Attributes:
        nodes: int32 [..., fan_out]; where there are fewer children, some real node.
        tokens: Their tokens, int64 [..., fan_out].
        real: Whether there is such a child, bool [..., fan_out].

    """

    nodes: Tensor
    tokens: Tensor
    real: Tensor


@dataclass(frozen=True)
class Vocabulary:
    """The tokens that occur at one level.

    Attributes:
        tokens: Ascending, int64 [W].
        place: Where each token of the whole trie stands among them, int64; 0 for those of other levels.

    """

    tokens: Tensor
    place: Tensor

    @classmethod
    def of(cls, tokens: Tensor, largest: int) -> Self:
        """List the distinct ones of `tokens`; `largest` is that of the whole trie."""
        distinct = tokens.unique().long()
        place = distinct.new_zeros(largest + 1)
        place[distinct] = torch.arange(len(distinct), device=place.device)
        return cls(distinct, place)


@dataclass(frozen=True)
class DeviceTrie:
    """`Trie` as tensors; nothing here reads anything back to the host.

    Attributes:
        indptr, tokens, items, leaves, first, place, sequences: As in `Trie`.
        levels: What is known of each level.
        starts: First node of each level, and the number of nodes.
        programs: Searches of this trie that have been compiled, by size; they live as long as it does.

    """

    indptr: Tensor
    tokens: Tensor
    items: Tensor
    leaves: Tensor
    first: Tensor
    place: Tensor
    sequences: Tensor
    levels: tuple[Level, ...]
    starts: tuple[int, ...]
    programs: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def vocabularies(self) -> tuple[Vocabulary, ...]:
        """The tokens of each level; made when first asked for."""
        ends = pairwise(self.starts)
        largest = int(self.tokens.max())
        return tuple(Vocabulary.of(self.tokens[first - 1 : last - 1], largest) for first, last in ends)

    @classmethod
    def of(cls, trie: Trie, device: torch.device) -> Self:
        """Copy a trie to a device."""

        def move(array: object) -> Tensor:
            return torch.as_tensor(array, device=device)

        return cls(
            indptr=move(trie.indptr),
            tokens=move(trie.tokens),
            items=move(trie.items),
            leaves=move(trie.leaves),
            first=move(trie.first),
            place=move(trie.place),
            sequences=move(trie.sequences),
            levels=trie.levels,
            starts=trie.starts,
        )

    def children(self, nodes: Tensor, level: int) -> Children:
        """Return the children of inner nodes int32 [...] that lie above `level`."""
        if self.levels[level].dense:
            return self._dense(nodes, level)
        edge = self.indptr[nodes][..., None]
        end = self.indptr[nodes + 1][..., None]
        edges = edge + torch.arange(self.levels[level].fan_out, dtype=torch.int32, device=nodes.device)
        real = edges < end
        edges = torch.minimum(edges, end - 1).clamp_(min=0)  # a leaf has no edge: it must not point before the first
        return Children(edges + 1, self.tokens[edges].long(), real)

    def _dense(self, nodes: Tensor, level: int) -> Children:
        """Return the children of nodes int32 [...] where all have the same tokens: places alone tell them."""
        first, width = self.starts[level], self.levels[level].fan_out
        above = self.starts[level - 1] if level else 0
        step = torch.arange(width, dtype=torch.int32, device=nodes.device)
        children = ((nodes - above) * width + first)[..., None] + step
        tokens = self.tokens[first - 1 : first - 1 + width].long().expand(children.shape)
        return Children(children, tokens, torch.ones_like(children, dtype=torch.bool))

    def walk(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Follow token sequences int64 [R, T] from the root, each as far as its first item.

        Returns:
            The nodes reached, int32 [R], and whether all tokens up to there lay in the tree, bool [R].

        """
        node = torch.zeros(len(tokens), dtype=torch.int32, device=tokens.device)
        inside = torch.ones_like(node, dtype=torch.bool)
        for level, token in enumerate(tokens.T):
            children = self.children(node, level)
            here = children.real & (children.tokens == token[:, None])
            arrived = self.items[node] != PADDING
            inside &= arrived | here.any(1)
            below = children.nodes.gather(1, here.int().argmax(1, keepdim=True))[:, 0]
            node = torch.where(arrived, node, below)
        return node, inside

    def places(self, seen_items: Tensor) -> Tensor:
        """Turn items int64 [B, H], padded with 0, into their distinct places in the trie, ascending."""
        order = torch.sort(seen_items, dim=1).values
        again = torch.zeros_like(order, dtype=torch.bool)
        again[:, 1:] = order[:, 1:] == order[:, :-1]
        outside = len(self.sequences)
        places = self.place[order].masked_fill(again | (order == PADDING), outside)
        return torch.sort(places, dim=1).values

    def exhausted(self, nodes: Tensor, places: Tensor, level: int) -> Tensor:
        """Tell which nodes int32 [B, ...] of a level lead to seen items only.

        Forbidding these removes seen items exactly, without a beam lost to a prefix that leads to
        nothing else. The items below a node stand side by side in the trie's order, so the seen
        ones among them are counted by two binary searches.
        """
        flat = nodes.reshape(len(nodes), -1)
        first = self.first[flat]
        leaves = self.leaves[flat] if level < len(self.levels) - 1 else 1
        seen = torch.searchsorted(places, first + leaves) - torch.searchsorted(places, first)
        return (seen == leaves).view(nodes.shape)


def on_device(trie: Trie, device: torch.device) -> DeviceTrie:
    """Return a trie's arrays on a device, copied there once.

    Args:
        trie: Whose.
        device: Where to.

    """
    if device not in trie.copies:
        trie.copies[device] = DeviceTrie.of(trie, device)
    device_trie: DeviceTrie = trie.copies[device]
    return device_trie
