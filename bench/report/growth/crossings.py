"""Where the laws of two recommenders cross: from which beam width, batch, history or catalogue on to change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from scipy.optimize import brentq

from bench.report.drawing.palette import Look
from bench.report.growth.laws import FittedLine, Growth, between, draw_curves
from bench.report.growth.sweeps import Sweep
from bench.report.reading.labels import NOT_AVAILABLE, Quantity, milliseconds, number, significant
from bench.statistics.growth import Floats, Laws

REACH = 10.0
"""How many times beyond the measured range a crossing is looked for, and how many times below it (but not below 1)."""

SURE = 0.95
"""Share of resamples that must cross for a crossing to be told without a doubt."""

DOUBT = 0.05
"""Share of resamples from which on a crossing is told that the fitted laws do not have."""

NOTE = (
    "For each two lines of different recommenders that have a law: where these cross, from a tenth of the smallest "
    "value that both were measured at (1 at least) to 10 times the largest. Interpolated: between measured values; "
    "predicted: beyond them, where nothing says that the laws still hold. Intervals: 95 %, of the resamples of turns "
    "in which the laws cross."
)

PLACES = 400
"""Values at which two laws are compared before a crossing is looked for between neighbours."""

MOST_KEPT = 16
"""Sweeps whose crossings are kept, more than a page has."""
_SAME = 1e-9
"""Relative difference of two laws that is rounding."""


@dataclass(frozen=True)
class Crossing:
    """Where one line stops being the faster one.

    Attributes:
        growth: The sweep.
        below: The line that is faster below.
        beyond: The line that is faster beyond.
        at: Value of the swept quantity; None where only resamples cross.
        time_s: What both take there in seconds; None likewise.
        low: 2.5th percentile over the resamples that cross; None where none does.
        high: 97.5th.
        share: Share of the resamples in which they cross in this direction.
        inside: Whether both were measured on both sides of it.

    """

    growth: Growth
    below: str
    beyond: str
    at: float | None
    time_s: float | None
    low: float | None
    high: float | None
    share: float
    inside: bool


def find(grown: Sequence[Growth]) -> list[Crossing]:
    """Return the crossings of all pairs of lines of different recommenders, in the order of the lines."""
    return [crossing for growth in grown for crossing in _of(growth)]


@lru_cache(maxsize=MOST_KEPT)
def _of(growth: Growth) -> tuple[Crossing, ...]:
    """Return the crossings of one sweep; table, figure and words ask for the same."""
    bounds = _Bounds()
    return tuple(crossing for line, other in pairs(growth) for crossing in _of_pair(growth, line, other, bounds))


def pairs(growth: Growth) -> list[tuple[FittedLine, FittedLine]]:
    """Return the lines that are held against each other: of different recommenders, not both level."""
    every = combinations(growth.lawful, 2)
    return [(a, b) for a, b in every if a.recommender != b.recommender and not (a.level and b.level)]


def _of_pair(growth: Growth, line: FittedLine, other: FittedLine, bounds: _Bounds) -> list[Crossing]:
    least, most = max(line.x[0], other.x[0]), min(line.x[-1], other.x[-1])
    span = max(1.0, min(least, most) / REACH), max(least, most) * REACH
    if bounds.apart(line, other, span):
        return []
    places = np.geomspace(*span, PLACES)
    pair_crossings = []
    gap = log_ratio(line.laws, other.laws, places)
    for first, second, rising in ((line, other, gap), (other, line, -gap)):
        resampled = first_turn(rising, places)
        share = float(np.isfinite(resampled).mean())
        at = overtaking(first.law, second.law, places)
        if at is None and share < DOUBT:
            continue
        crossed = resampled[np.isfinite(resampled)]
        middle = at if at is not None else float(np.median(crossed))
        low, high = between(middle, crossed) if crossed.size else (None, None)
        pair_crossings.append(
            Crossing(
                growth=growth,
                below=first.name,
                beyond=second.name,
                at=at,
                time_s=None if at is None else float(first.law.at(np.array([at]))[0, 0]),
                low=low,
                high=high,
                share=share,
                inside=at is not None and bool(least <= at <= most),
            )
        )
    return sorted(pair_crossings, key=lambda crossing: (crossing.at is None, crossing.at))


class _Bounds:
    """Between which times lines lie, fit and resamples alike: most pairs of many lines are never near each other."""

    def __init__(self) -> None:
        self._kept: dict[tuple[int, float, float], tuple[Floats, Floats]] = {}

    def apart(self, line: FittedLine, other: FittedLine, span: tuple[float, float]) -> bool:
        """Tell whether one of two lines is the slower everywhere between two values, in all resamples of both."""
        (low, high), (other_low, other_high) = self._of(line, span), self._of(other, span)
        return bool((low > other_high).all() or (other_low > high).all())

    def _of(self, line: FittedLine, span: tuple[float, float]) -> tuple[Floats, Floats]:
        key = (id(line), *span)
        if key not in self._kept:
            places = np.geomspace(*span, PLACES)
            times = np.concatenate([line.law.at(places), line.laws.at(places)])
            self._kept[key] = times.min(0) * (1 - _SAME), times.max(0) * (1 + _SAME)
        return self._kept[key]


def log_ratio(first: Laws, second: Laws, places: Floats) -> Floats:
    """Return log(first / second) at the places [X], rounding set to 0, [L, X]."""
    gap = np.log(first.at(places) / second.at(places))
    rounded: Floats = np.where(np.abs(gap) < _SAME, 0.0, gap)
    return rounded


def overtaking(first: Laws, second: Laws, places: Floats) -> float | None:
    """Return where `first`, the faster one below, becomes the slower; None where that does not happen.

    Two laws ``a + b x^c`` differ in three powers of x at most, so they cross twice at most (Descartes' rule of signs)
    and once at most in each direction.

    Args:
        first: One law.
        second: One law.
        places: Ascending values between which the crossing is looked for, [X].

    """
    gap = log_ratio(first, second, places)[0]
    told = np.flatnonzero(gap)  # a crossing may lie on a place
    turns = np.flatnonzero((gap[told][:-1] < 0) & (gap[told][1:] > 0))
    if not turns.size:
        return None
    low, high = np.log(places[told[turns[0]]]), np.log(places[told[turns[0] + 1]])
    return float(np.exp(brentq(lambda place: float(log_ratio(first, second, np.exp([place]))[0, 0]), low, high)))


def first_turn(gap: Floats, places: Floats) -> Floats:
    """Return where each row of gaps [L, X] first rises from below 0, on a line between neighbours, [L]; else NaN."""
    turns = (gap[:, :-1] < 0) & (gap[:, 1:] >= 0)
    column, row = turns.argmax(1), np.arange(len(gap))
    before, after = gap[row, column], gap[row, column + 1]
    crossed = turns[row, column]
    part = np.divide(before, before - after, out=np.zeros_like(before), where=crossed)
    logs = np.log(places)
    at: Floats = np.where(crossed, np.exp(logs[column] + part * (logs[column + 1] - logs[column])), np.nan)
    return at


def crossings(grown: Sequence[Growth]) -> pd.DataFrame:
    """Return the crossings, one row each; pairs that do not cross have none, see `describe_crossings`."""
    return pd.DataFrame([_cells(crossing) for crossing in find(grown)])


def _cells(crossing: Crossing) -> dict[str, str]:
    at, low, high = crossing.at, crossing.low, crossing.high
    interval = NOT_AVAILABLE if low is None or high is None else f"[{significant(low)}, {significant(high)}]"
    return {
        "faster below": crossing.below,
        "faster beyond": crossing.beyond,
        "against": crossing.growth.against,
        "they cross at": "nowhere by the fitted laws" if at is None else number(at),
        "95 % interval": interval,
        "both take": NOT_AVAILABLE if crossing.time_s is None else milliseconds(crossing.time_s),
        "where": _where(crossing),
        "resamples that cross": Quantity(
            f"{crossing.share:.1%}" + ("" if crossing.share >= SURE else ", may not cross"), crossing.share
        ),
    }


def _where(crossing: Crossing) -> str:
    if crossing.at is None:
        return NOT_AVAILABLE
    return "interpolated" if crossing.inside else "predicted"


def draw_laws(grown: Sequence[Growth], axis: Axes, sweep: Sweep, looks: Mapping[str, Look]) -> None:
    """Draw the laws of one sweep over what was measured, and mark where they cross inside the measured range."""
    draw_curves(grown, axis, sweep, looks)
    for crossing in find([growth for growth in grown if growth.sweep is sweep]):
        if crossing.at is not None and crossing.time_s is not None and crossing.inside:
            place = (crossing.at, crossing.time_s * 1e3)
            axis.plot(*place, marker="o", color="black", markersize=9, fillstyle="none", linestyle="none")
            said, above = f"cross at {significant(crossing.at)}", (-3, 9)
            axis.annotate(said, place, xytext=above, textcoords="offset points", ha="right", fontsize=7)


def describe_crossings(grown: Sequence[Growth]) -> str:
    """Say in words how many pairs were held against each other, and which cross where."""
    every_crossing = find(grown)
    total = sum(len(pairs(growth)) for growth in grown)
    if not total:
        return "No sweep has lines of two recommenders whose laws could cross."
    crossed = len({(id(crossing.growth), frozenset((crossing.below, crossing.beyond))) for crossing in every_crossing})
    said = [
        f"Against {crossing.growth.against}, {crossing.below} is faster than {crossing.beyond} "
        f"up to {significant(crossing.at)} ({_where(crossing)}{'' if crossing.share >= SURE else ', may not cross'})"
        for crossing in every_crossing
        if crossing.at is not None
    ]
    counted = f"Of the pairs of lines of different recommenders ({total}), {total - crossed} do not cross"
    return ". ".join([counted, *said]) + "."
