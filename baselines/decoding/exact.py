"""The exact beam search: the lists of `reference`, without its waste.

What a user's beams share is computed once a user (`baselines.decoding.stack`); the first step has one
row a user; tokens that every ID begins with are read together with the prompt or the decoder start;
scores are gathered at the trie's children, so that the best are chosen among beams x fan-out
candidates, not beams x vocabulary; nothing is read back to the host, and all shapes follow from the
trie and the sizes of the request.

Where one level's nodes all have a single child, nothing is chosen, so its token is fed together with
the one before it. With scores renormalised over the allowed tokens such a token even has
log-probability 0, and costs no forward pass at the end of an ID.
"""

from __future__ import annotations

from dataclasses import dataclass
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
from models.padding import PADDING
from models.phases import phase
from models.serving import Scores


def exact(
    model: Any, prompt: Prompt, trie: Trie, *, width: int, scores: Scores, seen_items: Tensor | None = None
) -> Beams:
    """Search as `reference` does and return the same lists; see `baselines.decoding.search`.

    Raises:
        UserError: The model's family is not known.

    """
    return run(stack_of(model), prompt, on_device(trie, prompt.mask.device), width, scores, seen_items)


EXACT = TrieDecoder(name="exact", search=exact, rung=2, cache_bytes=cache_size.of_pool, reads_on=True)


def run(stack: Stack, prompt: Prompt, trie: DeviceTrie, width: int, scores: Scores, seen_items: Tensor | None) -> Beams:
    """Search on the device from prompts to items; a function of tensors alone, so that it can be compiled."""
    places = None if seen_items is None else trie.places(seen_items)
    return _Search(stack, trie, width, scores, places).run(prompt)


@dataclass
class _Running:
    """Beams that are not at an item yet.

    Attributes:
        nodes: Where they are in the trie, int32 [B, K].
        scores: So far, float32 [B, K]; -inf for none.
        fed: Pool slots of the tokens that the model has read, int64 [B, K, T].
        pending: Tokens it has not, int64 [B, K, m].
        states: From which the next token is predicted, [B, K, D]; None while tokens are pending.

    """

    nodes: Tensor
    scores: Tensor
    fed: Tensor
    pending: Tensor
    states: Tensor | None


