"""The one place that knows a CPU from a GPU when time is taken."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch

from bench.results.record import Unavailable

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

    """

    def __init__(self, device: torch.device) -> None:
        self._cuda = device.type == "cuda"
        self._device = device

    def synchronise(self) -> None:
        """Wait until the device is idle."""
        if self._cuda:
            torch.cuda.synchronize(self._device)

    def time(self, call: Callable[[], T]) -> tuple[T, Timed]:
        """Call once and time it."""
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

    def _event(self) -> torch.cuda.Event | None:
        return torch.cuda.Event(enable_timing=True) if self._cuda else None
