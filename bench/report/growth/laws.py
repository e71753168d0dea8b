"""The laws by which latency grows in each sweep of a run: fitted, as a table, and drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from bench.records.record import Record
from bench.report.drawing.canvas import WIDTH_IN, legend
from bench.report.drawing.palette import Look
from bench.report.growth.sweeps import Sweep, log_values, looks_of_lines, titles
from bench.report.reading.labels import NOT_AVAILABLE, Quantity, significant
from bench.report.reading.ratios import latency_of
from bench.statistics.growth import Floats, Form, Laws, choose, fit, has_law, usable
from bench.statistics.latency import medians_side_by_side

LEAST_POINTS, MOST_OFF = 4, 0.1
"""What a law takes: so many points, and none of them further from it than this share."""

NOTE = (
    "t(x) is the median latency at the value x of what is swept. Each line has the simplest of a, a + b·x, b·x^c and "
    "a + b·x^c that predicts left-out points about as well as the best, fitted on logarithms. No law is told of fewer "
    f"than {LEAST_POINTS} points, nor where one of them lies further from it than {MOST_OFF:.0%}. "
    "Intervals: 95 %, from a bootstrap over turns, for the law as chosen; they hold the noise within the run, "
    "not that another law may be right. Residual: measured over the law's, less 1; one far beyond the "
    "noise of its median says that the law does not hold all over."
)


@dataclass(frozen=True)
class FittedLine:
    """One line of a sweep with its law.

    Attributes:
        name: As in the figure.
        recommender: What recommends.
        records: What was measured.
        x: Measured values, ascending, [N].
        times: Their medians in seconds, [N].
        resampled: Bootstrapped medians in seconds, [R, N].
        law: One law.
        laws: The same form fitted to each resample, [R].
        level: Whether the swept quantity does not touch it: one time for all values.

    """

    name: str
    recommender: str
    records: tuple[Record, ...]
    x: Floats
    times: Floats
    resampled: Floats
    law: Laws
    laws: Laws
    level: bool

    @property
    def residuals(self) -> Floats:
        """Measured over the law's time, less 1, [N]."""
        residuals: Floats = self.times / self.law.at(self.x)[0] - 1
        return residuals

    @property
    def refused(self) -> str:
        """Why the points follow no law that may be told; empty where they do."""
        if self.level:
            return ""
        if len(self.x) < LEAST_POINTS:
            return f"none told: {len(self.x)} points"
        worst = float(np.abs(self.residuals).max())
        return f"none told: off by {worst:.0%}" if worst > MOST_OFF else ""

    @property
    def noise(self) -> Floats:
        """Relative standard error of each median, [N]."""
        return _noise(self.resampled)


@dataclass(frozen=True, eq=False)
class Growth:
    """A sweep with the laws of its lines.

    Attributes:
        sweep: What was measured.
        title: What tells it from the other sweeps; empty where it is the only one.
        lines: Those that have a law.

    """

    sweep: Sweep
    title: str
    lines: list[FittedLine]

    @property
    def against(self) -> str:
        """The quantity, with what tells this sweep from the others."""
        return f"{self.sweep.quantity} ({self.title})" if self.title else self.sweep.quantity

    @property
    def shown(self) -> list[FittedLine]:
        """The lines that the quantity touches."""
        return [line for line in self.lines if not line.level]

    @property
    def lawful(self) -> list[FittedLine]:
        """The lines whose law may be told, and crossed with others."""
        return [line for line in self.lines if not line.refused]


def growths(swept: Sequence[Sweep]) -> list[Growth]:
    """Fit the laws of all sweeps; sweeps of which no line has a law are left out."""
    own, _ = titles(swept)
    grown = [Growth(sweep, title, _lines(sweep)) for sweep, title in zip(swept, own, strict=True)]
    return [growth for growth in grown if growth.shown]


