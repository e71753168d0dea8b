"""Whether a machine is fit to measure on: what disturbs timings here, and what cannot be measured.

Each check reads one thing and says what it means; none needs rights or packages beyond the suite's.
"""

from __future__ import annotations

import os
import resource
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
import torch

from bench.measure import energy, proc
from bench.measure.proc import Ticks
from bench.records.model import Unavailable

FEW_CORES = 4
"""Fewer, and the system's own work has no core to itself."""

STEAL = 0.01
"""Share of time that other virtual machines may take unnoticed."""

SPREAD_CAUTION, SPREAD_FAULT = 0.1, 0.5
"""How much longer than the median the slowest twentieth of equal pieces of work may take."""

FREE_MEMORY = 2 * 2**30


class FitnessLevel(StrEnum):
    """How much a finding weighs."""

    FIT = "fit"
    """As it should be."""
    CAUTION = "caution"
    """Numbers can be had, with wider intervals or without this quantity."""
    FAULT = "fault"
    """Numbers taken now would mislead."""


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Attributes:
        about: What was looked at.
        level: How much it weighs.
        said: What was found and what it means, in plain words.
        remedy: What to change; empty where nothing needs to be.

    """

    about: str
    level: FitnessLevel
    said: str
    remedy: str = ""


def examine(device: torch.device, *, root: Path = Path("/"), seconds: float = 2.0) -> list[Finding]:
    """Look at everything.

    Args:
        device: Where one wants to measure.
        root: Below it lie ``proc`` and ``sys``.
        seconds: How long equal pieces of work are timed, to see how much their times spread.

    """
    before = proc.ticks(root)
    spread = _spread(seconds)
    checks: list[Callable[[], Iterator[Finding]]] = [
        _cores,
        lambda: _quota(root),
        _load,
        lambda: _steal(before, proc.ticks(root)),
        lambda: spread,
        lambda: _clock_frequency(root),
        lambda: _memory(root),
        lambda: _peak_memory(root),
        _compiler,
        lambda: _energy(device, root),
    ]
    return [finding for check in checks for finding in check()]


def _cores() -> Iterator[Finding]:
    cores = os.cpu_count() or 1
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else cores
    if usable < cores:
        said = f"{usable} of {cores} cores may be used: taskset or a container keeps this process from the others"
        yield Finding(
            "cores", FitnessLevel.CAUTION, said, "record it; measure both sides of a comparison under the same limit"
        )
    if usable == 1:
        said = "one core: whatever else runs interrupts what is measured"
        yield Finding("cores", FitnessLevel.FAULT, said, "measure on a machine with more cores")
    elif usable < FEW_CORES:
        said = f"{usable} cores: one is left to all else when {usable - 1} measures; with --threads {usable} none is"
        yield Finding("cores", FitnessLevel.CAUTION, said, "quote ratios of cases timed in turns, not times")
    else:
        yield Finding("cores", FitnessLevel.FIT, f"{usable} cores")


def _quota(root: Path) -> Iterator[Finding]:
    limit = proc.quota(root)
    if limit is None:
        return
    quota, period = limit
    said = f"a container's quota stops this process after {quota / period:.2g} cores' worth of each {period / 1e3:g} ms"
    yield Finding("quota", FitnessLevel.FAULT, said, "run without a CPU limit, with whole cores pinned instead")


def _load() -> Iterator[Finding]:
    if not hasattr(os, "getloadavg"):
        return
    load, cores = os.getloadavg()[0], os.cpu_count() or 1
    said = f"load average {load:.2f} on {cores} cores"
    if load > cores:
        yield Finding(
            "load", FitnessLevel.FAULT, f"{said}: work waits for a core", "stop what else runs, or wait for its end"
        )
    elif load > cores / 2:
        yield Finding(
            "load", FitnessLevel.CAUTION, f"{said}: other work runs", "stop what else runs, or wait for its end"
        )
    else:
        yield Finding("load", FitnessLevel.FIT, said)


def _steal(before: Ticks | None, after: Ticks | None) -> Iterator[Finding]:
    if before is None or after is None:
        return
    share = (after - before).stolen_share
    said = f"the host gave {share:.1%} of the time to other virtual machines"
    if share > STEAL:
        yield Finding(
            "steal", FitnessLevel.CAUTION, said, "measure on a machine of your own, or repeat and compare intervals"
        )
    else:
        yield Finding("steal", FitnessLevel.FIT, said)


def _spread(seconds: float) -> Iterator[Finding]:
    """Time equal pieces of work on one thread, and say how much their times spread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    matrix = torch.randn(192, 192)
    switches = resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw
    times: list[float] = []
    end = time.perf_counter() + seconds
    try:
        while (start := time.perf_counter()) < end or len(times) < 20:  # noqa: PLR2004 - a twentieth must be one at least
            for _ in range(8):
                torch.mm(matrix, matrix)
            times.append(time.perf_counter() - start)
    finally:
        torch.set_num_threads(threads)
    switches = resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw - switches
    median, slow, worst = np.percentile(times, [50, 95, 100])
    spread = slow / median - 1
    said = (
        f"equal work takes {median * 1e3:.2g} ms, {spread:.0%} longer in the slowest twentieth, {worst / median:.1f} "
        f"times as long at worst; interrupted {switches} times in {sum(times):.1f} s"
    )
    remedy = "stop what else runs; if nothing does, the host is shared: take more rounds and quote intervals"
    if spread > SPREAD_FAULT:
        yield Finding("spread", FitnessLevel.FAULT, said, remedy)
    elif spread > SPREAD_CAUTION:
        yield Finding("spread", FitnessLevel.CAUTION, said, remedy)
    else:
        yield Finding("spread", FitnessLevel.FIT, said)


