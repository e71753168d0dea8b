"""Quality against latency: which cases nothing else beats in both, drawn with their memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.records.cost import Memory
from bench.records.quality import Quality
from bench.records.record import Record
from bench.report.drawing.canvas import WIDTH_IN, legend, log_milliseconds, looks_of, two_lines
from bench.report.drawing.palette import Look
from bench.report.reading.labels import group_name, groups, mebibytes, milliseconds
from bench.report.reading.naming import caption
from bench.report.reading.ratios import latency_of, metric

QUALITY = "NDCG@10"
TAIL, MIDDLE = "95th percentile", "median"

SMALLEST_PT, LARGEST_PT = 5.0, 13.0
"""Widths of marks: the least memory of a figure, and the most."""


def has_quality(record: Record) -> bool:
    """Tell whether a case was ranked."""
    return metric(record, QUALITY) is not None


def statistic(records: Sequence[Record]) -> str:
    """Return what stands for latency in all panels of a figure: the 95th percentile if all have one, or the median."""
    return TAIL if all(latency_of(record).p95_s is not None for record in records) else MIDDLE


def seconds_of(record: Record, which: str) -> float:
    """Return a case's latency, in seconds, by `statistic`."""
    latency = latency_of(record)
    return latency.p95_s if which == TAIL and latency.p95_s is not None else latency.p50_s


def front(seconds: Sequence[float], quality: Sequence[float]) -> list[int]:
    """Return the places of what nothing else beats: neither as fast and better, nor as good and faster.

    Args:
        seconds: Latencies.
        quality: As many, more is better.

    Returns:
        The Pareto front, fastest first; of equal points the first.

    """
    order = np.lexsort((-np.asarray(quality), np.asarray(seconds)))
    best, kept = -np.inf, []
    for place in order:
        if quality[place] > best:
            best = quality[place]
            kept.append(int(place))
    return kept


def front_of(group: Sequence[Record], which: str) -> list[Record]:
    """Return the cases of a group that nothing else beats, fastest first; those with a caution are left out.

    Args:
        group: What is compared.
        which: What stands for latency, see `statistic`.

    """
    group = [record for record in group if not record.labels]
    places = front(
        [seconds_of(record, which) for record in group], [metric(record, QUALITY) or 0.0 for record in group]
    )
    return [group[place] for place in places]


def draw_front(records: Sequence[Record]) -> Figure:
    """Draw NDCG@10 against latency, one panel a group, the front as steps, marks as large as memory."""
    panels = groups(records)
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(WIDTH_IN, 3.1 * rows + 0.2), squeeze=False, sharey="row" if columns > 1 else False
    )
    looks = looks_of(records)
    widths, which = _widths(records), statistic(records)
    for axis, (name, group) in zip(axes.flat, panels.items(), strict=False):
        _panel(axis, group, looks, widths, which)
        axis.set_title(two_lines(name))
    for axis in axes[:, 0]:
        axis.set_ylabel(f"{QUALITY} (bar: 95 % interval)")
    for axis in axes.flat[len(panels) :]:
        axis.set_visible(False)
    names = list(looks)
    handles = [Line2D([], [], **looks[recommender].marks, markersize=7, linestyle="none") for recommender in names]
    handles.append(Line2D([], [], color="#555555", linewidth=1))
    handles.append(Line2D([], [], color="#555555", marker="o", markersize=LARGEST_PT, linestyle="none"))
    legend(figure, handles, [*names, "front: nothing is both faster and better", "larger: more memory"])
    return figure


def _panel(axis: Axes, group: Sequence[Record], looks: dict[str, Look], widths: dict[int, float], which: str) -> None:
    for record in group:
        _point(axis, record, which, looks[caption(record)], widths[id(record)])
    best = front_of(group, which)
    if not best:
        log_milliseconds(axis)
        return
    places = [1e3 * seconds_of(record, which) for record in best]
    heights = [metric(record, QUALITY) or 0.0 for record in best]
    log_milliseconds(axis)
    axis.set_ylim(bottom=0)
    right = axis.get_xlim()[1]
    axis.step([*places, right], [*heights, heights[-1]], where="post", color="#555555", linewidth=1, zorder=1)
    axis.set_xlim(right=right)
    axis.set_xlabel(f"latency of a request, ms ({which})")


def _point(axis: Axes, record: Record, which: str, look: Look, width: float) -> None:
    assert isinstance(record.quality, Quality)
    quality = record.quality.metrics[QUALITY]
    axis.errorbar(
        1e3 * seconds_of(record, which),
        quality.value,
        yerr=[[max(quality.value - quality.low, 0)], [max(quality.high - quality.value, 0)]],
        **look.marks,
        markersize=width,
        linestyle="none",
        capsize=2,
        linewidth=1.2,
    )


def peak_bytes(record: Record) -> int | None:
    """Return the peak memory of a case; None where it was not measured."""
    return record.memory.peak_bytes if isinstance(record.memory, Memory) else None


def _widths(records: Sequence[Record]) -> dict[int, float]:
    """Return the width of each record's mark, in points: area grows with memory, within limits."""
    sizes = {id(record): peak_bytes(record) or 0 for record in records}
    most = max(sizes.values()) or 1
    return {key: SMALLEST_PT + (LARGEST_PT - SMALLEST_PT) * (size / most) ** 0.5 for key, size in sizes.items()}


def points(records: Sequence[Record]) -> pd.DataFrame:
    """Return the data behind the figure, one row a case."""
    which = statistic(records)
    best = {id(leader) for group in groups(records).values() for leader in front_of(group, which)}
    rows = []
    for record in records:
        assert isinstance(record.quality, Quality)
        quality, latency = record.quality.metrics[QUALITY], latency_of(record)
        rows.append(
            {
                "group": group_name(record),
                "recommender": record.case.variant,
                "label": caption(record),
                QUALITY: quality.value,
                f"{QUALITY}_low": quality.low,
                f"{QUALITY}_high": quality.high,
                "p50_s": latency.p50_s,
                "p95_s": latency.p95_s,
                "peak_bytes": peak_bytes(record),
                "on_front": id(record) in best,
            }
        )
    return pd.DataFrame(rows)


def describe_front(records: Sequence[Record]) -> str:
    """Say in words what the figure shows, with its numbers."""
    parts, which = [], statistic(records)
    for name, group in groups(records).items():
        told = (
            f"{caption(record)}, {metric(record, QUALITY) or 0:.3f} at {milliseconds(seconds_of(record, which))}"
            + (f" and {mebibytes(held)}" if (held := peak_bytes(record)) is not None else "")
            for record in front_of(group, which)
        )
        parts.append(f"On {name}, by the {which}, nothing is both faster and better than: {'; '.join(told)}")
    return f"{QUALITY} against latency. {'. '.join(parts)}."
