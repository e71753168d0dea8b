"""Where the time of a request goes: its phases, read from torch's profiler."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from models.recommender import PHASE


def quiet_profile(*, activities: Sequence[ProfilerActivity] = (ProfilerActivity.CPU,), **options: Any) -> profile:
    """Return torch's profiler, which else reports its starts on standard error."""
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")
    return profile(activities=activities, **options)


def phase_seconds(call: Callable[[], Any], *, device: torch.device, repeats: int = 3) -> dict[str, float]:
    """Profile a request and add up its phases.

    The profiler slows small operators down, so these are shares of a profiled request; they are
    reported beside the latency and never added up to replace it. On CUDA a phase's time is the
    device's: how long its kernels ran, or where these were launched as one graph, from the first to the last.

    Args:
        call: One request.
        device: Where it computes.
        repeats: Profiled requests; the fastest is reported, as the least disturbed.

    Returns:
        Seconds by phase, in the order in which phases begin.

    """
    on_cuda = device.type == "cuda"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_cuda else [])]
    runs = []
    for _ in range(repeats):
        with quiet_profile(activities=activities) as profiler:
            call()
        runs.append(_seconds(profiler.events() or (), on_cuda=on_cuda))
    return min(runs, key=lambda seconds: sum(seconds.values()))


def _seconds(events: Iterable[Any], *, on_cuda: bool) -> dict[str, float]:
    marked = sorted((one for one in events if one.name.startswith(PHASE)), key=lambda one: one.time_range.start)
    on_device: dict[str, float] = {}
    for event in marked:
        if event.device_type.name == "CUDA":
            on_device[event.name] = on_device.get(event.name, 0.0) + event.time_range.elapsed_us()
    seconds: dict[str, float] = {}
    for event in marked:
        if event.device_type.name == "CPU":
            name = event.name.removeprefix(PHASE)
            spent_us = event.cpu_time_total
            if on_cuda:  # the kernels of a graph belong to no operator, but to the phase as the device saw it
                spent_us = event.device_time_total or on_device.pop(event.name, 0.0) or spent_us
            seconds[name] = seconds.get(name, 0.0) + spent_us / 1e6
    return seconds
