"""What the machine can do at best, measured on it: the two ceilings of a roofline.

The model is that of Williams, Waterman and Patterson (2009), "Roofline: an insightful visual performance
model for multicore architectures", with ceilings that were measured instead of a data sheet's.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import Field, TypeAdapter, ValidationError

from bench.ground.home import atomic, home
from bench.measure import machine, proc
from bench.measure.clock import Clock
from bench.measure.flops import counted, uncounted
from bench.measure.instrument import Instrument, Request
from bench.records.conditions import Roofline
from bench.records.model import Unavailable

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]

SIZES = {"cpu": (512, 1024, 2048), "cuda": (2048, 4096, 8192)}
"""Rows and columns of the matrices that are multiplied, from small to large."""

COPY_BYTES = {"cpu": 256 * 2**20, "cuda": 512 * 2**20}
"""Size of each of two buffers: well beyond caches."""

BUDGET_S = 0.25
"""For each size, and for the copy."""


@dataclass(frozen=True)
class Peaks:
    """The most that a machine was seen to do.

    Attributes:
        flops_per_s: Rate of the fastest matrix product; 1 multiply-accumulate = 2.
        bytes_per_s: Read, or read and written, by the fastest large sum or copy.
        cache_bytes: What the last-level cache may hold from one request to the next; 0 where that is not told.

    """

    flops_per_s: Positive
    bytes_per_s: Positive
    cache_bytes: Annotated[int, Field(ge=0)] = 0


def peaks(device: torch.device, dtype: str, threads: int) -> Peaks:
    """Measure a device's peaks, in a second or two, or take them from an earlier measurement on it.

    What a type shorter than float32 holds can be multiplied in float32, too, which is the peak wherever it is
    faster, or the only one: on processors without instructions for the short type.

    Args:
        device: Where to compute.
        dtype: ``float32``, ``bfloat16``, ``float16``, or ``int8`` (products summed in int32).
        threads: CPU threads to compute with; torch's number of threads is the same afterwards.

    Raises:
        UserError: The folder of kept measurements cannot be made.

    """
    key = {
        "processor": _processor(device),
        "device": str(device),
        "dtype": dtype,
        "threads": threads,
        "torch": torch.__version__,
        "format": 2,
    }
    name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]
    path = home("machine") / f"peaks-{name}.json"
    kept = _kept(path)
    if kept is not None:
        return kept
    clock = Clock(device)
    if dtype == "float32":
        with _threads(threads):
            flops_per_s, bytes_per_s = _product_flops_per_s(dtype, device, clock), _memory_bytes_per_s(device, clock)
        measured = Peaks(flops_per_s, bytes_per_s, _cache_bytes(device))
    else:
        full = peaks(device, "float32", threads)
        with _threads(threads):
            flops_per_s = _product_flops_per_s(dtype, device, clock)
        measured = replace(full, flops_per_s=max(full.flops_per_s, flops_per_s))
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(asdict(measured) | key, indent=1))
    return measured


def bound_s(peaks: Peaks, flops: float, touched_bytes: float) -> float:
    """Return the seconds that work takes at least whose operations and memory traffic overlap perfectly.

    Of what is touched as much as the last-level cache holds may still lie there from the request before, so
    only the rest must come from memory.

    Args:
        peaks: What the machine can do.
        flops: Floating-point operations.
        touched_bytes: What must be read or written, each byte once.

    """
    return max(flops / peaks.flops_per_s, max(0.0, touched_bytes - peaks.cache_bytes) / peaks.bytes_per_s)


def roofline(peaks: Peaks, *, flops: float, moved_bytes: float, touched_bytes: float) -> Roofline:
    """Hold one request against the machine.

    Args:
        peaks: What the machine can do.
        flops: Floating-point operations of the request.
        moved_bytes: What its operators read and wrote, each for itself.
        touched_bytes: Weights, index and inputs that it reads, each byte once.

    """
    return Roofline(
        flops_per_s=peaks.flops_per_s,
        bytes_per_s=peaks.bytes_per_s,
        cache_bytes=peaks.cache_bytes,
        flops=flops,
        bytes=moved_bytes,
        touched_bytes=touched_bytes,
        bound_s=bound_s(peaks, flops, touched_bytes),
    )


def _product_flops_per_s(dtype: str, device: torch.device, clock: Clock) -> float:
    """Return the peak over the sizes; 0 where the device has no product in this type."""
    best = 0.0
    for size in SIZES[device.type]:
        try:
            seconds = _fastest_s(_product(size, dtype, device), clock)
        except RuntimeError:  # no such product, or no room for it
            break
        best = max(best, 2 * size**3 / seconds)
        if 8 * seconds > BUDGET_S:  # a machine so slow is at its peak already
            break
    return best


def _product(size: int, dtype: str, device: torch.device) -> Callable[[], Any]:
    generator = torch.Generator(device).manual_seed(0)
    pair = torch.randn(2, size, size, generator=generator, device=device)
    if dtype == "int8":
        left, right = pair.mul(32).round().clamp(-127, 127).to(torch.int8)
        sums = torch.empty(size, size, dtype=torch.int32, device=device)
        return lambda: torch._int_mm(left, right.T, out=sums)  # noqa: SLF001 - torch has no other product of int8
    left, right = pair.to(getattr(torch, dtype))
    product = torch.empty_like(left)
    return lambda: torch.mm(left, right.T, out=product)


def _memory_bytes_per_s(device: torch.device, clock: Clock) -> float:
    """Return the better of a copy and a sum: some machines write slower than they read."""
    source = torch.ones(COPY_BYTES[device.type] // 4, device=device)
    copy = torch.zeros_like(source)
    copied = 2 * source.nbytes / _fastest_s(lambda: copy.copy_(source), clock)
    return max(copied, source.nbytes / _fastest_s(source.sum, clock))


def _cache_bytes(device: torch.device, root: Path = Path("/")) -> int:
    """Return the size of the last-level cache, all its slices together; 0 where the machine does not tell."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).L2_cache_size)
    slices: dict[tuple[str, str], int] = {}
    for folder in root.glob("sys/devices/system/cpu/cpu[0-9]*/cache/index*"):
        level, shared, size = (proc.read(folder / name) for name in ("level", "shared_cpu_list", "size"))
        if level and shared and size and size.endswith("K"):
            slices[level, shared] = int(size.removesuffix("K")) * 1024
    last = max((level for level, _ in slices), default="")
    return sum(size for (level, _), size in slices.items() if level == last)