def _clock_frequency(root: Path) -> Iterator[Finding]:
    cpu = root / "sys/devices/system/cpu"
    governor = proc.governor(root)
    if governor is None:
        said = "the clock's governor cannot be seen: this is a virtual machine, or the system hides it"
        yield Finding("clock", FitnessLevel.CAUTION, said, "compare only what was timed in turns in one run")
    elif governor != "performance":
        said = f"the clock's governor is {governor}: the first requests of a run are slower than the rest"
        yield Finding("clock", FitnessLevel.CAUTION, said, "sudo cpupower frequency-set --governor performance")
    else:
        yield Finding("clock", FitnessLevel.FIT, "the clock's governor is performance")
    if proc.read(cpu / "intel_pstate/no_turbo") == "0" or proc.read(cpu / "cpufreq/boost") == "1":
        said = "the clock rises above its base while few cores work, and falls as they heat"
        yield Finding(
            "boost", FitnessLevel.CAUTION, said, "switch boost off for absolute times; ratios in turns bear it"
        )
    if proc.read(cpu / "smt/active") == "1":
        said = "two hardware threads share a core: a neighbour on the same core halves it"
        yield Finding(
            "threads", FitnessLevel.CAUTION, said, "--threads no more than the physical cores, pinned with taskset"
        )


def _memory(root: Path) -> Iterator[Finding]:
    fields = dict(line.split(":", 1) for line in (proc.read(root / "proc/meminfo") or "").splitlines() if ":" in line)
    if "MemAvailable" not in fields:
        return
    kib = {name: int(fields[name].split()[0]) for name in ("MemAvailable", "SwapTotal", "SwapFree") if name in fields}
    available, swapped = kib["MemAvailable"] * 1024, (kib.get("SwapTotal", 0) - kib.get("SwapFree", 0)) * 1024
    said = f"{available / 2**30:.1f} GiB of memory are available"
    if available < FREE_MEMORY:
        yield Finding("memory", FitnessLevel.FAULT, f"{said}: cases will fail or swap", "stop what else holds memory")
    elif swapped > FREE_MEMORY / 8:
        said += f", {swapped / 2**30:.1f} GiB are swapped out"
        yield Finding("memory", FitnessLevel.CAUTION, said, "sudo swapoff --all while measuring")
    else:
        yield Finding("memory", FitnessLevel.FIT, said)


def _peak_memory(root: Path) -> Iterator[Finding]:
    if os.access(root / "proc/self/clear_refs", os.W_OK):
        yield Finding("peak memory", FitnessLevel.FIT, "can be measured exactly")
    else:
        said = "/proc/self/clear_refs cannot be written: the peak memory of a request will be n/a on the CPU"
        yield Finding(
            "peak memory", FitnessLevel.CAUTION, said, "run on Linux, in a container that mounts /proc writable"
        )


def _compiler() -> Iterator[Finding]:
    if shutil.which(os.environ.get("CXX", "g++")) is None:
        said = "there is no C++ compiler: --decoder compiled will be unsupported on the CPU"
        yield Finding("compiler", FitnessLevel.CAUTION, said, "install g++")


def _energy(device: torch.device, root: Path) -> Iterator[Finding]:
    counter = energy.find_counter(device, root)
    if isinstance(counter, Unavailable):
        why = counter.unavailable
        remedy = energy.UNLOCK if energy.UNLOCK in why else "measure energy on a machine that has a counter"
        yield Finding("energy", FitnessLevel.CAUTION, f"energy will be n/a: {why}", remedy)
    else:
        yield Finding("energy", FitnessLevel.FIT, f"can be measured, by {counter.source}")
