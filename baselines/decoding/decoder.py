"""A row of the table of decoders: a search over a trie, and what is to be known of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from baselines.decoding.beams import Beams, Prompt
from baselines.decoding.trie import Trie
from models.decoder import Decoder
from models.serving import Scores

CacheBytes = Callable[[Any, Prompt, Trie, int], int]
"""Bytes of keys and values at a search's end, from the model, prompts of B users, the trie and the number of beams."""


class TrieSearch(Protocol):
    """What every search answers to; see `baselines.decoding.search.search`."""

    def __call__(
        self, model: Any, prompt: Prompt, trie: Trie, *, width: int, scores: Scores, seen_items: Tensor | None = None
    ) -> Beams:
        """Find the likeliest items of each user."""


@dataclass(frozen=True, kw_only=True)
class TrieDecoder(Decoder):
    """A search that writes the IDs of a trie token by token.

    Attributes:
        search: Does it.
        cache_bytes: Tells what it holds.
        reads_on: Whether prompts of a decoder alone may have a past, and be kept as one.

    """

    search: TrieSearch
    cache_bytes: CacheBytes
    reads_on: bool = False
