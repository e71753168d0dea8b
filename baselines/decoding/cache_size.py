"""How many bytes of keys and values a search holds."""

from __future__ import annotations

from typing import Any

from baselines.decoding.beams import Prompt
from baselines.decoding.trie import Trie
from models.recommender import EXHAUSTIVE

GENERATE = ("reference", "vectorised-trie")
"""The searches of transformers' `generate`."""


def cache_bytes(decoder: str, model: Any, prompt: Prompt, trie: Trie, *, width: int) -> int:
    """Return the bytes of keys and values at a search's end, from sizes alone.

    `generate` holds each beam's own: cross-attention of every beam over its prompt, and a row a beam
    for the tokens written. `baselines.decoding.exact` holds prompts once a user and a pool with a slot
    for each beam and step; `exhaustive` one user's, with a slot for each inner node of the trie.

    Args:
        decoder: One of `baselines.decoding.search.SEARCHES`.
        model: As `search` takes it.
        prompt: Prompts of B users.
        trie: The items' token sequences.
        width: Number of beams.

    """
    config = model.config
    users, context = prompt.mask.shape
    forced = [level.forced for level in trie.levels]
    stem = min(next((place for place, one in enumerate(forced) if not one), len(forced)), len(forced) - 1)
    layers, heads, size = _layout(config)
    row = 2 * layers * heads * size * prompt.embeddings.element_size()
    if decoder in GENERATE:
        written = trie.depth if config.is_encoder_decoder else trie.depth - 1
        return users * width * (context + written) * row
    if decoder == EXHAUSTIVE:
        pool = sum(level.inner for level in trie.levels) + (1 if config.is_encoder_decoder else 0)
        return (context + pool) * row
    pool = width * trie.depth + stem + (1 if config.is_encoder_decoder else 0)
    return users * (context + pool) * row


def _layout(config: Any) -> tuple[int, int, int]:
    """Return decoder layers, heads of keys and values, and their width."""
    if config.is_encoder_decoder:
        return config.num_decoder_layers, config.num_heads, config.d_kv
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    shared = getattr(config, "num_key_value_heads", None)  # GPT-2 has none: each head has keys of its own
    return config.num_hidden_layers, shared or config.num_attention_heads, width