class _Search:
    """One search over B users."""

    def __init__(self, stack: Stack, trie: DeviceTrie, width: int, scores: Scores, places: Tensor | None) -> None:
        self._stack = stack
        self._trie = trie
        self._width = width
        self._scores = scores
        self._places = places
        self._ended: list[tuple[Tensor, Tensor]] = []
        forced = [level.forced for level in trie.levels]
        self._first = next((place for place, token in enumerate(forced) if not token), len(forced))
        self._first = min(self._first, len(forced) - 1)

    def run(self, prompt: Prompt) -> Beams:
        depth = len(self._trie.levels)
        forced = self._trie.tokens[: self._first].long()  # down the stem, edge i leads from node i to i + 1
        states, memory = self._stack.begin(prompt, forced, depth=depth, room=self._width * depth)
        beams = self._stem(states, forced)
        for level in range(self._first, depth):
            beams = self._descend(memory, beams, level)
        with phase("rank"):
            return self._rank()

    def _stem(self, states: Tensor, forced: Tensor) -> _Running:
        """Put one beam a user behind the tokens that all IDs begin with."""
        users = len(states)
        total = states.new_zeros(users, 1, dtype=torch.float32)
        if self._scores is Scores.FULL_VOCAB and len(forced):
            with phase("decode step 1: head"):
                log_probs = log_probabilities(self._stack, states[:, :-1], forced.expand(users, -1)[..., None])
                total = log_probs[..., 0].sum(1, keepdim=True)
        nodes = forced.new_full((users, 1), self._first, dtype=torch.int32)
        empty = forced.new_empty(users, 1, 0)
        return _Running(nodes, total, empty, empty, states[:, -1:])

    def _descend(self, memory: SearchMemory, beams: _Running, level: int) -> _Running:
        """Go one level down; what ends there is put aside."""
        about = self._trie.levels[level]
        name = f"decode step {level - self._first + 1}"
        given = about.forced and (self._scores is Scores.RENORMALISED or about.leaves is Leaves.NONE)
        if given and self._first < level:
            with phase(f"{name}: trie + top-k"):
                children = self._trie.children(beams.nodes, level)
                return self._follow(beams, children, level)
        self._read(memory, beams, name)
        assert beams.states is not None
        with phase(f"{name}: trie + top-k"):
            children = self._trie.children(beams.nodes, level)
            allowed = self._allowed(children, level)
        with phase(f"{name}: head"):
            if self._scores is Scores.RENORMALISED:
                tokens = self._trie.vocabularies[level]
                chances = renormalised(self._stack, beams.states, children, allowed, tokens)
            else:
                chances = log_probabilities(self._stack, beams.states, children.tokens)
        with phase(f"{name}: trie + top-k"):
            candidates = torch.where(allowed, beams.scores[..., None] + chances, -torch.inf)
            return self._choose(beams, children, candidates, level)

    def _follow(self, beams: _Running, children: Children, level: int) -> _Running:
        """Take every beam's only child, whose token needs no prediction, or none yet."""
        if self._trie.levels[level].leaves is not Leaves.NONE:
            return self._choose(beams, children, beams.scores[..., None], level)
        pending = torch.cat([beams.pending, children.tokens], dim=2)
        return _Running(children.nodes[..., 0], beams.scores, beams.fed, pending, None)

    def _read(self, memory: SearchMemory, beams: _Running, name: str) -> None:
        """Feed the pending tokens; the chances of those that were only followed are added now."""
        if beams.states is not None:
            return
        users, count, row = beams.pending.shape
        slots = torch.arange(count * row, device=beams.pending.device).view(1, count, row) + memory.used
        fed = torch.cat([beams.fed, slots.expand(users, -1, -1)], dim=2)
        states = self._stack.extend(memory, Step(name, beams.pending, fed))
        if row > 1 and self._scores is Scores.FULL_VOCAB:
            with phase(f"{name}: head"):
                log_probs = log_probabilities(self._stack, states[:, :, :-1], beams.pending[:, :, 1:, None])
                beams.scores = beams.scores + log_probs[..., 0].sum(2)
        beams.fed, beams.states = fed, states[:, :, -1]

    def _allowed(self, children: Children, level: int) -> Tensor:
        """Tell which children are real and lead to an item that may come back, bool [B, K, fan-out]."""
        if self._places is None or self._trie.levels[level].fewest_items > self._places.shape[1]:
            return children.real
        return children.real & ~self._trie.exhausted(children.nodes, self._places, level)

    def _choose(self, beams: _Running, children: Children, candidates: Tensor, level: int) -> _Running:
        """Keep the best of `candidates` float32 [B, K, fan-out]: items are put aside, the others run on."""
        about = self._trie.levels[level]
        users, count, fan_out = candidates.shape
        flat = candidates.view(users, -1)
        nodes = children.nodes.reshape(users, -1)
        if about.leaves is Leaves.NONE:
            scores, chosen = flat.topk(min(self._width, about.inner, count * fan_out), dim=1)
        elif about.leaves is Leaves.ALL:
            scores, chosen = flat.topk(min(self._width, count * fan_out), dim=1)
            self._ended.append((scores, self._trie.items[nodes.gather(1, chosen)].long()))
            return beams
        else:
            scores, chosen = flat.topk(min(2 * self._width, count * fan_out), dim=1)
            items = self._trie.items[nodes.gather(1, chosen)].long()
            ended = scores.masked_fill(items == PADDING, -torch.inf)
            self._ended.append((ended[:, : self._width], items[:, : self._width]))
            running = scores.masked_fill(items != PADDING, -torch.inf)
            scores, kept = running.topk(min(self._width, about.inner, scores.shape[1]), dim=1)
            chosen = chosen.gather(1, kept)
        parent = chosen // fan_out
        tokens = children.tokens.reshape(users, -1).gather(1, chosen)
        fed, pending = _of_parents(beams.fed, parent), _of_parents(beams.pending, parent)
        if beams.states is not None:  # all pending tokens have been read
            pending = pending[:, :, :0]
        return _Running(nodes.gather(1, chosen), scores, fed, torch.cat([pending, tokens[..., None]], dim=2), None)

    def _rank(self) -> Beams:
        """Merge what ended at the levels."""
        if len(self._ended) == 1:
            scores, items = self._ended[0]
        else:
            scores, items = (torch.cat(parts, dim=1) for parts in zip(*self._ended, strict=True))
            scores, best = scores.topk(min(self._width, scores.shape[1]), dim=1)
            items = items.gather(1, best)
        items = items.masked_fill(scores == -torch.inf, PADDING)
        return Beams(self._trie.sequences[items].long(), scores, items)


def _of_parents(values: Tensor, parent: Tensor) -> Tensor:
    """Return the rows [B, K', T] of `values` [B, K, T] at `parent` [B, K']."""
    return values.gather(1, parent[..., None].expand(-1, -1, values.shape[2]))
