"""When requests arrive: seconds from the start of a trial, drawn before it begins."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.ground.textfiles import read_text
from models.errors import UserError

Seconds = NDArray[np.float64]


def poisson(rate: float, *, count: int, seed: int) -> Seconds:
    """Return so many arrivals of users who do not know of each other: gaps are exponential, with mean ``1 / rate``."""
    return np.cumsum(np.random.default_rng(seed).exponential(1 / rate, count))


def at_once(count: int) -> Seconds:
    """Return so many arrivals at the start."""
    return np.zeros(count)


def replayed(path: Path) -> Seconds:
    """Read arrivals from a file with one number of seconds a line; the first is moved to the start.

    Raises:
        UserError: A line is no finite number, times go back, or there are none.

    """
    times: list[float] = []
    for number, line in enumerate(read_text(path).splitlines(), 1):
        word = line.strip()
        if not word or word.startswith("#"):
            continue
        try:
            times.append(float(word))
        except ValueError:
            raise UserError(f"{path}, line {number}: {word[:40]!r} is no number of seconds; write one a line") from None
        if not np.isfinite(times[-1]) or times[-1] < times[max(len(times) - 2, 0)]:
            raise UserError(f"{path}, line {number}: {word[:40]} is not finite, or before the line above")
    if not times:
        raise UserError(f"{path}: holds no arrival times; write one number of seconds a line")
    return np.array(times) - times[0]
