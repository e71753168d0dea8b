"""Many prefixes of a history in one pass, each with its own response vectors behind it.

The state that is scored stands behind "instruction, items, response", so that a pass over one prefix predicts one item.
Under a causal mask the states of instruction and items do not depend on what follows, so that the responses of all
prefixes can stand behind the whole history, if each sees its own prefix and itself alone and has the position that it
would have there::

    instruction   items 1 2 3   response 1   response 2   response 3
                                sees 1       sees 1 2     sees 1 2 3

Shapes: B users, S items, T prefixes, I and R vectors of instruction and response, L = I + S + T R places.
"""

from __future__ import annotations

import torch
from torch import Tensor


def places(ends: Tensor, items: int, instruction: int, response: int) -> Tensor:
    """Return the position of each place, int64 [B, L].

    Args:
        ends: The newest item of each prefix, int64 [B, T], from 0.
        items: S.
        instruction: I.
        response: R.

    """
    before = torch.arange(instruction + items, device=ends.device).expand(len(ends), -1)
    behind = (ends[..., None] + 1 + instruction + torch.arange(response, device=ends.device)).flatten(1)
    return torch.cat([before, behind], 1)


def sight(ends: Tensor, items: int, instruction: int, response: int, dtype: torch.dtype) -> Tensor:
    """Return the mask to add, [B, 1, L, L]: 0 where a place sees another, else the least number of `dtype`.

    Args:
        ends: The newest item of each prefix, int64 [B, T], from 0.
        items: S.
        instruction: I.
        response: R.
        dtype: Type of what is added.

    """
    users, prefixes = ends.shape
    before, behind, device = instruction + items, prefixes * response, ends.device
    seen = torch.zeros(users, before + behind, before + behind, dtype=torch.bool, device=device)
    seen[:, :before, :before] = torch.ones(before, before, dtype=torch.bool, device=device).tril()
    seen[:, before:, :instruction] = True
    own = torch.arange(items, device=device) <= ends[..., None]  # [B, T, S]
    seen[:, before:, instruction:before] = own.repeat_interleave(response, 1)
    number, step = torch.arange(behind, device=device) // response, torch.arange(behind, device=device) % response
    seen[:, before:, before:] = (number[:, None] == number) & (step <= step[:, None])
    return torch.zeros_like(seen, dtype=dtype).masked_fill_(~seen, torch.finfo(dtype).min)[:, None]
