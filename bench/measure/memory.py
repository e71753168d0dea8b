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
from bench.measure.instrument import Instrument, Request
from bench.measure.phases import quiet_profile
from bench.measure.subject import Subject
from bench.records.cost import Memory
from bench.records.model import Unavailable
from models.phases import PHASE

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")

DRAWS = 5
"""Requests of which each tells by how much it raised the resident set."""


def weight_bytes(module: nn.Module) -> int:
    """Return the bytes of parameters and buffers that a checkpoint holds, shared storage once."""
    tensors = {tensor.data_ptr(): tensor for tensor in module.state_dict().values() if isinstance(tensor, torch.Tensor)}
    return sum(tensor.nbytes for tensor in tensors.values())


def request_memory(subject: Subject, *, weight_bytes: int, alone: bool) -> Memory | Unavailable:
    """Measure what one request needs beyond what stays resident.

    On CUDA: peak allocated minus allocated before. On CPUs: the most that torch's allocator held at once during a
    request, which is the same each time. What the system says, the rise of the peak resident set (VmHWM, reset
    through ``clear_refs``), varies by a third from one request to the next, so of that several draws are kept.

    Args:
        subject: What is asked, warm.
        weight_bytes: Bytes of parameters and buffers.
        alone: Whether this process serves the case alone, so that what it holds is the case's.

    """
    device, recommender = subject.device, subject.recommender
    if device.type == "cuda" and recommender.compiles:
        return Unavailable(unavailable="a captured graph keeps its memory from one request to the next")

    def call() -> None:
        subject.request(0)

    held = allocated(call, device=device)
    index = recommender.index_parts or {"index": recommender.index_bytes}
    with torch.inference_mode():
        cache = min(held.peak, recommender.cache_bytes(subject.inputs(0)))
    parts = {"weights": weight_bytes, **index, "K/V cache": cache, "activations": held.peak - cache}
    made_of: dict[str, Any] = {"parts": {name: size for name, size in parts.items() if size}, "phases": held.phases}
    if device.type == "cuda":
        return _cuda_memory(call, device).model_copy(update=made_of)
    memory = Memory(peak_bytes=weight_bytes + recommender.index_bytes + held.peak, request_bytes=held.peak, **made_of)
    return memory.model_copy(update=_resident(call)) if alone else memory


def _resident(call: Callable[[], Any]) -> dict[str, Any]:
    """Return the peak resident set of this process, and by how much each of several requests raised it."""
    rises, peak = [], 0
    try:
        for _ in range(DRAWS):
            gc.collect()
            _trim()
            _CLEAR.write_text("5")
            before = _status("VmRSS")
            call()
            peak = max(peak, _status("VmHWM"))
            rises.append(max(0, _status("VmHWM") - before))
    except OSError as error:
        return {"process_bytes": Unavailable(unavailable=f"peak resident memory needs Linux's {_CLEAR}: {error}")}
    return {"process_bytes": peak, "resident_rises": rises}


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


class MemoryMeter(Instrument):
    """Measures what a request takes beyond what stays resident."""

    name = "memory"

    def measure(self, request: Request) -> Memory | Unavailable:
        """Watch torch's allocator during one request; what the process holds is asked in a process of its own."""
        return request_memory(request.subject, weight_bytes=request.weight_bytes, alone=False)
