"""Where the time of a request goes: its phases, read from torch's profiler."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from bench.measure.flops import Counted, counted, uncounted
from bench.measure.instrument import Instrument, Request
from bench.measure.peaks import Peaks, bound_s, peaks_of
from bench.records.cost import Phase
from models.phases import PHASE


def quiet_profile(*, activities: Sequence[ProfilerActivity] = (ProfilerActivity.CPU,), **options: Any) -> profile:
    """Return torch's profiler, which else reports its starts on standard error."""
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")
    return profile(activities=activities, **options)


def phase_seconds(
    call: Callable[[], Any], *, device: torch.device, repeats: int = 3, compiled: bool = False
) -> dict[str, float]:
    """Profile a request and add up its phases.

    The profiler slows small operators down, so these are shares of a profiled request; they are
    reported beside the latency and never added up to replace it. On CUDA a phase's time is the
    device's. The kernels of a captured graph belong to no phase, so a request that replays one has none.

    Args:
        call: One request.
        device: Where it computes.
        repeats: Profiled requests; the fastest is reported, as the least disturbed.
        compiled: Whether a request runs as one program.

    Returns:
        Seconds by phase, in the order in which phases begin.

    """
    on_cuda = device.type == "cuda"
    if on_cuda and compiled:
        return {}
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_cuda else [])]
    runs = []
    for _ in range(repeats):
        with quiet_profile(activities=activities) as profiler:
            call()
        seconds: dict[str, float] = {}
        for event in sorted(profiler.events() or (), key=lambda event: event.time_range.start):
            if event.name.startswith(PHASE) and event.device_type.name == "CPU":
                spent_us = event.device_time_total if on_cuda and event.device_time_total else event.cpu_time_total
                name = event.name.removeprefix(PHASE)
                seconds[name] = seconds.get(name, 0.0) + spent_us / 1e6
        runs.append(seconds)
    return min(runs, key=lambda seconds: sum(seconds.values()))


class PhaseProfiler(Instrument):
    """Measures the steps of a request, and puts beside each what was counted of it."""

    name = "phases"

    def measure(self, request: Request) -> list[Phase]:
        """Profile a few requests and keep the least disturbed one's phases."""
        subject = request.subject
        compiles = subject.recommender.compiles
        seconds = phase_seconds(lambda: subject.request(0), device=subject.device, compiled=compiles)
        work, best = counted(request), request.once(peaks_of)
        hidden = () if uncounted(subject) is None else (RANK,)
        return [
            Phase(name=name, seconds=value) if name in hidden else _phase(name, value, work, subject.batch_size, best)
            for name, value in seconds.items()
        ]


RANK = "rank"
"""Phase in which rankers work."""


def _phase(name: str, seconds: float, work: Counted, users: int, best: Peaks) -> Phase:
    """Put what was counted of a phase beside its time."""
    if name not in work.phases:
        return Phase(name=name, seconds=seconds)
    traffic = work.phase_traffic[name]
    return Phase(
        name=name,
        seconds=seconds,
        flops_per_user=work.phases[name] / users,
        bytes_per_user=traffic.bytes / users,
        bound_s=bound_s(best, work.phases[name], traffic.touched_bytes),
    )
