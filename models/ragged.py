"""Sequences of unequal length as one tensor."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from models.padding import PADDING

if TYPE_CHECKING:
    from collections.abc import Sequence


def pad(sequences: Sequence[Sequence[int]], *, left: bool = False, value: int = PADDING) -> Tensor:
    """Stack integer sequences of unequal length into int64 [B, longest] (at least one column)."""
    lengths = np.fromiter(map(len, sequences), np.int64, len(sequences))
    width = max(1, int(lengths.max(initial=0)))
    places = np.arange(width)
    filled = places >= width - lengths[:, None] if left else places < lengths[:, None]
    padded = np.full(filled.shape, value, dtype=np.int64)
    padded[filled] = np.fromiter(chain.from_iterable(sequences), np.int64, int(lengths.sum()))
    return torch.from_numpy(padded)
