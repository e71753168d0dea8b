"""Work that processes share: each does some of the parts, and all have all of them in the end.

Parts are cut as one process cuts them, and each is computed whole by one process; so what comes together is what one
process makes, to the last digit, where all compute with as many threads as it does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed

Part = TypeVar("Part")

_sharing = False


@contextmanager
def shared() -> Iterator[None]:
    """Let all processes of torch's default group share, in the body, what `in_shards` is given; all must come to it."""
    global _sharing  # noqa: PLW0603 - whoever indexes need not know that others do, too
    before, _sharing = _sharing, processes() > 1
    try:
        yield
    finally:
        _sharing = before


def processes() -> int:
    """Return how many processes there are together."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def rank() -> int:
    """Return which of them this is, from 0."""
    return distributed.get_rank() if processes() > 1 else 0


def in_shards(parts: Sequence[Part], compute: Callable[[Part], Tensor]) -> list[Tensor]:
    """Compute a tensor of each part; where processes share, each computes some and gets the others'.

    Args:
        parts: The same in all processes.
        compute: Makes the same tensor of a part in each of them.

    """
    if not _sharing:
        return [compute(part) for part in parts]
    count = processes()
    own = {place: compute(parts[place]).contiguous() for place in range(rank(), len(parts), count)}
    told: list[Any] = [None] * count
    distributed.all_gather_object(told, {place: (made.shape, made.dtype) for place, made in own.items()})
    layouts = {place: layout for share in told for place, layout in share.items()}
    device = next((made.device for made in own.values()), torch.device("cpu"))
    tensors = []
    for place in range(len(parts)):
        shape, dtype = layouts[place]
        made = own.pop(place) if place in own else torch.empty(shape, dtype=dtype, device=device)
        distributed.broadcast(made, src=place % count)
        tensors.append(made)
    return tensors


def gathered(own: object) -> list[Any] | None:
    """Bring what each process has to the first; None in the others."""
    if processes() == 1:
        return [own]
    objects: list[Any] | None = [None] * processes() if rank() == 0 else None
    distributed.gather_object(own, objects)
    return objects
