"""Two exact ways for the beams of a user to attend to what they share and to their own paths."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def attend_masked(query: Tensor, key: Tensor, value: Tensor, mask: Tensor, scale: float) -> Tensor:
    """Attend to all keys of a user under a mask: one dense product for all beams.

    Query heads that share a key head (grouped-query attention) become rows of one product, so that
    keys are read once.

    Args:
        query: [B, R, H, d].
        key: [B, N, G, d] with G key heads; G divides H.
        value: Likewise.
        mask: bool, or float that is added, [B, 1 or H, R, N].
        scale: Factor of the scores.

    Returns:
        [B, R, H * d].

    """
    users, rows, heads, width = query.shape
    groups = key.shape[2]
    each = heads // groups
    if each == 1:
        folded = query.transpose(1, 2)
    else:
        folded = query.view(users, rows, groups, each, width).permute(0, 2, 3, 1, 4).flatten(2, 3)
        mask = mask.repeat(1, 1, each, 1)
    attended = functional.scaled_dot_product_attention(
        folded, key.transpose(1, 2), value.transpose(1, 2), attn_mask=mask, scale=scale
    )  # [B, G, each * R, d]
    if each > 1:
        attended = attended.reshape(users, heads, rows, width)  # a GPU's kernels lay it out otherwise
    return attended.transpose(1, 2).flatten(2)


BLOCK = 64
"""Beams whose scores over the context are held at a time, or memory would grow with beams x prompt."""


def attend_gathered(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    context: int,
    slots: Tensor,
    masks: tuple[Tensor | None, Tensor | None],
    scale: float,
) -> Tensor:
    """Attend to the shared context and to each beam's own path, gathered from the pool.

    Args:
        query: [B, K, m, H, d].
        key: Buffer [B, P + N, G, d] with G key heads; G divides H.
        value: Likewise.
        context: Number P of shared places.
        slots: Each beam's path, int64 [B, K, t].
        masks: Added to the scores over the context, to [B, K, H, m, P], and over the path, to [B, K, H, m, t].
        scale: Factor of the scores.

    Returns:
        [B, K, m, H * d].

    """
    parts = [
        _attend_block(some, key, value, context, own, masks, scale)
        for some, own in zip(query.split(BLOCK, dim=1), slots.split(BLOCK, dim=1), strict=True)
    ]
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)


def _attend_block(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    context: int,
    slots: Tensor,
    masks: tuple[Tensor | None, Tensor | None],
    scale: float,
) -> Tensor:
    """Do what `attend_gathered` does for some of the beams."""
    users, beams, row, heads, width = query.shape
    groups = key.shape[2]
    folded = query.view(users, beams, row, groups, heads // groups, width)
    shared_key, shared_value = key[:, :context], value[:, :context]
    own_key, own_value = _gather(key, context, slots), _gather(value, context, slots)
    over_context = torch.einsum("bkmged,bpgd->bkgemp", folded, shared_key).flatten(2, 3) * scale  # [B, K, H, m, P]
    over_path = torch.einsum("bkmged,bktgd->bkgemt", folded, own_key).flatten(2, 3) * scale  # [B, K, H, m, t]
    if masks[0] is not None:
        over_context = over_context + masks[0]
    if masks[1] is not None:
        over_path = over_path + masks[1]
    weights = torch.cat([over_context, over_path], dim=-1).softmax(-1, dtype=_softmax_dtype(query)).to(query.dtype)
    weights = weights.unflatten(2, (groups, heads // groups))
    attended = torch.einsum("bkgemp,bpgd->bkmged", weights[..., :context], shared_value)
    attended = attended + torch.einsum("bkgemt,bktgd->bkmged", weights[..., context:], own_value)
    return attended.reshape(users, beams, row, heads * width)


def _gather(buffer: Tensor, context: int, slots: Tensor) -> Tensor:
    """Return the rows of each path, [B, K, t, G, d]."""
    users, length = buffer.shape[:2]
    offset = torch.arange(users, device=slots.device)[:, None, None] * length + context
    return buffer.flatten(0, 1)[(slots + offset).flatten()].view(*slots.shape, *buffer.shape[2:])


def _softmax_dtype(query: Tensor) -> torch.dtype:
    """Return float32 for half-precision scores, as fused attention computes."""
    return torch.promote_types(query.dtype, torch.float32)
