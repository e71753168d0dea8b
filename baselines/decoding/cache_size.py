"""How many bytes of keys and values a search holds at its end, from sizes alone."""

from __future__ import annotations

from typing import Any

from baselines.decoding.beams import Prompt
from baselines.decoding.trie import Trie


def of_generate(model: Any, prompt: Prompt, trie: Trie, width: int) -> int:
    """Return what transformers' `generate` holds: each beam's own prompt, and a row a beam for the tokens written.

    Args:
        model: As `baselines.decoding.search.search` takes it, and so the others.
        prompt: Prompts of B users.
        trie: The items' token sequences.
        width: Number of beams.

    """
    users, context = prompt.mask.shape
    written = trie.depth if model.config.is_encoder_decoder else trie.depth - 1
    return users * width * (context + written) * _row(model, prompt)


def of_pool(model: Any, prompt: Prompt, trie: Trie, width: int) -> int:
    """Return what `baselines.decoding.exact` holds: a prompt a user, and a pool with a slot for each beam and step."""
    users, context = prompt.mask.shape
    forced = [level.forced for level in trie.levels]
    stem = min(next((place for place, token in enumerate(forced) if not token), len(forced)), len(forced) - 1)
    pool = width * trie.depth + stem + _started(model)
    return users * (context + pool) * _row(model, prompt)


def of_all_items(model: Any, prompt: Prompt, trie: Trie, width: int) -> int:
    """Return what `baselines.decoding.exhaustive` holds: one user's prompt, and a slot for each inner node."""
    del width
    pool = sum(level.inner for level in trie.levels) + _started(model)
    return (prompt.mask.shape[1] + pool) * _row(model, prompt)


def of_one_text(model: Any, prompt: Prompt, written: int) -> int:
    """Return what `baselines.decoding.greedy` holds: a prompt a user, and a place a token written but the last."""
    users, context = prompt.mask.shape
    return users * (context + written - 1) * _row(model, prompt)


def _started(model: Any) -> int:
    """Return how many tokens a decoder reads before the first of an ID."""
    return 1 if model.config.is_encoder_decoder else 0


def _row(model: Any, prompt: Prompt) -> int:
    """Return the bytes of one place's keys and values in all layers."""
    layers, heads, size = _layout(model.config)
    return 2 * layers * heads * size * prompt.embeddings.element_size()


def _layout(config: Any) -> tuple[int, int, int]:
    """Return decoder layers, heads of keys and values, and their width."""
    if config.is_encoder_decoder:
        return config.num_decoder_layers, config.num_heads, config.d_kv
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    shared = getattr(config, "num_key_value_heads", None)  # GPT-2 has none: each head has keys of its own
    return config.num_hidden_layers, shared or config.num_attention_heads, width
