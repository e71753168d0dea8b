"""Energy of requests from the GPU's own counter (NVML), in joules."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pynvml
import torch

from bench.results.record import Unavailable

WINDOW_S = 2.0
"""The counter moves in steps of up to 100 ms: a window of two seconds sees at least 20."""


def joules_per_1000_users(
    call: Callable[[], Any], *, users: int, device: torch.device, window_s: float = WINDOW_S
) -> float | Unavailable:
    """Repeat a request for a window and read the energy counter around it.

    What the GPU draws when idle is part of it: a server pays for that too.

    Args:
        call: One synchronised request.
        users: Users it answers.
        device: Where it computes.
        window_s: Least length of the window in seconds.

    """
    if device.type != "cuda":
        return Unavailable(unavailable="the case ran on the CPU; energy is read from NVIDIA's counter")
    try:
        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{torch.cuda.get_device_properties(device).uuid}")
        requests = 0
        before_mj = pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
        start = time.perf_counter()
        while time.perf_counter() - start < window_s:
            call()
            requests += 1
        joules = (pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) - before_mj) / 1e3
    except pynvml.NVMLError as error:
        return Unavailable(unavailable=f"NVML cannot read this GPU's energy: {error}")
    if joules <= 0:
        return Unavailable(unavailable=f"the energy counter did not move within {window_s:g} s")
    return float(joules / (requests * users) * 1000)