def _lines(sweep: Sweep) -> list[FittedLine]:
    every = [record for line in sweep.lines.values() for _, record in line] + list(sweep.level.values())
    resampled = medians_side_by_side([(record.provenance.started, latency_of(record)) for record in every])
    drawn = {id(record): draws for record, draws in zip(every, resampled.T, strict=True)}
    values = sorted({value for points in sweep.lines.values() for value, _ in points})
    every_line = [(name, points, False) for name, points in sweep.lines.items()]
    every_line += [(name, [(value, record) for value in values], True) for name, record in sweep.level.items()]
    return [line for name, points, level in every_line if (line := _line(name, points, drawn, level=level))]


def _line(name: str, points: list[tuple[float, Record]], drawn: dict[int, Floats], *, level: bool) -> FittedLine | None:
    """Fit the law of one line; None where too few of its points can be fitted."""
    x = np.array([value for value, _ in points])
    times = np.array([latency_of(record).p50_s for _, record in points])
    resampled = np.stack([drawn[id(record)] for _, record in points], axis=1)
    good = usable(x, np.vstack([times, resampled]))
    x, times, resampled = x[good], times[good], resampled[:, good]
    if not has_law(x):
        return None
    form = Form.CONSTANT if level else choose(x, times, float(np.sqrt(np.mean(_noise(resampled) ** 2))))
    law, each = fit(form, x, times[None]), fit(form, x, resampled)
    records = tuple(record for _, record in points)
    return FittedLine(name, points[0][1].case.recommender, records, x, times, resampled, law, each, level)


def _noise(resampled: Floats) -> Floats:
    noise: Floats = np.log(resampled).std(0)
    return noise


def laws(grown: Sequence[Growth]) -> pd.DataFrame:
    """Return the law of each line, one row a line; what has no parameter of a kind has no interval of it."""
    rows = [{"line": line.name, "against": growth.against} | _cells(line) for growth in grown for line in growth.shown]
    return pd.DataFrame(rows, dtype=object)


def _cells(line: FittedLine) -> dict[str, str]:
    law, form, refused = line.law, line.law.form, line.refused
    worst = int(np.abs(line.residuals).argmax())
    noisy = bool((line.noise > 0).all()) and not refused
    return {
        "law of the median": refused or law_text(law),
        "largest residual": Quantity(
            f"{line.residuals[worst]:+.1%} at {line.x[worst]:,.10g}"
            + (f", noise of the median {line.noise[worst]:.1%}" if (line.noise > 0).all() else ""),
            float(line.residuals[worst]),
        ),
        "interval of a": _times_between(law.a, line.laws.a) if noisy and form is not Form.POWER else NOT_AVAILABLE,
        "interval of b": _times_between(law.b, line.laws.b) if noisy and form is not Form.CONSTANT else NOT_AVAILABLE,
        "interval of c": _exponent_between(line) if noisy else NOT_AVAILABLE,
        "residuals": ", ".join(f"{value:+.1%}" for value in line.residuals),
        "measured range": f"{line.x[0]:,.10g} to {line.x[-1]:,.10g}, {len(line.x)} points",
    }


def law_text(law: Laws) -> str:
    """Write one law, such as ``1.20 ms + 0.0310 ms · x^0.980``."""
    a, b, c = (float(part[0]) for part in (law.a, law.b, law.c))
    variable = "x" if law.form is Form.LINEAR else f"x^{significant(c)}"
    terms = [duration(a)] * (a > 0 or b == 0) + [f"{duration(b)} · {variable}"] * (b > 0)
    return " + ".join(terms)


_UNITS = ((1e-5, 1e-3, "ms"), (1e-7, 1e-6, "µs"), (1e-10, 1e-9, "ns"), (0.0, 1e-12, "ps"))
"""From how many seconds on, in what unit, and its name: parameters may be far smaller than any latency."""


def duration(seconds: float) -> str:
    """Write a time in ms, or in the smaller unit that fits."""
    unit, name = _unit(seconds)
    return f"{significant(seconds / unit)} {name}"


def _unit(seconds: float) -> tuple[float, str]:
    return next(((unit, name) for least, unit, name in _UNITS if seconds >= least and seconds > 0), (1e-3, "ms"))


