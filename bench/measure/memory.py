"""Peak memory of a request, in bytes: as the system sees it, and as torch's allocator does."""

from __future__ import annotations

import ctypes
import gc
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from bench.measure import nvml
from bench.measure.phases import quiet_profile
from bench.results.record import Memory, Unavailable
from models.recommender import PHASE

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
        peak = _status("VmHWM")
    except OSError as error:
        return Unavailable(unavailable=f"peak resident memory needs Linux's {_CLEAR}: {error}")
    rise = max(0, peak - before)
    return Memory(peak_bytes=resident + rise, request_bytes=rise, process_bytes=peak)


@dataclass(frozen=True)
class Allocated:
    """What torch's allocator held during a call, in bytes beyond what it held before.

    Attributes:
        peak: The most at once.
        phases: The most in each phase, in the order in which phases begin.

    """

    peak: int
    phases: dict[str, int]


def allocated(call: Callable[[], Any], *, device: torch.device) -> Allocated:
    """Follow every allocation and every release of a call, as the profiler reports them.

    This is exact and the same each time; what libraries allocate past torch is not seen. The call is made
    once before, since a first call may leave something behind for good.

    Args:
        call: One request.
        device: Whose memory.

    """
    call()
    with quiet_profile(profile_memory=True) as profiler:
        call()
    assert profiler.profiler is not None
    events = sorted(profiler.profiler.kineto_results.events(), key=lambda event: event.start_ns())
    changes = [event for event in events if event.name() == "[memory]" and _is_on(event, device)]
    if not changes:
        return Allocated(0, {})
    times = np.array([event.start_ns() for event in changes])
    live = np.cumsum([event.nbytes() for event in changes])
    phases: dict[str, int] = {}
    for event in events:
        if event.name().startswith(PHASE) and _is_on(event, torch.device("cpu")):
            begin, end = np.searchsorted(times, [event.start_ns(), event.start_ns() + event.duration_ns()])
            held = live[max(0, begin - 1) : end]
            name = event.name().removeprefix(PHASE)
            phases[name] = max(phases.get(name, 0), int(held.max()) if len(held) and end else 0)
    return Allocated(max(0, int(live.max())), phases)


def _is_on(event: Any, device: torch.device) -> bool:
    kind: str = event.device_type().name
    return kind.lower() == device.type


def _cuda_memory(call: Callable[[], Any], device: torch.device) -> Memory:
    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    call()
    torch.cuda.synchronize(device)
    peak = torch.cuda.max_memory_allocated(device)
    return Memory(
        peak_bytes=peak,
        request_bytes=peak - before,
        process_bytes=nvml.process_bytes(device, os.getpid()),
        reserved_bytes=torch.cuda.max_memory_reserved(device),
    )


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