def _fastest_s(call: Callable[[], Any], clock: Clock) -> float:
    """Return the shortest of several times in seconds; the first call, which chooses kernels, is not one of them."""
    clock.time(call)
    best, spent, rounds = math.inf, 0.0, 0
    while rounds < 3 or spent < BUDGET_S:  # noqa: PLR2004 - the best of three
        _, timed = clock.time(call)
        best = min(best, timed.wall_s if timed.device_s is None else timed.device_s)
        spent += timed.wall_s
        rounds += 1
    return best


@contextmanager
def _threads(threads: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _processor(device: torch.device) -> str:
    if device.type == "cuda":
        return str(torch.cuda.get_device_properties(device).name)
    return str(machine.machine(device)["processor"])


def _kept(path: Path) -> Peaks | None:
    try:
        return TypeAdapter(Peaks).validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


def peaks_of(request: Request) -> Peaks:
    """Return the peaks of what a request runs on."""
    return peaks(request.subject.device, request.dtype, request.threads)


class RooflineMeter(Instrument):
    """Holds the work of a request against the machine."""

    name = "roofline"

    def measure(self, request: Request) -> Roofline | Unavailable:
        """Take the operations and bytes that were counted, and the peaks that were measured."""
        if (why := uncounted(request.subject)) is not None:
            return why
        work = counted(request)
        moved, touched = work.traffic.bytes, work.traffic.touched_bytes
        return roofline(request.once(peaks_of), flops=work.total, moved_bytes=moved, touched_bytes=touched)