def between(value: float, resampled: Floats) -> tuple[float, float]:
    """Return the 95 % percentile interval, widened to hold the value itself."""
    low, high = np.percentile(resampled, [2.5, 97.5])
    return float(min(low, value)), float(max(high, value))


def _times_between(value: Floats, resampled: Floats) -> Quantity:
    low, high = between(float(value[0]), resampled)
    unit, name = _unit(high)
    return Quantity(f"[{significant(low / unit)}, {significant(high / unit)}] {name}", float(value[0]))


def _exponent_between(line: FittedLine) -> str:
    if line.law.form in (Form.CONSTANT, Form.LINEAR):
        return NOT_AVAILABLE
    exponent = float(line.law.c[0])
    low, high = between(exponent, line.laws.c)
    return Quantity(f"[{significant(low)}, {significant(high)}]", exponent)


def draw_curves(grown: Sequence[Growth], axis: Axes, sweep: Sweep, looks: Mapping[str, Look]) -> None:
    """Draw the laws of one sweep as thin lines over what is measured, in milliseconds."""
    for line in (line for growth in grown if growth.sweep is sweep for line in growth.shown if not line.refused):
        place = np.geomspace(line.x[0], line.x[-1], 100)
        axis.plot(place, line.law.at(place)[0] * 1e3, color=looks[line.name].colour, linewidth=0.8)


BESIDE = 0.015
"""Step between the residuals of two lines at one value, as a share of the axis."""


def draw_residuals(grown: Sequence[Growth]) -> Figure:
    """Draw how far each measured median is from its law, one panel a sweep; bars are 95 % intervals of the median."""
    columns = min(2, len(grown))
    rows = -(-len(grown) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(WIDTH_IN, 2.0 * rows + 0.2), squeeze=False)
    looks = looks_of_lines([fitted.sweep for fitted in grown])
    handles: dict[str, Any] = {}
    for axis, growth in zip(axes.flat, grown, strict=False):
        axis.axhline(0, color="black", linewidth=0.8)
        for row, line in enumerate(growth.shown):
            beside = (line.x[-1] / line.x[0]) ** (BESIDE * (row - (len(growth.shown) - 1) / 2))
            ends = np.percentile(line.resampled, [2.5, 97.5], axis=0)
            spread = np.abs(ends - line.times) * (np.sign(ends - line.times) == [[-1], [1]])
            bars = 100 * spread / line.law.at(line.x)[0]
            place, height = line.x * beside, 100 * line.residuals
            look = {**looks[line.name].marks, "linestyle": "none", "markersize": 4, "elinewidth": 0.8}
            handles[line.name] = axis.errorbar(place, height, yerr=bars, **look)
        log_values(axis, sorted({float(value) for line in growth.shown for value in line.x}))
        axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:+g} %" if value else "0"))
        axis.set_xlabel(growth.sweep.quantity)
        axis.set_title(growth.title, fontsize=8, fontweight="normal")
    for axis in axes[:, 0]:
        axis.set_ylabel("measured over law, less 1")
    for axis in axes.flat[len(grown) :]:
        axis.set_visible(False)
    legend(figure, list(handles.values()), list(handles))
    return figure


def residuals(grown: Sequence[Growth]) -> pd.DataFrame:
    """Return the data behind the figure, one row a measured median."""
    rows = [
        {"against": growth.against, "line": line.name, "value": x, "residual": residual}
        for growth in grown
        for line in growth.shown
        for x, residual in zip(line.x, line.residuals, strict=True)
    ]
    return pd.DataFrame(rows)


def describe_residuals(grown: Sequence[Growth]) -> str:
    """Say in words how far the medians are from the laws."""
    parts = [
        f"{line.name} against {growth.against}: "
        + ", ".join(f"{value:+.1%} at {x:,.10g}" for x, value in zip(line.x, line.residuals, strict=True))
        for growth in grown
        for line in growth.shown
    ]
    return "Measured median latency over the law's, less 1. " + "; ".join(parts) + "."
