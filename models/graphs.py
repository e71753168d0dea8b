"""Requests of one launch: a function of tensors is captured as a CUDA graph, and replayed from then on.

A small model answers few users in less time than a processor takes to launch its kernels one by one, so that
the GPU waits. A replayed graph launches all of them at once. Its shapes and addresses stay what they were, so each
size of request is captured once; padding to the next bucket keeps sizes few.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakSet

import torch
from torch import Tensor
from torch.utils._python_dispatch import _get_current_dispatch_mode

from models.errors import UserError

Program = Callable[..., tuple[Tensor, ...]]
"""From tensors, each of which may be None, to tensors."""

WARM_UP = 3
"""Runs before the capture, in which libraries set themselves up."""

_graphs: defaultdict[torch.device, WeakSet[torch.cuda.CUDAGraph]] = defaultdict(WeakSet)


def capture(program: Program, inputs: Sequence[Tensor | None], held: object = None) -> Program:
    """Return `program` as a graph over inputs and outputs that stay where they are.

    All graphs of a device share one pool of memory: none runs beside another, and each result is copied out at once.
    While operations are counted or traced, the same operators run one by one.

    Args:
        program: Reads nothing back to the host, and is given inputs of these shapes and types only.
        inputs: On one CUDA device; which of them are None stays the same.
        held: Whatever else `program` reads, so that it lives as long as the graph does.

    Raises:
        UserError: They are not on a CUDA device.

    """
    device = next(value.device for value in inputs if value is not None)
    if device.type != "cuda":
        raise UserError(f"requests are captured as CUDA graphs, and this device is {device}: use --device cuda")
    # Not inference mode, if the caller is in it: what it makes could not be written to from outside of it.
    with torch.cuda.device(device), torch.inference_mode(False), torch.no_grad():
        still = tuple(None if value is None else value.clone() for value in inputs)
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UP):
                program(*still)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=_pool(device)):
            outputs = program(*still)
    _graphs[device].add(graph)
    kept = graph, held

    def replay(*given: Tensor | None) -> tuple[Tensor, ...]:
        if is_watched():
            return program(*given)
        with torch.cuda.device(device):
            for place, value in zip(still, given, strict=True):
                if place is not None and value is not None:
                    place.copy_(value, non_blocking=True)
            kept[0].replay()
            return tuple(output.clone() for output in outputs)

    return replay


def is_watched() -> bool:
    """Tell whether operators are counted or traced now, so that they must run one by one."""
    return _get_current_dispatch_mode() is not None or torch.jit.is_tracing()  # type: ignore[attr-defined]


def _pool(device: torch.device) -> Any:
    """Return the pool of the graphs that live; with the last of them a pool is gone, and cannot be used again."""
    living = next(iter(_graphs[device]), None)
    return torch.cuda.graph_pool_handle() if living is None else living.pool()
