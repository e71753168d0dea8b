"""Peak memory of a request, in bytes."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

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
