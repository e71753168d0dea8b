"""How near requests come to what the machine can do: the roofline, drawn and as a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from bench.records.conditions import Overhead, Repeats, Roofline
from bench.records.record import Record
from bench.report.drawing.canvas import WIDTH_IN, legend, looks_of
from bench.report.drawing.lines import Along, lines
from bench.report.drawing.live import Live
from bench.report.reading.facets import chosen_labels
from bench.report.reading.labels import case_labels, milliseconds, number, share, significant, with_interval
from bench.report.reading.naming import caption
from bench.report.reading.ratios import is_measured, latency_of
from bench.report.run.live import chosen_rows

GIGA = 1e9


def has_roofline(record: Record) -> bool:
    """Tell whether a record can be drawn: its work is known and has floating-point operations."""
    return isinstance(record.roofline, Roofline) and record.roofline.flops > 0 and record.roofline.bytes > 0


def attained(record: Record) -> float | None:
    """Return the lower bound over the median latency: 1 would be as fast as the machine allows."""
    if not isinstance(record.roofline, Roofline) or record.latency is None:
        return None
    return record.roofline.bound_s / record.latency.p50_s


def draw_roofline(records: Sequence[Record]) -> Figure:
    """Draw operations a second against operations a byte, below the roofs of the machine."""
    figure, axis = plt.subplots(figsize=(WIDTH_IN, 4.2))
    looks = looks_of(records)
    roofs: dict[tuple[float, float], str] = {}
    handles = {}
    intensities = []
    for record in records:
        work = record.roofline
        assert isinstance(work, Roofline)
        look = looks[caption(record)]
        intensity = work.flops / work.bytes
        intensities.append(intensity)
        size = 5 + 2 * np.log2(record.case.batch_size)
        axis.plot(
            intensity,
            work.flops / latency_of(record).p50_s / GIGA,
            **look.marks,
            markersize=size,
            linestyle="none",
            alpha=0.85,
        )
        handles[caption(record)] = Line2D([], [], **look.marks, markersize=7, linestyle="none")
        case = record.case
        threads = f"{case.threads} thread{'s' if case.threads > 1 else ''}"
        roofs.setdefault((work.flops_per_s, work.bytes_per_s), f"{case.device}, {case.dtype}, {threads}")
    _draw_roofs(axis, roofs, min(intensities) / 1.5, max(intensities) * 1.5)
    axis.set_xlabel("operations for each byte that operators read or write, FLOP/B (log scale)")
    axis.set_ylabel("GFLOP/s (log scale; larger marks: larger batches)")
    legend(figure, list(handles.values()), list(handles))
    return figure


def _draw_roofs(axis: Axes, roofs: dict[tuple[float, float], str], low: float, high: float) -> None:
    axis.set_xscale("log")
    axis.set_yscale("log")
    for (flops_per_s, bytes_per_s), name in roofs.items():
        ridge = flops_per_s / bytes_per_s
        reach = np.geomspace(min(low, ridge / 3), max(high, 3 * ridge), 100)
        axis.plot(reach, np.minimum(flops_per_s, bytes_per_s * reach) / GIGA, color="black", linewidth=1)
        said = f"{name}: {significant(flops_per_s / GIGA)} GFLOP/s, {significant(bytes_per_s / GIGA)} GB/s"
        place = (reach[-1], flops_per_s / GIGA)
        axis.annotate(said, place, xytext=(0, 4), textcoords="offset points", ha="right", fontsize=8)
    bottom, top = axis.get_ylim()
    axis.set_ylim(bottom, top * 2)
    for side in (axis.xaxis, axis.yaxis):
        side.set_major_locator(LogLocator(10, subs=(1.0, 2.0, 5.0), numticks=15))
        side.set_minor_formatter(NullFormatter())
        side.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))


def live_roofline(records: Sequence[Record]) -> Live:
    """Draw the chosen cases below the roofs of their machine."""
    rows: list[dict[str, Any]] = []
    roofs: dict[tuple[float, float], tuple[dict[str, str], list[float]]] = {}
    for row, record in chosen_rows(records):
        work = record.roofline
        assert isinstance(work, Roofline)
        intensity, speed = work.flops / work.bytes, work.flops / latency_of(record).p50_s / GIGA
        where = {name: row[name] for name in ("device", "dtype")}
        roofs.setdefault((work.flops_per_s, work.bytes_per_s), (where, []))[1].append(intensity)
        said = f"{significant(speed)}; {share(attained(record) or 0)} of the machine's bound"
        rows.append(row | {"x": intensity, "y": speed, "marked": True, "few": True, "told": said})
    for (flops_per_s, bytes_per_s), (where, intensities) in roofs.items():
        ridge = flops_per_s / bytes_per_s
        name = f"{significant(flops_per_s / GIGA)} GFLOP/s, {significant(bytes_per_s / GIGA)} GB/s"
        roof: dict[str, Any] = where | {"backdrop": True, "name": name}
        ends = (min(*intensities, ridge / 3), ridge, max(*intensities, 3 * ridge))
        rows += [roof | {"line": True, "x": x, "y": min(flops_per_s, bytes_per_s * x) / GIGA} for x in ends]
        rows[-1] |= {"marked": True, "few": True, "told": "the machine's roof"}
    x = Along("operations for each byte that operators read or write, FLOP/B (log scale)", log=True)
    return lines(rows, x, Along("GFLOP/s (log scale)", log=True))


def points(records: Sequence[Record]) -> pd.DataFrame:
    """Return the data behind the figure, one row a case."""
    rows = []
    for label, record in zip(case_labels(records), records, strict=True):
        work = record.roofline
        assert isinstance(work, Roofline)
        row = {
            "case": label,
            "flop_per_byte": work.flops / work.bytes,
            "flops_per_s": work.flops / latency_of(record).p50_s,
        }
        roofs = {
            "peak_flops_per_s": work.flops_per_s,
            "peak_bytes_per_s": work.bytes_per_s,
            "lower_bound_s": work.bound_s,
        }
        rows.append(row | roofs)
    return pd.DataFrame(rows)


def describe(records: Sequence[Record]) -> str:
    """Say in words what the figure shows."""
    shares = (f"{attained(record) or 0:.1%}" for record in records)
    pairs = zip(case_labels(records), shares, strict=True)
    return "The machine's lower bound over the median latency. " + "; ".join(
        f"{name}: {share}" for name, share in pairs
    )


def limits(records: Sequence[Record]) -> pd.DataFrame:
    """Return each case against the machine's limits and the audits; columns that nobody fills are left out."""
    rows = [
        {"case": label} | _cells(record)
        for label, record in zip(chosen_labels(records), records, strict=True)
        if is_measured(record)
    ]
    frame = pd.DataFrame(rows, dtype=object)
    return frame.drop(columns=[name for name in frame.columns if (frame[name] == "n/a").all()])


def _cells(record: Record) -> dict[str, str]:
    work = record.roofline if isinstance(record.roofline, Roofline) else None
    part = attained(record)
    overhead = record.overhead if isinstance(record.overhead, Overhead) else None
    repeats = record.repeats if isinstance(record.repeats, Repeats) else None
    return {
        "lower bound": "n/a" if work is None else milliseconds(work.bound_s),
        "share of p50": "n/a" if part is None else share(part),
        "FLOP/B": "n/a" if work is None or not work.bytes else number(work.flops / work.bytes),
        "timing adds": "n/a"
        if overhead is None
        else with_interval(1e6 * overhead.seconds, 1e6 * overhead.low, 1e6 * overhead.high, " µs"),
        "asked again": "n/a" if repeats is None else with_interval(repeats.ratio, repeats.low, repeats.high),
    }
