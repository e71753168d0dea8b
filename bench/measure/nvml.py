"""The one place that talks to NVML, NVIDIA's management library. What it refuses raises `NVMLError`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import pynvml
import torch

from bench.records.model import Unavailable

T = TypeVar("T")

NVMLError: type[Exception] = pynvml.NVMLError

THROTTLING = {
    pynvml.nvmlClocksEventReasonSwPowerCap: "power cap",
    pynvml.nvmlClocksEventReasonHwSlowdown: "hardware slowdown",
    pynvml.nvmlClocksEventReasonSyncBoost: "sync boost",
    pynvml.nvmlClocksEventReasonSwThermalSlowdown: "software thermal slowdown",
    pynvml.nvmlClocksEventReasonHwThermalSlowdown: "hardware thermal slowdown",
    pynvml.nvmlClocksEventReasonHwPowerBrakeSlowdown: "power brake",
    pynvml.nvmlClocksEventReasonDisplayClockSetting: "display clock",
}
"""Why a clock is lower than it could be. An idle GPU's is, and one that somebody set: neither is throttling."""


def handle(device: torch.device) -> Any:
    """Return NVML's handle of a GPU, by its UUID: NVML's numbers know nothing of ``CUDA_VISIBLE_DEVICES``.

    Raises:
        NVMLError: There is no NVIDIA driver, or NVML knows no such GPU, as with a MIG instance.

    """
    pynvml.nvmlInit()
    return pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{torch.cuda.get_device_properties(device).uuid}")


def told(read: Callable[[], T]) -> T | None:
    """Return what NVML tells; None where it refuses."""
    try:
        return read()
    except NVMLError:
        return None


def joules(gpu: Any) -> float:
    """Return what the GPU drew since its driver was loaded, in joules; the counter's unit is a millijoule.

    Raises:
        NVMLError: The GPU has no counter; all since Volta have one.

    """
    return float(pynvml.nvmlDeviceGetTotalEnergyConsumption(gpu) / 1e3)


def is_partitioned(gpu: Any) -> bool:
    """Return whether the GPU is cut into instances (MIG), which share one counter of energy."""
    mode = told(lambda: pynvml.nvmlDeviceGetMigMode(gpu))
    return mode is not None and mode[0] == pynvml.NVML_DEVICE_MIG_ENABLE


def throttling(gpu: Any) -> list[str]:
    """Return why the GPU's clock is lower than it could be now, in the words of `THROTTLING`; empty where it is not.

    Raises:
        NVMLError: The GPU does not tell.

    """
    reasons = told(lambda: pynvml.nvmlDeviceGetCurrentClocksEventReasons(gpu))
    if reasons is None:  # older drivers know it by its older name
        reasons = pynvml.nvmlDeviceGetCurrentClocksThrottleReasons(gpu)
    return [name for bit, name in THROTTLING.items() if reasons & bit]


def process_bytes(device: torch.device, process: int) -> int | Unavailable:
    """Return what a process holds on a GPU, libraries and context included.

    Args:
        device: The GPU.
        process: Its number, as the system that runs the driver counts.

    """
    try:
        running = pynvml.nvmlDeviceGetComputeRunningProcesses(handle(device))
    except NVMLError as error:
        return Unavailable(unavailable=f"NVML does not tell what processes hold: {error}")
    used = next((listed.usedGpuMemory for listed in running if listed.pid == process), None)
    if used is None:
        return Unavailable(
            unavailable="NVML knows no such process: a container hides its number, or memory is not told"
        )
    return int(used)


def condition(gpu: Any) -> dict[str, Any]:
    """Return clocks in MHz, temperature in degrees Celsius, power in watts and throttling; None for what is not told.

    The names are those of `bench.records.conditions.MachineState`. Power is what NVML's ``nvmlDeviceGetPowerUsage``
    says: on most GPUs since Ampere a mean over a second.
    """
    milliwatts = told(lambda: pynvml.nvmlDeviceGetPowerUsage(gpu))
    return {
        "gpu_sm_mhz": told(lambda: pynvml.nvmlDeviceGetClockInfo(gpu, pynvml.NVML_CLOCK_SM)),
        "gpu_memory_mhz": told(lambda: pynvml.nvmlDeviceGetClockInfo(gpu, pynvml.NVML_CLOCK_MEM)),
        "gpu_temperature_c": told(lambda: pynvml.nvmlDeviceGetTemperature(gpu, pynvml.NVML_TEMPERATURE_GPU)),
        "gpu_power_w": None if milliwatts is None else milliwatts / 1e3,
        "gpu_throttled": told(lambda: throttling(gpu)) or [],
    }
