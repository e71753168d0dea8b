"""Full cross-entropy over a catalogue, and binary cross-entropy with sampled negatives.

The former goes in chunks of rows, so that its memory does not grow with rows x items. The idea is that of Cut
Cross-Entropy (Wijmans et al. 2024, arXiv 2411.09009) and of Liger Kernel's fused linear cross-entropy: gradients are
made in the forward pass, chunk by chunk, so that no more than one chunk of logits exists at a time. Both are Triton
kernels. torch's own `linear_cross_entropy` (from 2.13) chunks on CPUs too, but in bfloat16 it adds the loss up in
bfloat16, and it takes longer there: products are taken here in the autocast dtype, softmax and sums in float32.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

CHUNK = {"cpu": 1 << 21, "cuda": 1 << 27}
"""Logits held at a time: on a CPU what stays in its cache, on a GPU what keeps it busy."""


def catalogue_cross_entropy(queries: Tensor, vectors: Tensor, targets: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return the mean of -log softmax(queries vectors^T + bias) at the targets, a scalar, float32 at least.

    Under autocast products are taken in its dtype. Losses beyond 87 nats, where float32 holds no
    probability, count as 87; their gradients are right.

    Args:
        queries: [T, D].
        vectors: [n, D].
        targets: int64 [T], from 0 to n - 1.
        bias: [n].

    """
    loss: Tensor = _CatalogueCrossEntropy.apply(queries, vectors, targets, bias)
    return loss


class _CatalogueCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, queries: Tensor, vectors: Tensor, targets: Tensor, bias: Tensor | None) -> Tensor:
        device = queries.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else queries.dtype
        rows = max(1, CHUNK.get(device, CHUNK["cuda"]) // len(vectors))
        share = 1 / max(1, len(queries))
        exact = torch.promote_types(dtype, torch.float32)  # of softmax and sums
        to_queries = torch.empty_like(queries)
        to_vectors = torch.zeros_like(vectors, dtype=exact)
        to_bias = None if bias is None else torch.zeros_like(bias, dtype=exact)
        total = torch.zeros((), dtype=exact, device=queries.device)
        with torch.autocast(device, enabled=False):
            cast = vectors.to(dtype)
            for part, goals, gradient in zip(
                queries.to(dtype).split(rows), targets.split(rows), to_queries.split(rows), strict=True
            ):
                logits = (part @ cast.T).to(exact)  # [C, n]
                if bias is not None:
                    logits += bias
                chances = torch.softmax(logits, dim=1)
                at = goals[:, None]
                chosen = chances.gather(1, at)
                total -= chosen.clamp_min(torch.finfo(exact).tiny).log().sum()
                chances.scatter_(1, at, chosen - 1)  # the gradient with respect to the logits, but for the share
                if to_bias is not None:
                    to_bias += chances.sum(0)
                rounded = chances.to(dtype)
                gradient.copy_(rounded @ cast)
                to_vectors += rounded.T @ part
        ctx.save_for_backward(to_queries.mul_(share), to_vectors.mul_(share).to(vectors.dtype), to_bias)
        ctx.share = share
        return total * share

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, Tensor, None, Tensor | None]:
        to_queries, to_vectors, to_bias = ctx.saved_tensors
        to_bias = None if to_bias is None else to_bias * (ctx.share * upstream)
        return to_queries * upstream, to_vectors * upstream, None, to_bias


def binary_cross_entropy(queries: Tensor, vectors: Tensor, positives: Tensor, negatives: Tensor) -> Tensor:
    """Return the mean of -log sigmoid(q . positive) and -log sigmoid(-q . negative), a scalar, float32 at least.

    One negative for each positive, as SASRec is published (Kang and McAuley 2018, arXiv 1808.09781, section III.E).

    Args:
        queries: [T, D].
        vectors: One row an item, [n + 1, D].
        positives: Item numbers, int64 [T].
        negatives: Likewise.

    """
    logits = (queries * vectors[torch.stack([positives, negatives])]).sum(-1)  # [2, T]
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    targets = torch.stack([torch.ones_like(logits[0]), torch.zeros_like(logits[1])])
    return functional.binary_cross_entropy_with_logits(logits, targets)
