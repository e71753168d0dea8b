"""The machine and the software that a number holds for."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import sys
from collections.abc import Iterable
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from models import registry

PACKAGES = ("torch", "transformers", "tokenizers", "accelerate", "fvcore", "numpy", "pytest-benchmark")


def machine(device: torch.device) -> dict[str, str | int | float | None]:
    """Describe processor, memory and GPU; None for what this machine does not tell."""
    facts: dict[str, str | int | float | None] = {
        "system": f"{platform.system()} {platform.release()}",
        "processor": _cpuinfo("model name") or platform.processor() or None,
        "cores": os.cpu_count(),
        "memory GiB": _memory_gib(),
        "frequency governor": _read(Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")),
    }
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        facts |= {
            "GPU": properties.name,
            "GPU memory GiB": round(properties.total_memory / 2**30, 1),
            "CUDA": torch.version.cuda,
            "GPU power W": torch.cuda.power_draw(device) / 1000,
            "GPU clock MHz": torch.cuda.clock_rate(device),
            "GPU temperature C": torch.cuda.temperature(device),
        }
    return facts


def load_average() -> float | None:
    """Return the one-minute load average: what else ran."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


@cache
def software() -> dict[str, str | None]:
    """Return the versions of Python and of what a number depends on."""
    versions: dict[str, str | None] = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = None
    return versions


@cache
def commit() -> tuple[str | None, bool | None]:
    """Return the revision of the code that measures, and whether it was changed; None outside git."""
    here = Path(__file__).parent
    try:
        revision = subprocess.run(["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, check=True)  # noqa: S607
        changes = subprocess.run(
            ["git", "status", "--porcelain"],  # noqa: S607
            cwd=here,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None, None
    return revision.stdout.strip(), bool(changes.stdout.strip())


@cache
def code_identity() -> str:
    """Return what tells this state of the code from others: the revision, and the changes to it."""
    revision, dirty = commit()
    if not dirty:
        return revision or "unversioned"
    changes = subprocess.run(["git", "diff", "HEAD"], cwd=Path(__file__).parent, capture_output=True, check=True)  # noqa: S607
    return f"{revision}+{hashlib.sha256(changes.stdout).hexdigest()}"


def sources(recommenders: Iterable[str]) -> dict[str, str]:
    """Return the SHA-256 of the file that holds each recommender's class: of those outside of our code, too.

    Args:
        recommenders: Registry names or ``package.module:Class``.

    """
    files = {name: getattr(sys.modules.get(registry.load(name).__module__), "__file__", None) for name in recommenders}
    return {name: hashlib.sha256(Path(file).read_bytes()).hexdigest() for name, file in files.items() if file}


def _cpuinfo(field: str) -> str | None:
    for line in (_read(Path("/proc/cpuinfo")) or "").splitlines():
        if line.startswith(field):
            return line.partition(":")[2].strip()
    return None


def _memory_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (AttributeError, ValueError, OSError):
        return None


def _read(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except OSError:
        return None
