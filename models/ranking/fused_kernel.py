"""The fused ranker on a GPU: one kernel multiplies, hides what was seen, and writes maxima of groups alone.

A group of `GROUP` neighbouring items leaves one number in place of `GROUP` scores, and so much less is written and
read again. The best k items lie in the k groups with the greatest maxima, of equal ones the lower (see
`models.ranking.lists.top_k`); the items of these are scored again and ranked. No size depends on the scores, so that
all of it can be captured in a CUDA graph.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from models.padding import PADDING
from models.ranking.lists import GROUP, top_k

USERS, ITEMS, DEPTH = 32, 128, 64
"""Users, items and columns that one step of the kernel holds at most."""

WORD = 32
"""Items whose visibility one integer tells."""

SPARE = 8
"""Groups beyond k that are looked into: the kernel adds up in another order than the products that rank."""


@triton.jit  # type: ignore[untyped-decorator]
def _maxima_kernel(  # type: ignore[no-untyped-def]  # noqa: ANN202 - compiled by Triton
    query, rows, bias, hidden, maxima, users, items, width, groups, words,  # noqa: ANN001
    HAS_BIAS: tl.constexpr, U: tl.constexpr, N: tl.constexpr, D: tl.constexpr, G: tl.constexpr,  # noqa: N803
):  # fmt: skip
    """Write the greatest visible score of each group; one program a tile of U users and N items, users first."""
    across = tl.cdiv(users, U)
    tile = tl.program_id(0) // across
    user = (tl.program_id(0) % across) * U + tl.arange(0, U)
    item = tile.to(tl.int64) * N + tl.arange(0, N)
    scores = tl.zeros((U, N), dtype=tl.float32)
    for start in range(0, width, D):
        column = start + tl.arange(0, D)
        asked = tl.load(
            query + user[:, None] * width + column[None, :],
            mask=(user[:, None] < users) & (column[None, :] < width),
            other=0.0,
        )
        vectors = tl.load(
            rows + item[None, :] * width + column[:, None],
            mask=(item[None, :] < items) & (column[:, None] < width),
            other=0.0,
        )
        scores = tl.dot(asked, vectors, scores, input_precision="ieee")
    if HAS_BIAS:
        scores += tl.load(bias + item, mask=item < items, other=0.0).to(tl.float32)[None, :]
    word = tl.load(
        hidden + user[:, None] * words + (item // 32)[None, :],
        mask=(user[:, None] < users) & (item[None, :] < items),
        other=-1,
    )
    visible = ((word >> (item % 32).to(tl.int32)[None, :]) & 1) == 0
    scores = tl.where(visible, scores, float("-inf"))
    best = tl.max(tl.reshape(scores, (U, N // G, G)), axis=2)
    group = tile * (N // G) + tl.arange(0, N // G)
    tl.store(
        maxima + user[:, None] * groups + group[None, :],
        best,
        mask=(user[:, None] < users) & (group[None, :] < groups),
    )


def best(
    query: Tensor, vectors: Tensor, bias: Tensor | None, k: int, seen_items: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Return the best scores and their items, float32 and int64 [B, at most k]; scores of removed items are -inf.

    Args:
        query: [B, D].
        vectors: [n + 1, D], row 0 belonging to padding.
        bias: [n + 1]; None for none.
        k: Items that are wanted.
        seen_items: Items that may not come back, int64 [B, H] padded with 0; None removes nothing.

    """
    hidden = _hidden(seen_items, len(query), len(vectors), query.device)
    greatest = maxima(query.contiguous(), vectors.contiguous(), bias, hidden)
    wanted = min(k + SPARE, greatest.shape[1])
    chosen = top_k(greatest, wanted)[1].sort(1).values  # [B, wanted]
    items = (chosen[..., None] * GROUP + torch.arange(GROUP, device=query.device)).flatten(1)
    beyond = items >= len(vectors)
    items = items.clamp(max=len(vectors) - 1)
    scores = torch.einsum("bd,bcd->bc", query.float(), vectors[items].float())
    scores = scores if bias is None else scores + bias[items].float()
    gone = (hidden.gather(1, items // WORD) >> (items % WORD)) & 1
    scores = scores.masked_fill((gone == 1) | beyond, -torch.inf)
    best_scores, places = top_k(scores, min(k, scores.shape[1]))
    return best_scores, items.gather(1, places)


def maxima(query: Tensor, vectors: Tensor, bias: Tensor | None, hidden: Tensor) -> Tensor:
    """Return the greatest visible score of each group of `GROUP` items, float32 [B, groups]; -inf where none is.

    Args:
        query: [B, D], contiguous.
        vectors: [n + 1, D], contiguous.
        bias: [n + 1]; None for none.
        hidden: Bit i % 32 of word i // 32 tells whether item i is hidden, int32 [B, words].

    """
    (users, width), items = query.shape, len(vectors)
    groups = -(-items // GROUP)
    greatest = torch.empty(users, groups, device=query.device)
    grid = (triton.cdiv(items, ITEMS) * triton.cdiv(users, USERS),)
    depth = min(DEPTH, max(16, triton.next_power_of_2(width)))
    _maxima_kernel[grid](
        query, vectors, query if bias is None else bias, hidden, greatest, users, items, width, groups, hidden.shape[1],
        HAS_BIAS=bias is not None, U=USERS, N=ITEMS, D=depth, G=GROUP,
    )  # fmt: skip
    return greatest


def _hidden(seen_items: Tensor | None, users: int, rows: int, device: torch.device) -> Tensor:
    """Set a bit for padding and for each item that may not come back, int32 [B, words]."""
    padding = torch.full((users, 1), PADDING, device=device)
    gone = padding if seen_items is None else torch.cat([padding, seen_items], 1)
    gone = gone.sort(1).values
    bit = torch.ones_like(gone, dtype=torch.int32) << (gone % WORD).int()
    bit[:, 1:] *= (gone[:, 1:] != gone[:, :-1]).int()  # an item that was seen twice
    words = torch.zeros(users, -(-rows // WORD), dtype=torch.int32, device=device)
    return words.scatter_add_(1, gone // WORD, bit)
