"""What Linux tells of the machine below ``/proc`` and ``/sys``; None where it does not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

TICK_S = 0.01
"""The unit of ``/proc/stat`` in seconds, see proc_stat(5): what is read from it is no finer."""


@dataclass(frozen=True)
class Ticks:
    """What all cores together did since the machine started, in units of `TICK_S`.

    Attributes:
        busy: Time in which they worked for any process, or for an interrupt.
        idle: Time in which they had nothing to do, or waited for a disk.
        stolen: Time in which they had something to do and the host ran another virtual machine.

    """

    busy: int
    idle: int
    stolen: int

    def __sub__(self, earlier: Ticks) -> Ticks:
        return Ticks(self.busy - earlier.busy, self.idle - earlier.idle, self.stolen - earlier.stolen)

    def __add__(self, other: Ticks) -> Ticks:
        return Ticks(self.busy + other.busy, self.idle + other.idle, self.stolen + other.stolen)

    @property
    def stolen_share(self) -> float:
        """Share of the time in which there was something to do that the host gave to others."""
        return self.stolen / max(1, self.busy + self.stolen)


def read(path: Path) -> str | None:
    """Return a file's text without white space around it; None where it cannot be read."""
    try:
        return path.read_text().strip()
    except OSError:
        return None


def ticks(root: Path) -> Ticks | None:
    """Read the times of all cores together from ``/proc/stat``.

    Its fields are user, nice, system, idle, iowait, irq, softirq and steal; guests' time is part of the first two.
    """
    line = (read(root / "proc/stat") or "").partition("\n")[0]
    times = [int(value) for value in line.split()[1:9]]
    if len(times) < 8:  # noqa: PLR2004 - steal, the eighth, came with Linux 2.6.11
        return None
    user, nice, system, idle, waiting, interrupts, soft_interrupts, stolen = times
    return Ticks(user + nice + system + interrupts + soft_interrupts, idle + waiting, stolen)


def cpu_mhz(root: Path) -> float | None:
    """Return the mean clock of all cores in MHz."""
    lines = (read(root / "proc/cpuinfo") or "").splitlines()
    clocks = [float(line.partition(":")[2]) for line in lines if line.startswith("cpu MHz")]
    return sum(clocks) / len(clocks) if clocks else None


def governor(root: Path) -> str | None:
    """Return the name of the rule by which the first core's clock is chosen."""
    return read(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")


def quota(root: Path) -> tuple[int, int] | None:
    """Return the CPU time that this process's control group may use of each period, and the period, in microseconds.

    Version 2 of control groups keeps both in ``cpu.max``, version 1 in two files; None where there is no limit.
    """
    group = root / "sys/fs/cgroup"
    old = f"{read(group / 'cpu/cpu.cfs_quota_us') or 'max'} {read(group / 'cpu/cpu.cfs_period_us') or 100_000}"
    limit, period = (read(group / "cpu.max") or old).split()
    return None if limit in ("max", "-1") else (int(limit), int(period))
