"""Figures from records: quality against latency, latency, phases, FLOPs and memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator

from bench.report.canvas import STYLE, WIDTH_IN, legend, log_milliseconds, looks_of, rendered, rows_of_cases, two_lines
from bench.report.crossings import describe_crossings, draw_laws
from bench.report.labels import caption, case_labels, group_name, groups, milliseconds, significant
from bench.report.laws import growths
from bench.report.phases import draw_phases
from bench.report.ratios import latency_of, measured, metric
from bench.report.roofline import describe as describe_roofline
from bench.report.roofline import draw_roofline, has_roofline
from bench.report.scaling import describe, draw_latency, draw_memory, has_memory, sweeps
from bench.results.phases import seconds_by_kind
from bench.results.record import Flops, Memory, Quality, Record


@dataclass(frozen=True)
class Drawing:
    """A figure ready to be written.

    Attributes:
        name: Of its files.
        title: What it shows.
        text: For those who cannot see it.
        svg: As SVG.
        png: As PNG.
        left_out: Cases that lack what it shows.

    """

    name: str
    title: str
    text: str
    svg: bytes
    png: bytes
    left_out: tuple[str, ...]


def draw_all(records: Sequence[Record]) -> list[Drawing]:
    """Draw every figure that has something to show; the same records give the same bytes."""
    wanted: list[tuple[str, str, Callable[[Sequence[Record]], Figure], Callable[[Record], bool]]] = [
        ("quality_latency", "Quality against latency", _quality_latency, _has_quality),
        ("latency", "Latency by case", _latency, lambda _: True),
        ("phases", "Where the time of a request goes", draw_phases, lambda record: isinstance(record.phases, list)),
        ("roofline", "How near requests come to what the machine can do", draw_roofline, has_roofline),
        ("cost", "Operations and memory by case", _cost, lambda record: isinstance(record.flops, Flops)),
    ]
    drawings: list[Drawing] = []
    for name, title, draw, has in wanted:
        shown = [record for record in measured(records) if has(record)]
        if not shown:
            continue
        left_out = [label for label, record in zip(case_labels(records), records, strict=True) if record not in shown]
        drawings.append(drawn(name, title, partial(draw, shown), _describe(name, shown), left_out))
    found = sweeps(measured(records))
    if found:
        grown = growths(found)
        title, text = "How latency grows", f"{describe(found)} {describe_crossings(grown)}"
        drawings.append(drawn("scaling", title, partial(draw_latency, found, partial(draw_laws, grown)), text))
    heavy = [sweep for sweep in found if has_memory(sweep)]
    if heavy:
        title, text = "How memory grows", "What a request adds to memory, against what latency is drawn against."
        drawings.append(drawn("scaling_memory", title, partial(draw_memory, heavy), text))
    return drawings


def drawn(name: str, title: str, draw: Callable[[], Figure], text: str, left_out: Sequence[str] = ()) -> Drawing:
    """Draw one figure in our style.

    Args:
        name: Of its files.
        title: What it shows.
        draw: Makes it.
        text: For those who cannot see it.
        left_out: Cases that lack what it shows.

    """
    with plt.style.context([STYLE]):
        figure = draw()
        drawing = Drawing(name, title, text, rendered(figure, "svg"), rendered(figure, "png"), tuple(left_out))
        plt.close(figure)
    return drawing


def _has_quality(record: Record) -> bool:
    return metric(record, "NDCG@10") is not None


def _quality_latency(records: Sequence[Record]) -> Figure:
    panels = groups(records)
    rows = -(-len(panels) // 2)
    columns = min(2, len(panels))
    figure, axes = plt.subplots(
        rows, columns, figsize=(WIDTH_IN, 3.1 * rows + 0.2), squeeze=False, sharey="row" if columns > 1 else False
    )
    looks = looks_of(records)
    handles: dict[str, Any] = {}
    for axis, (name, group) in zip(axes.flat, panels.items(), strict=False):
        for record in group:
            colour, marker = looks[caption(record)]
            handles[caption(record)] = _point(axis, record, colour, marker)
        log_milliseconds(axis)
        axis.set_title(two_lines(name))
        axis.set_xlabel("latency of a request, ms (median; bar: middle 90 %)")
        axis.set_ylim(bottom=0)
    for axis in axes[:, 0]:
        axis.set_ylabel("NDCG@10 (bar: 95 % interval)")
    for axis in axes.flat[len(panels) :]:
        axis.set_visible(False)
    legend(figure, list(handles.values()), list(handles))
    return figure


def _point(axis: Axes, record: Record, colour: Any, marker: str) -> Any:
    assert isinstance(record.quality, Quality)
    quality = record.quality.metrics["NDCG@10"]
    low, middle, high = np.percentile(np.array(latency_of(record).samples_s) * 1e3, [5, 50, 95])
    return axis.errorbar(
        middle,
        quality.value,
        xerr=[[middle - low], [high - middle]],
        yerr=[[max(quality.value - quality.low, 0)], [max(quality.high - quality.value, 0)]],
        fmt=marker,
        color=colour,
        markersize=8,
        capsize=2,
        linewidth=1.2,
    )


def _latency(records: Sequence[Record]) -> Figure:
    figure, (axis,) = rows_of_cases(records)
    looks = looks_of(records)
    for row, record in enumerate(records):
        samples = np.sort(np.array(latency_of(record).samples_s) * 1e3)
        colour, _ = looks[caption(record)]
        shown = samples[np.linspace(0, len(samples) - 1, min(len(samples), 200)).astype(int)]
        spread = 0.28 * np.sin(np.arange(len(shown)) * 2.399963)  # golden angle: dots spread without a seed
        axis.scatter(shown, row + spread, s=5, color=colour, alpha=0.35, linewidths=0)
        low, high = np.percentile(samples, [5, 95])
        axis.plot([low, high], [row, row], color="black", linewidth=1.2)
        axis.plot(np.median(samples), row, marker="|", color="black", markersize=13, markeredgewidth=2)
    log_milliseconds(axis)
    axis.set_xlabel("latency of a request, ms (dots: rounds; line: middle 90 %; tick: median)")
    return figure


def _cost(records: Sequence[Record]) -> Figure:
    figure, (operations, memory) = rows_of_cases(records, panels=2)
    looks = looks_of(records)
    for row, record in enumerate(records):
        colour, _ = looks[caption(record)]
        if isinstance(record.flops, Flops) and record.flops.per_user > 0:
            _bar(operations, row, record.flops.per_user / 1e6, colour)
        else:
            operations.text(0.01, row, "0", transform=operations.get_yaxis_transform(), va="center", fontsize=8)
        if isinstance(record.memory, Memory) and record.memory.peak_bytes > 0:
            _bar(memory, row, record.memory.peak_bytes / 2**20, colour)
        else:
            memory.text(0.01, row, "n/a", transform=memory.get_yaxis_transform(), va="center", fontsize=8)
    for axis, name in ((operations, "MFLOP a user"), (memory, "peak memory, MiB")):
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


def _describe(name: str, records: Sequence[Record]) -> str:
    """Say in words what a figure shows, with its numbers."""
    labels = case_labels(records)
    if name == "quality_latency":
        parts = [
            f"{caption(record)} ({group_name(record)}): {record.quality.metrics['NDCG@10'].value:.3f} "
            f"at {milliseconds(latency_of(record).p50_s)}"
            for record in records
            if isinstance(record.quality, Quality)
        ]
        return "NDCG@10 and median latency. " + "; ".join(parts) + "."
    if name == "latency":
        times = (milliseconds(latency_of(record).p50_s) for record in records)
        return (
            "Median latency. " + "; ".join(f"{label}: {time}" for label, time in zip(labels, times, strict=True)) + "."
        )
    if name == "roofline":
        return describe_roofline(records)
    if name == "phases":
        return "Shares of the marked time of a request. " + "; ".join(map(_shares, labels, records)) + "."
    counts = [significant(record.flops.per_user / 1e6) for record in records if isinstance(record.flops, Flops)]
    pairs = zip(labels, counts, strict=True)
    return "MFLOP a user. " + "; ".join(f"{label}: {count}" for label, count in pairs) + "."


def _shares(label: str, record: Record) -> str:
    seconds = seconds_by_kind(record)
    total = sum(seconds.values()) or 1.0
    return f"{label}: " + ", ".join(f"{kind} {value / total:.0%}" for kind, value in seconds.items())
