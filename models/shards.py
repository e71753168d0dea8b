"""Work that processes share: each computes some of the parts, and in the end every process has all of them.

The parts are those that a single process would compute, and each is computed by one process alone. With as many
threads in each, the result is therefore that of a single process, to the last digit.
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
    """Share the work of `in_shards` among all processes of torch's default group; each must enter the context."""
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
    """Return the number of this process, from 0."""
    return distributed.get_rank() if processes() > 1 else 0


def in_shards(parts: Sequence[Part], compute: Callable[[Part], Tensor]) -> list[Tensor]:
    """Compute a tensor of each part; processes that share compute some each, and receive the others.

    Args:
        parts: The same in all processes.
        compute: Makes the tensor of a part, the same one in every process.

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
    """Return what each process has, in their order, in the first process; None in the others."""
    if processes() == 1:
        return [own]
    objects: list[Any] | None = [None] * processes() if rank() == 0 else None
    distributed.gather_object(own, objects)
    return objects
