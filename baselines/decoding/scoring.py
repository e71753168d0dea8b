"""From decoder states to log-probabilities of the trie's children, under either softmax."""

from __future__ import annotations

import torch
from torch import Tensor

from baselines.decoding.device_trie import Children, Vocabulary
from baselines.decoding.stack import Stack

LOGITS = 2**24
"""Logits held at a time: rows over the whole vocabulary are scored in parts, or memory would grow with beams x V."""


def log_probabilities(stack: Stack, states: Tensor, tokens: Tensor) -> Tensor:
    """Return log-probabilities over the whole vocabulary, float32, of `tokens` [..., C] after `states` [..., D]."""
    flat, wanted = states.flatten(0, -2), tokens.flatten(0, -2)
    rows = max(1, LOGITS // stack.vocabulary)
    parts = []
    for some, these in zip(flat.split(rows), wanted.split(rows), strict=True):
        logits = stack.logits(some)  # [rows, V]
        parts.append(logits.gather(1, these) - logits.logsumexp(1, keepdim=True))
    return torch.cat(parts).view(tokens.shape)


def renormalised(stack: Stack, states: Tensor, children: Children, allowed: Tensor, vocabulary: Vocabulary) -> Tensor:
    """Return log-probabilities over the allowed children alone, from the logits of the level's own tokens.

    Args:
        stack: With the head.
        states: [B, K, D].
        children: Children of B x K nodes.
        allowed: Which of them count, bool [B, K, C].
        vocabulary: Tokens of the level.

    Returns:
        float32 [B, K, C]; meaningless where nothing is allowed.

    """
    rows = max(1, LOGITS // len(vocabulary.tokens))
    flat, wanted = states.flatten(0, 1), vocabulary.place[children.tokens].flatten(0, 1)
    parts = [
        stack.logits(some, vocabulary.tokens).gather(1, these)  # [rows, W] to [rows, C]
        for some, these in zip(flat.split(rows), wanted.split(rows), strict=True)
    ]
    logits = torch.cat(parts).view(children.tokens.shape)
    least = torch.finfo(logits.dtype).min  # not -inf: where nothing is allowed, the softmax must not be NaN
    return logits.masked_fill(~allowed, least).log_softmax(-1)
