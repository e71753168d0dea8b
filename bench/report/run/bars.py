"""Figures with a row a case: every round's latency, operations and memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator

from bench.records.cost import Flops, Memory
from bench.records.record import Record
from bench.report.drawing.canvas import log_milliseconds, looks_of, rows_of_cases
from bench.report.reading.labels import case_labels, milliseconds, operations, significant
from bench.report.reading.naming import caption
from bench.report.reading.ratios import latency_of

DOTS = 200
"""Rounds of a case that are drawn, evenly spaced in the order of time taken."""


def draw_latency(records: Sequence[Record]) -> Figure:
    """Draw the rounds of each case, with their median and their middle 90 %."""
    figure, (axis,) = rows_of_cases(records)
    looks = looks_of(records)
    for row, record in enumerate(records):
        samples = np.sort(np.array(latency_of(record).samples_s) * 1e3)
        colour = looks[caption(record)].colour
        shown = samples[np.linspace(0, len(samples) - 1, min(len(samples), DOTS)).astype(int)]
        spread = 0.28 * np.sin(np.arange(len(shown)) * 2.399963)  # golden angle: dots spread without a seed
        axis.scatter(shown, row + spread, s=5, color=colour, alpha=0.35, linewidths=0)
        if latency_of(record).p95_s is not None:
            low, high = np.percentile(samples, [5, 95])
            axis.plot([low, high], [row, row], color="black", linewidth=1.2)
        axis.plot(np.median(samples), row, marker="|", color="black", markersize=13, markeredgewidth=2)
    log_milliseconds(axis)
    axis.set_xlabel("latency of a request, ms\n(dots: rounds; line: middle 90 %, of 100 rounds or more; tick: median)")
    return figure


def describe_latency(records: Sequence[Record]) -> str:
    """Say in words which medians are drawn."""
    pairs = zip(case_labels(records), records, strict=True)
    return (
        f"Median latency. {'; '.join(f'{label}: {milliseconds(latency_of(record).p50_s)}' for label, record in pairs)}."
    )


def draw_cost(records: Sequence[Record]) -> Figure:
    """Draw operations a user and peak memory as bars."""
    figure, (counts, memory) = rows_of_cases(records, panels=2)
    looks = looks_of(records)
    for row, record in enumerate(records):
        colour = looks[caption(record)].colour
        if isinstance(record.flops, Flops) and record.flops.per_user > 0:
            _bar(counts, row, record.flops.per_user / 1e9, colour)
        else:
            counts.text(0.01, row, "0", transform=counts.get_yaxis_transform(), va="center", fontsize=8)
        if isinstance(record.memory, Memory) and record.memory.peak_bytes > 0:
            _bar(memory, row, record.memory.peak_bytes / 2**20, colour)
        else:
            memory.text(0.01, row, "n/a", transform=memory.get_yaxis_transform(), va="center", fontsize=8)
    for axis, name in ((counts, "GFLOP a user"), (memory, "peak memory, MiB")):
        if axis.patches:
            axis.set_xscale("log")
            axis.xaxis.set_major_locator(LogLocator(10, numticks=6))
            axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
            low, high = axis.get_xlim()
            axis.set_xlim(low / 2, high * 6)
        axis.set_xlabel(f"{name} (log scale)")
    return figure


def _bar(axis: Axes, row: int, value: float, colour: Any) -> None:
    axis.barh(row, value, height=0.62, color=colour)
    axis.annotate(significant(value), (value, row), xytext=(3, 0), textcoords="offset points", va="center", fontsize=8)


def costs(records: Sequence[Record]) -> pd.DataFrame:
    """Return the data behind the bars, one row a case."""
    rows = [
        {
            "case": label,
            "flops_per_user": record.flops.per_user if isinstance(record.flops, Flops) else None,
            "peak_bytes": record.memory.peak_bytes if isinstance(record.memory, Memory) else None,
        }
        for label, record in zip(case_labels(records), records, strict=True)
    ]
    return pd.DataFrame(rows).convert_dtypes()


def describe_cost(records: Sequence[Record]) -> str:
    """Say in words how many operations each case takes."""
    pairs = zip(case_labels(records), records, strict=True)
    told = [
        f"{label}: {operations(record.flops.per_user)}" for label, record in pairs if isinstance(record.flops, Flops)
    ]
    return f"Operations a user. {'; '.join(told)}."
