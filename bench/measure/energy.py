"""Energy of requests in joules, from the device's own counter: NVML's on a GPU, RAPL's on a CPU."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from bench.measure import nvml, proc
from bench.measure.clock import Clock
from bench.measure.instrument import Instrument, Request
from bench.records.conditions import Energy
from bench.records.model import Unavailable

UPDATES = 20
"""A window that a counter moved in so often is known to a twentieth at worst."""

LEAST_S, MOST_S = 2.0, 30.0
"""Bounds of the window with requests; NVML's counter moves every 20 to 100 ms, RAPL's every millisecond."""

MOST_IDLE_S = 10.0

STEP_S = 0.005
"""Sleep between two readings while nothing runs; a loop without sleep would be work itself."""

UNLOCK = "sudo chmod a+r /sys/class/powercap/intel-rapl:*/energy_uj"


class CounterError(Exception):
    """An energy counter cannot be read; its message says why."""


class Counter(Protocol):
    """A counter of energy, which only rises."""

    @property
    def source(self) -> str:
        """What counts, as `bench.records.conditions.Energy` calls it."""

    def joules(self) -> float:
        """Return the joules since some moment that stays the same.

        Raises:
            CounterError: The counter cannot be read.

        """


@dataclass(frozen=True)
class Nvml:
    """The counter of a whole GPU, its memory included.

    Attributes:
        gpu: NVML's handle.
        source: What counts.

    """

    gpu: Any
    source: str = "NVML"

    def joules(self) -> float:
        """Return the joules since the driver was loaded."""
        try:
            return nvml.joules(self.gpu)
        except nvml.NVMLError as error:
            raise CounterError(f"NVML cannot read this GPU's energy: {error}") from error


class Rapl:
    """The counters of all processor packages, as Linux shows them for Intel and AMD; memory is not part of it.

    They wrap around, after minutes at full power: between two readings they may do so once.

    Args:
        packages: Folders that hold ``energy_uj`` and ``max_energy_range_uj``.

    Raises:
        CounterError: One cannot be read.

    """

    source = "RAPL"

    def __init__(self, packages: list[Path]) -> None:
        self._ranges = {package: _microjoules(package / "max_energy_range_uj") for package in packages}
        self._last = {package: _microjoules(package / "energy_uj") for package in packages}
        self._total_uj = 0

    def joules(self) -> float:
        """Return the joules since construction."""
        for package, last in self._last.items():
            now = _microjoules(package / "energy_uj")
            self._total_uj += now - last if now >= last else now - last + self._ranges[package]
            self._last[package] = now
        return self._total_uj / 1e6


def find_counter(device: torch.device, root: Path = Path("/")) -> Counter | Unavailable:
    """Return the counter of a device, read once to see that it can be, or why there is none.

    Args:
        device: Where one wants to measure.
        root: Below it lies ``sys``.

    """
    try:
        counter = _nvml(device) if device.type == "cuda" else _rapl(root)
        counter.joules()
    except CounterError as error:
        return Unavailable(unavailable=str(error))
    return counter


def request_energy(
    call: Callable[[], Any],
    *,
    users: int,
    device: torch.device,
    root: Path = Path("/"),
    least_s: float = LEAST_S,
    most_s: float = MOST_S,
) -> Energy | Unavailable:
    """Repeat a request until the energy counter has moved `UPDATES` times, after a window without requests.

    What the device draws when idle is part of the result: a server pays for that too, and it stands beside it.
    So is what other processes have it do meanwhile. The idle window ends as the counter moves and the other
    begins there, so that both ends of the latter lie at a move. Like zeus (You et al., NSDI 2023), it
    synchronises before reading and takes no number from a window too short for the counter.

    Args:
        call: One request.
        users: Users it answers.
        device: Where it computes.
        root: Below it lies ``sys``.
        least_s: Least length of each window in seconds.
        most_s: Length in seconds after which the window with requests ends, with the request that then runs.

    """
    counter = find_counter(device, root)
    if isinstance(counter, Unavailable):
        return counter
    clock = Clock(device)

    def request() -> None:
        call()
        clock.synchronise()

    clock.synchronise()
    try:
        idle = _observe(counter, lambda: time.sleep(STEP_S), least_s, min(MOST_IDLE_S, most_s))
        if idle.updates < UPDATES:
            return idle.too_few("without requests")
        busy = _observe(counter, request, least_s, most_s, period_s=idle.seconds / idle.updates)
    except CounterError as error:
        return Unavailable(unavailable=str(error))
    if busy.updates < UPDATES:
        return busy.too_few("of requests")
    return Energy(
        source=counter.source,
        joules_per_1000_users=busy.joules / (busy.steps * users) * 1000,
        power_w=busy.joules / busy.seconds,
        idle_power_w=idle.joules / idle.seconds,
        window_s=busy.seconds,
        updates=busy.updates,
    )


@dataclass(frozen=True)
class _Window:
    seconds: float
    joules: float
    steps: int
    updates: int

    def too_few(self, content: str) -> Unavailable:
        moves = f"moved {self.updates} times in {self.seconds:.2g} s {content}"
        return Unavailable(unavailable=f"the energy counter {moves}; {UPDATES} are needed for a number")


def _observe(
    counter: Counter, step: Callable[[], Any], least_s: float, most_s: float, period_s: float = math.inf
) -> _Window:
    """Repeat a step until the counter has moved often enough, and read it after each.

    A step longer than the counter's period hides moves: as many are counted as periods fit into it.
    """
    first = last = counter.joules()
    start = moved = time.perf_counter()
    seconds, steps, updates = 0.0, 0, 0
    while seconds < most_s:
        step()
        steps += 1
        joules, now = counter.joules(), time.perf_counter()
        seconds = now - start
        if joules > last:
            updates += max(1, int((now - moved) / period_s))
            last, moved = joules, now
            if updates >= UPDATES and seconds >= least_s:
                break
    return _Window(seconds, last - first, steps, updates)


def _nvml(device: torch.device) -> Nvml:
    try:
        gpu = nvml.handle(device)
    except nvml.NVMLError as error:
        raise CounterError(f"NVML does not find this GPU (a MIG instance has no counter): {error}") from error
    if nvml.is_partitioned(gpu):
        raise CounterError("the GPU is cut into MIG instances, and its energy counter counts them all together")
    return Nvml(gpu)


def _rapl(root: Path) -> Rapl:
    """Find the packages, not their parts (``intel-rapl:0:1``) nor the platform (psys), which holds them all."""
    domains = sorted((root / "sys/class/powercap").glob("intel-rapl:*"))
    packages = [domain for domain in domains if (proc.read(domain / "name") or "").startswith("package")]
    packages = [package for package in packages if package.name.count(":") == 1]
    if not packages:
        raise CounterError("this machine shows no counter of the processor's energy (RAPL)")
    return Rapl(packages)


def _microjoules(path: Path) -> int:
    try:
        return int(path.read_text())
    except PermissionError as error:
        raise CounterError(f"this user may not read the processor's energy counter (RAPL): {UNLOCK}") from error
    except (OSError, ValueError) as error:
        raise CounterError(f"the processor's energy counter (RAPL) cannot be read: {error}") from error


def _of(request: Request) -> Energy | Unavailable:
    subject = request.subject
    return request_energy(lambda: subject.request(0), users=subject.batch_size, device=subject.device)


class EnergyMeter(Instrument):
    """Measures the energy of requests: power, idle power, joules."""

    name = "energy"

    def measure(self, request: Request) -> Energy | None:
        """Read the device's counter; None where there is none, of which `JoulesMeter` tells the reason."""
        energy = request.once(_of)
        return None if isinstance(energy, Unavailable) else energy


class JoulesMeter(Instrument):
    """Measures joules per 1,000 users."""

    name = "energy_j_per_1000_users"

    def measure(self, request: Request) -> float | Unavailable:
        """Take the joules of `EnergyMeter`, or its reason why there are none."""
        energy = request.once(_of)
        return energy if isinstance(energy, Unavailable) else energy.joules_per_1000_users
