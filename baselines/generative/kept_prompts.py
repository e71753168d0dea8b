"""Keys and values of the prompts of users who come back, for beam search on a decoder alone.

What a causal decoder reads of a history is the beginning of what it reads of that history with one item more. So its
keys and values are kept, the new item's tokens are read behind them, and the search goes on as ever. As in
`models.kept_keys`, a history that is longer than what is read moves with each item, and is read whole.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from baselines.decoding.beams import Past
from models import kept_keys
from models.kept_keys import NOT_KEPT, Shape
from models.kept_states import KeptStates
from models.serving import KeptUsers


class KeptPrompts:
    """Keys and values of prompts by key.

    Args:
        shape: Their sizes; `Shape.most` counts tokens.
        like: A tensor of their dtype and device.

    """

    def __init__(self, shape: Shape, like: Tensor) -> None:
        one = like.new_zeros(1, shape.layers, 2, shape.most, shape.heads, shape.head_width)
        self._most = shape.most
        self.user_bytes = one.nbytes
        self._states = KeptStates([one], max(1, kept_keys.KEPT_BYTES // one.nbytes))

    @property
    def users(self) -> KeptUsers:
        """What is kept, and how often it was of use."""
        return self._states.users

    @property
    def bytes(self) -> int:
        """Bytes of all that may be kept."""
        return self._states.bytes

    def __len__(self) -> int:
        """Count the prompts that are kept."""
        return len(self._states)

    def meet(self, keys: Sequence[int]) -> list[bool]:
        """Tell which prompts are kept, and count them."""
        return self._states.meet(keys)

    def past(self, keys: Sequence[int], lengths: Tensor) -> Past:
        """Return what was read of prompts that are kept.

        Args:
            keys: Which, B.
            lengths: Tokens of each, int64 [B].

        """
        (kept,) = self._states.get(keys)  # [B, L, 2, M, H, d]
        longest = int(lengths.max())
        mask = torch.arange(longest, device=lengths.device) < lengths[:, None]
        keys_of, values_of = (list(kept[:, :, half, :longest].unbind(1)) for half in range(2))
        return Past(keys_of, values_of, mask)

    def keep(self, keys: Sequence[int], past: Past) -> None:
        """Keep what was read, its real tokens in front; what has the key `NOT_KEPT` is not kept."""
        rows = [row for row, key in enumerate(keys) if key != NOT_KEPT]
        if not rows:
            return
        order = past.mask[rows].int().argsort(dim=1, descending=True, stable=True)[:, :, None, None]
        halves = []
        for parts in (past.keys, past.values):
            gathered = [part[rows].gather(1, order.expand(-1, -1, *part.shape[2:])) for part in parts]
            halves.append(torch.stack(gathered, 1))
        states = torch.stack(halves, 2)[:, :, :, : self._most]
        missing = self._most - states.shape[3]
        self._states.keep([keys[row] for row in rows], [functional.pad(states, (0, 0, 0, 0, 0, missing))])
