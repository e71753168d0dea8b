"""The reference decoder: transformers' `generate`, the trie consulted from Python.

This is what the papers' code runs: every beam repeats the encoder states, the trie is asked once a
beam and step on the host. It is exact, not fast; faster searches are held against its lists.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers import GenerationConfig
from transformers.modeling_outputs import BaseModelOutput

from baselines.decoding.trie import ROOT, Trie
from models.recommender import PADDING, Recommendations, phase

DEAD = -1e8
"""`generate` starts all beams but one at -1e9; what scores below this was never a live beam."""


@dataclass(frozen=True)
class Beams:
    """What a search found, best first.

    Attributes:
        tokens: int64 [B, C, T], decoder start first, padded.
        scores: Sum of the tokens' log-probabilities, float32 [B, C]; -inf for dead beams.
        items: int64 [B, C]; `PADDING` for dead beams.

    """

    tokens: Tensor
    scores: Tensor
    items: Tensor

    def top(self, k: int) -> Recommendations:
        """Return lists of exactly k places; those beyond the beams hold `PADDING`."""
        missing = max(0, k - self.items.shape[1])
        return Recommendations(
            functional.pad(self.items[:, :k], (0, missing), value=PADDING),
            functional.pad(self.scores[:, :k], (0, missing), value=-torch.inf),
        )


def search(
    model: Any,
    states: Tensor,
    mask: Tensor,
    trie: Trie,
    *,
    width: int,
    k: int,
    seen_items: Tensor | None = None,
) -> Beams:
    """Find the likeliest items of each user by beam search over the trie.

    A beam's score is the sum of its tokens' log-probabilities under the softmax over the *whole*
    vocabulary, the end of sequence included; tokens outside the trie are masked afterwards and
    nothing is renormalised. Scores are not divided by length (``length_penalty=0``, with
    ``early_stopping="never"``: the setting that transformers documents as canonical; OpenP5 leaves
    the defaults, which favour longer IDs). `generate` keeps the scores of every step over the
    vocabulary until it returns, 4 B x width x T x V bytes, as it does in OpenP5.

    Args:
        model: An encoder-decoder model with `generate`, such as `T5ForConditionalGeneration`.
        states: Encoder states, [B, S, D].
        mask: 1 where `states` are real, [B, S].
        trie: Token sequences that end with the model's end of sequence, decoder start excluded.
        width: Number of beams; may exceed the catalogue.
        k: How many are returned: min(k, width).
        seen_items: Items that may not come back, int64 [B, H] padded with 0; None removes nothing.

    """
    allowed = _allowed_tokens(trie, model.config.eos_token_id, seen_items)
    with _step_phases(model):
        output = model.generate(
            encoder_outputs=BaseModelOutput(last_hidden_state=states),
            attention_mask=mask,
            prefix_allowed_tokens_fn=allowed,
            generation_config=_generation_config(model.config, trie.depth, width, min(k, width)),
        )
    with phase("rank"):
        users = len(states)
        tokens = output.sequences.view(users, -1, output.sequences.shape[1])
        scores = output.sequences_scores if width > 1 else _greedy_scores(output, model.config.eos_token_id)
        scores = scores.view(users, -1).float()
        items = torch.tensor([[_item(trie, beam) for beam in user] for user in tokens[:, :, 1:].tolist()])
        items = items.to(scores.device).masked_fill(scores < DEAD, PADDING)
        return Beams(tokens, scores.masked_fill(items == PADDING, -torch.inf), items)


def _generation_config(config: Any, depth: int, width: int, count: int) -> GenerationConfig:
    """Return beam search; a single beam is greedy search, whose scores come from its logits."""
    beam: dict[str, Any] = {"output_logits": True}
    if width > 1:
        beam = {"length_penalty": 0.0, "early_stopping": "never", "output_scores": True}
    return GenerationConfig(
        num_beams=width,
        num_return_sequences=count,
        max_new_tokens=depth,
        do_sample=False,
        use_cache=True,
        return_dict_in_generate=True,
        decoder_start_token_id=config.decoder_start_token_id,
        eos_token_id=config.eos_token_id,
        pad_token_id=config.pad_token_id,
        **beam,
    )


def _allowed_tokens(trie: Trie, end: int, seen_items: Tensor | None) -> Callable[[int, Tensor], list[int]]:
    """Make the callback of `generate`: which tokens may follow a user's prefix.

    It may never return nothing, so prefixes that only dead beams hold, and users who have seen
    every item, get the end of sequence; neither ends at a leaf.
    """
    exhausted = None if seen_items is None else [trie.exhausted(row) for row in seen_items.tolist()]

    def allowed(user: int, prefix: Tensor) -> list[int]:
        node = trie.find(prefix[1:].tolist())
        if node is None:
            return [end]
        forbidden = exhausted[user] if exhausted else frozenset()
        return [token for token, child in trie.children(node) if child not in forbidden] or [end]

    return allowed


def _item(trie: Trie, beam: list[int]) -> int:
    """Return the item whose sequence `beam` begins with (padding may follow), else `PADDING`."""
    node = ROOT
    for token in beam:
        child = trie.step(node, token)
        if child is None:
            return PADDING
        node = child
        if trie.items[node] != PADDING:
            return int(trie.items[node])
    return PADDING


def _greedy_scores(output: Any, end: int) -> Tensor:
    """Sum the log-probabilities of a greedy search up to its end of sequence, [B]."""
    tokens = output.sequences[:, 1:]  # [B, T]
    chances = torch.stack(output.logits, dim=1).float().log_softmax(-1)  # [B, T, V]
    chosen = chances.gather(-1, tokens[..., None])[..., 0]
    running = (tokens == end).cumsum(-1) - (tokens == end).long() == 0
    total: Tensor = (chosen * running).sum(-1)
    return total


@contextmanager
def _step_phases(model: Any) -> Iterator[None]:
    """Mark "decode step i" from one decoder call to the next; the first holds `generate`'s set-up."""
    with ExitStack() as step:
        step.enter_context(phase("decode step 1"))
        calls = 0

        def begin(*_: Any) -> None:
            nonlocal calls
            calls += 1
            if calls > 1:
                step.close()
                step.enter_context(phase(f"decode step {calls}"))

        hook = model.register_forward_pre_hook(begin)
        try:
            yield
        finally:
            hook.remove()
