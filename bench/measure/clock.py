"""The one place that knows a CPU from a GPU when time is taken."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch

from bench.records.model import Unavailable

T = TypeVar("T")


@dataclass(frozen=True)
class Timed:
    """How long one call took.

    Attributes:
        wall_s: From before the call until the device had finished.
        device_s: Between CUDA events recorded before and after the call; None on a CPU.

    """

    wall_s: float
    device_s: float | None


class Clock:
    """Times calls on a device, which is idle before a call and idle after it.

    Args:
        device: Where the calls compute.
        flush: Whether to overwrite a GPU's L2 cache before each call, as other work between requests would;
            on a CPU it changes nothing.

    """

    def __init__(self, device: torch.device, *, flush: bool = False) -> None:
        self._cuda = device.type == "cuda"
        self._device = device
        self._filling = self._twice_the_cache() if flush and self._cuda else None

    def synchronise(self) -> None:
        """Wait until the device is idle."""
        if self._cuda:
            torch.cuda.synchronize(self._device)

    def time(self, call: Callable[[], T]) -> tuple[T, Timed]:
        """Call once and time it."""
        if self._filling is not None:
            self._filling.zero_()
        self.synchronise()
        first, last = self._event(), self._event()
        start = time.perf_counter()
        if first is not None:
            first.record()
        result = call()
        if last is not None:
            last.record()
        self.synchronise()
        wall_s = time.perf_counter() - start
        device_s = None if first is None or last is None else first.elapsed_time(last) / 1e3
        return result, Timed(wall_s, device_s)

    def no_device_time(self) -> Unavailable:
        """Say why there is no device time."""
        return Unavailable(unavailable="the case ran on the CPU, where device time is wall time")

    def _twice_the_cache(self) -> torch.Tensor:
        size = 2 * torch.cuda.get_device_properties(self._device).L2_cache_size
        return torch.empty(size, dtype=torch.uint8, device=self._device)

    def _event(self) -> torch.cuda.Event | None:
        return torch.cuda.Event(enable_timing=True) if self._cuda else None
