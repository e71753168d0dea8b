"""What the machine does while it is measured: its state at a moment, and what disturbed an interval."""

from __future__ import annotations

import operator
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch

from bench.measure import machine, nvml, proc
from bench.measure.proc import TICK_S, Ticks
from bench.records.conditions import MachineState

STOLEN = 0.02
"""Share of the time that the host may give to other virtual machines unnoticed."""

STOLEN_ROUNDING_S = 1.5 * TICK_S
"""Rounding alone may show one tick."""

OTHER_CORES = 0.1
"""What other processes may take beyond the spare cores: the system's own housekeeping."""

OTHER_ROUNDING_S = 3 * TICK_S
"""User, system and interrupt time are rounded for themselves; seen on an idle machine: up to 1.5 ticks."""


def machine_state(device: torch.device, root: Path = Path("/")) -> MachineState:
    """Read what the machine is doing now; None for what it does not tell.

    Args:
        device: Whose clocks, temperature and power are read.
        root: Below it lie ``proc`` and ``sys``.

    """
    gpu = _gpu(device)
    return MachineState(
        load_average=machine.load_average(),
        cpu_mhz=proc.cpu_mhz(root),
        governor=proc.governor(root),
        **({} if gpu is None else nvml.condition(gpu)),
    )


@dataclass(frozen=True)
class WatchedSpan:
    """What happened during an interval, or several; None where the machine does not tell.

    Attributes:
        wall_s: Its length.
        involuntary_switches: How often the system took a core away from a thread of this process.
        other_cores: Cores that other processes, children of this one included, kept busy on average. It is
            told to some 30 ms of core time: to 0.3 cores in 0.1 s, to 0.03 in a second.
        stolen: Share of the time in which there was something to do that the host gave to other virtual
            machines, told to 10 ms.
        throttled: Why the GPU's clock was held down at either end.

    """

    wall_s: float
    involuntary_switches: int | None
    other_cores: float | None
    stolen: float | None
    throttled: tuple[str, ...] = ()


def disturbed(interval: WatchedSpan, *, spare_cores: float) -> str:
    """Say in words what disturbed an interval; empty where nothing did, or nothing is known.

    Args:
        interval: What happened.
        spare_cores: Cores that the measured process leaves to others.

    """
    reasons = []
    stolen, other = interval.stolen or 0.0, interval.other_cores or 0.0
    if stolen > STOLEN and stolen * interval.wall_s > STOLEN_ROUNDING_S:
        reasons.append(f"the host gave {stolen:.0%} of the time to other virtual machines")
    if (other - spare_cores - OTHER_CORES) * interval.wall_s > OTHER_ROUNDING_S:
        reasons.append(f"other processes used {other:.1f} cores where {spare_cores:g} were spare")
    if interval.throttled:
        reasons.append(f"the GPU was throttled ({', '.join(interval.throttled)})")
    return "; ".join(reasons)


class Watch:
    """Adds up what happens during several intervals, each from `start` to `stop` or in a ``with`` block.

    Only the ends of an interval are read, in some 50 microseconds each on a CPU.

    Args:
        device: On CUDA throttling is read, too.
        root: Below it lies ``proc``.

    Attributes:
        last: The latest interval that ended; None before the first has.

    """

    def __init__(self, device: torch.device, root: Path = Path("/")) -> None:
        self._root = root
        self._gpu = _gpu(device)
        self._begun: _Reading | None = None
        self._sum: _Reading | None = None
        self.last: WatchedSpan | None = None

    def start(self) -> None:
        """Begin an interval."""
        self._begun = self._read()

    def stop(self) -> WatchedSpan:
        """End the interval and return what happened during it.

        Raises:
            RuntimeError: None has begun.

        """
        if self._begun is None:
            raise RuntimeError("stop without start")
        spent = self._read().combined(self._begun, operator.sub)
        self._begun = None
        self._sum = spent if self._sum is None else self._sum.combined(spent, operator.add)
        self.last = spent.interval()
        return self.last

    @property
    def total(self) -> WatchedSpan:
        """What happened during all intervals that ended, taken together."""
        return WatchedSpan(0.0, None, None, None) if self._sum is None else self._sum.interval()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _read(self) -> _Reading:
        gpu = self._gpu
        throttled = None if gpu is None else nvml.told(lambda: nvml.throttling(gpu))
        return _Reading(
            wall_s=time.perf_counter(),
            cpu_s=time.process_time(),
            switches=resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw,
            ticks=proc.ticks(self._root),
            throttled=tuple(throttled or ()),
        )


@dataclass(frozen=True)
class _Reading:
    """All counters at one moment, or how far they went: `cpu_s` is of all threads of this process."""

    wall_s: float
    cpu_s: float
    switches: int
    ticks: Ticks | None
    throttled: tuple[str, ...]

    def combined(self, other: _Reading, operation: Callable[[Any, Any], Any]) -> _Reading:
        """Add or subtract another's counters; what throttled at either holds for both."""
        both_counted = self.ticks is not None and other.ticks is not None
        return _Reading(
            wall_s=operation(self.wall_s, other.wall_s),
            cpu_s=operation(self.cpu_s, other.cpu_s),
            switches=operation(self.switches, other.switches),
            ticks=operation(self.ticks, other.ticks) if both_counted else None,
            throttled=tuple(dict.fromkeys(self.throttled + other.throttled)),
        )

    def interval(self) -> WatchedSpan:
        if self.ticks is None:
            return WatchedSpan(self.wall_s, None, None, None, self.throttled)
        others_s = max(0.0, self.ticks.busy * TICK_S - self.cpu_s)
        other_cores = others_s / self.wall_s if self.wall_s > 0 else 0.0
        return WatchedSpan(self.wall_s, self.switches, other_cores, self.ticks.stolen_share, self.throttled)


def _gpu(device: torch.device) -> object | None:
    return nvml.told(lambda: nvml.handle(device)) if device.type == "cuda" else None
