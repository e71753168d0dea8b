"""The true log-probability of every item of the catalogue, without a search.

The trie is walked level by level: each node's token is read once, whatever number of items lies
below it, and its keys and values stay for the nodes under it. Leaves cost no forward pass, since
their token's probability follows from their parent's state. Users are walked one by one and nodes in
chunks, so that memory holds one user's keys and values of the inner nodes, and the logits of a chunk.

Comparing its ranking with a beam search's tells what the beam loses, or gains, by pruning.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from baselines.decoding import cache_size
from baselines.decoding.beams import Beams, Prompt
from baselines.decoding.decoder import TrieDecoder
from baselines.decoding.device_trie import Children, DeviceTrie, on_device
from baselines.decoding.scoring import log_probabilities, renormalised
from baselines.decoding.stack import SearchMemory, Stack, Step
from baselines.decoding.stacks import stack_of
from baselines.decoding.trie import Leaves, Trie
from models.decoder import ALL_ITEMS
from models.padding import PADDING
from models.phases import phase
from models.serving import Scores

CHUNK = 1024
"""Nodes read at a time."""


def exhaustive(
    model: Any, prompt: Prompt, trie: Trie, *, width: int, scores: Scores, seen_items: Tensor | None = None
) -> Beams:
    """Rank all items by their log-probability and return the best `width`; see `baselines.decoding.search`.

    Raises:
        UserError: The model's family is not known.

    """
    here = on_device(trie, prompt.mask.device)
    every = item_scores(model, prompt, here, scores=scores, seen_items=seen_items)
    with phase("rank"):
        best, items = every[:, 1:].topk(min(width, every.shape[1] - 1), dim=1)
        items = (items + 1).masked_fill(best == -torch.inf, PADDING)
        return Beams(here.sequences[items].long(), best, items)


EXHAUSTIVE = TrieDecoder(
    name="exhaustive", kind=ALL_ITEMS, has_beams=False, search=exhaustive, cache_bytes=cache_size.of_all_items
)


def item_scores(
    model: Any, prompt: Prompt, trie: DeviceTrie, *, scores: Scores, seen_items: Tensor | None = None
) -> Tensor:
    """Return every item's log-probability, float32 [B, n + 1]; -inf for padding and for seen items.

    Args:
        model: As `baselines.decoding.search` takes it.
        prompt: Prompts of B users.
        trie: On the model's device.
        scores: What the log-probabilities are taken over.
        seen_items: Items that may not come back, int64 [B, H] padded with 0; None removes nothing.

    Raises:
        UserError: The model's family is not known.

    """
    stack = stack_of(model)
    places = None if seen_items is None else trie.places(seen_items)
    rows = []
    for user in range(len(prompt)):
        user_slice = slice(user, user + 1)
        walk = _Walk(stack, trie, scores, None if places is None else places[user_slice])
        rows.append(walk.run(Prompt(prompt.embeddings[user_slice], prompt.mask[user_slice])))
    return torch.cat(rows)


class _Walk:
    """One user's way through the whole trie."""

    def __init__(self, stack: Stack, trie: DeviceTrie, scores: Scores, places: Tensor | None) -> None:
        self._stack = stack
        self._trie = trie
        self._scores = scores
        self._places = places
        inner = [about.inner for about in trie.levels]
        self._room = sum(inner)
        self._found = trie.indptr.new_full((1, len(trie.sequences)), -torch.inf, dtype=torch.float32)

    def run(self, prompt: Prompt) -> Tensor:
        depth = len(self._trie.levels)
        nothing = prompt.mask.new_empty(0)
        states, memory = self._stack.begin(prompt, nothing, depth=depth, room=self._room)
        nodes = nothing.new_zeros(1, 1, dtype=torch.int32)  # the root
        total = states.new_zeros(1, 1, dtype=torch.float32)
        paths = nothing.new_empty(1, 1, 0)
        for level in range(depth):
            children, chances = self._score(states, nodes, level)
            reached = total[..., None] + chances  # [1, nodes, fan-out]
            kept = children.real.flatten(1)[0].nonzero()[
                :, 0
            ]  # how many there are decides the work: the host must know
            parent = kept // children.real.shape[2]
            nodes = children.nodes.flatten(1)[:, kept]
            tokens, total = children.tokens.flatten(1)[:, kept], reached.flatten(1)[:, kept]
            items = self._trie.items[nodes[0]].long()
            self._found[0, items] = torch.where(items == PADDING, -torch.inf, total[0])
            if self._trie.levels[level].leaves is Leaves.ALL:
                break
            inner = (items == PADDING).nonzero()[:, 0]
            nodes, tokens, total = nodes[:, inner], tokens[:, inner], total[:, inner]
            states, paths = self._read(memory, tokens, paths[:, parent[inner]], level)
        return self._found

    def _score(self, states: Tensor, nodes: Tensor, level: int) -> tuple[Children, Tensor]:
        """Return all children of `nodes` [1, R] and their log-probabilities after `states` [1, R, D]."""
        with phase(f"level {level + 1}: trie"):
            children = self._trie.children(nodes, level)
            allowed = children.real
            if self._places is not None:
                allowed = allowed & ~self._trie.exhausted(children.nodes, self._places, level)
        with phase(f"level {level + 1}: head"):
            if self._scores is Scores.RENORMALISED:
                tokens = self._trie.vocabularies[level]
                chances = renormalised(self._stack, states, children, allowed, tokens)
            else:
                chances = log_probabilities(self._stack, states, children.tokens)
        return children, chances.masked_fill(~allowed, -torch.inf)

    def _read(self, memory: SearchMemory, tokens: Tensor, above: Tensor, level: int) -> tuple[Tensor, Tensor]:
        """Feed every node's token behind the path above it [1, R, level]; states [1, R, D] and paths."""
        states, paths = [], []
        for some, over in zip(tokens.split(CHUNK, dim=1), above.split(CHUNK, dim=1), strict=True):
            slots = torch.arange(some.shape[1], device=some.device)[None, :, None] + memory.used
            path = torch.cat([over, slots], dim=2)
            states.append(self._stack.extend(memory, Step(f"level {level + 2}", some[..., None], path))[:, :, -1])
            paths.append(path)
        return torch.cat(states, dim=1), torch.cat(paths, dim=1)
