"""Peak memory of a request, in bytes."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from bench.measure.phases import quiet_profile
from bench.results.record import Memory, Unavailable

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")


def weight_bytes(module: nn.Module) -> int:
    """Return the bytes of parameters and buffers that a checkpoint holds, shared storage once."""
    tensors = {tensor.data_ptr(): tensor for tensor in module.state_dict().values() if isinstance(tensor, torch.Tensor)}
    return sum(tensor.nbytes for tensor in tensors.values())


def request_memory(
    call: Callable[[], Any], *, resident: int, device: torch.device, captured: bool = False
) -> Memory | Unavailable:
    """Measure what one request needs beyond what stays resident.

    On CUDA: peak allocated minus allocated before. On Linux CPUs: the exact rise of the peak
    resident set (VmHWM, reset through ``clear_refs``) over the resident set before the request,
    after the allocator has given back what earlier requests left.

    Args:
        call: One request.
        resident: Bytes of weights and index, added on the CPU, where other cases share the process.
        device: Where it computes.
        captured: Whether a request replays a CUDA graph, whose memory stays its own between requests.

    """
    if device.type == "cuda":
        if captured:
            return Unavailable(unavailable="a captured graph keeps its memory from one request to the next")
        return _cuda_memory(call, device)
    try:
        gc.collect()
        _trim()
        _CLEAR.write_text("5")
        before = _status("VmRSS")
        call()
        rise = max(0, _status("VmHWM") - before)
    except OSError as error:
        return Unavailable(unavailable=f"peak resident memory needs Linux's {_CLEAR}: {error}")
    return Memory(peak_bytes=resident + rise, request_bytes=rise)


def allocated_peak(call: Callable[[], Any], *, device: torch.device) -> int:
    """Return the most bytes that torch's allocator held at once during a call, beyond what it held before.

    On the CPU the profiler reports every allocation and every release in order, so this is exact and
    the same each time; what libraries allocate past torch is not seen. The call is made once before,
    since a first call may leave something behind for good.

    Args:
        call: One request.
        device: Where it computes.

    """
    call()
    if device.type == "cuda":
        return _cuda_memory(call, device).request_bytes
    return max((live for _, live in _live_bytes(call)), default=0)


def _live_bytes(call: Callable[[], Any]) -> list[tuple[int, int]]:
    """Return for each allocation and release its time in nanoseconds and the bytes then held, relative to before."""
    with quiet_profile(profile_memory=True) as profiler:
        call()
    assert profiler.profiler is not None
    events = [event for event in profiler.profiler.kineto_results.events() if event.name() == "[memory]"]
    events.sort(key=lambda event: event.start_ns())
    live = np.cumsum([event.nbytes() for event in events])
    return [(event.start_ns(), int(held)) for event, held in zip(events, live, strict=True)]


def _cuda_memory(call: Callable[[], Any], device: torch.device) -> Memory:
    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    call()
    torch.cuda.synchronize(device)
    peak = torch.cuda.max_memory_allocated(device)
    return Memory(peak_bytes=peak, request_bytes=peak - before)


def _trim() -> None:
    """Let glibc return free memory to the system; elsewhere there is nothing to trim."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _status(field: str) -> int:
    for line in _STATUS.read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"no {field} in {_STATUS}")
