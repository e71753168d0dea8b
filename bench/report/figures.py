"""Figures from records: quality against latency, latency, phases, FLOPs and memory."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import seaborn as sns

mpl.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator

from bench.report.findings import latency_of, measured, metric
from bench.report.labels import caption, case_labels, group_name, groups, milliseconds, significant
from bench.results.record import Flops, Memory, Quality, Record

STYLE = Path(__file__).with_name("report.mplstyle")
WIDTH_IN = 8.0
ROW_IN = 0.34
LEGEND_ROW_IN = 0.2
LETTER_IN = 0.068
"""Mean width of a letter of a legend or a label."""
LABEL_LETTERS, LEGEND_LETTERS, TITLE_LETTERS = 56, 90, 44
"""Where long names are broken."""
MARKERS = "osD^vPX<>"
"""One fewer than the palette's ten colours, so that 90 recommenders differ in one or the other."""


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
        ("phases", "Where the time of a request goes", _phases, lambda record: isinstance(record.phases, list)),
        ("cost", "Operations and memory by case", _cost, lambda record: isinstance(record.flops, Flops)),
    ]
    drawings = []
    for name, title, draw, has in wanted:
        shown = [record for record in measured(records) if has(record)]
        if not shown:
            continue
        left_out = [label for label, record in zip(case_labels(records), records, strict=True) if record not in shown]
        with plt.style.context([STYLE]):
            figure = draw(shown)
            drawings.append(
                Drawing(
                    name, title, _describe(name, shown), _bytes(figure, "svg"), _bytes(figure, "png"), tuple(left_out)
                )
            )
            plt.close(figure)
    return drawings


def _bytes(figure: Figure, kind: str) -> bytes:
    target = io.BytesIO()
    metadata: dict[str, Any] = {"Date": None} if kind == "svg" else {"Software": None}
    figure.savefig(target, format=kind, metadata=metadata)
    return target.getvalue()


def _has_quality(record: Record) -> bool:
    return metric(record, "NDCG@10") is not None


def _colours(records: Sequence[Record]) -> dict[str, tuple[Any, str]]:
    """Give each recommender a colour that the colour-blind can tell apart, and a marker."""
    names = list(dict.fromkeys(caption(record) for record in records))
    palette = sns.color_palette("colorblind")
    return {name: (palette[row % len(palette)], MARKERS[row % len(MARKERS)]) for row, name in enumerate(names)}


def _legend_columns(names: Sequence[str]) -> int:
    """Return how many columns of these names fit beside each other."""
    return max(1, min(5, len(names), int(WIDTH_IN / (0.5 + LETTER_IN * max(map(len, names))))))


def _legend(figure: Figure, handles: Sequence[Any], names: Sequence[str]) -> None:
    """Put a legend below the axes, and make the figure taller by its height."""
    names = [textwrap.fill(name, LEGEND_LETTERS) for name in names]
    columns = _legend_columns(names)
    lines = sum(name.count("\n") for name in names)
    width, height = figure.get_size_inches()
    figure.set_size_inches(width, height + LEGEND_ROW_IN * (lines - (-len(names) // columns)))
    figure.legend(handles, names, loc="outside lower center", ncols=columns)


def _quality_latency(records: Sequence[Record]) -> Figure:
    panels = groups(records)
    rows = -(-len(panels) // 2)
    columns = min(2, len(panels))
    figure, axes = plt.subplots(
        rows, columns, figsize=(WIDTH_IN, 3.1 * rows + 0.2), squeeze=False, sharey="row" if columns > 1 else False
    )
    looks = _colours(records)
    handles: dict[str, Any] = {}
    for axis, (name, group) in zip(axes.flat, panels.items(), strict=False):
        for record in group:
            colour, marker = looks[caption(record)]
            handles[caption(record)] = _point(axis, record, colour, marker)
        _log_milliseconds(axis)
        axis.set_title(_two_lines(name))
        axis.set_xlabel("latency of a request, ms (median; bar: middle 90 %)")
        axis.set_ylim(bottom=0)
    for axis in axes[:, 0]:
        axis.set_ylabel("NDCG@10 (bar: 95 % interval)")
    for axis in axes.flat[len(panels) :]:
        axis.set_visible(False)
    _legend(figure, list(handles.values()), list(handles))
    return figure


def _two_lines(name: str) -> str:
    head, _, tail = name.partition(", ")
    return "\n".join(textwrap.fill(part, TITLE_LETTERS) for part in (head, tail))


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


def _log_milliseconds(axis: Axes) -> None:
    axis.set_xscale("log")
    axis.xaxis.set_major_locator(LogLocator(10, subs=(1.0,)))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    low, high = axis.get_xlim()
    if high / low < 30:  # noqa: PLR2004 - less than one and a half decades shows too few ticks
        axis.xaxis.set_major_locator(LogLocator(10, subs=(1.0, 2.0, 5.0)))
    axis.xaxis.set_minor_formatter(FuncFormatter(lambda *_: ""))


def _rows(records: Sequence[Record], panels: int = 1) -> tuple[Figure, list[Axes]]:
    """Make a figure with one horizontal row a case, first case on top; long labels make it wider."""
    labels = [textwrap.fill(label, LABEL_LETTERS) for label in case_labels(records)]
    longest = max(len(line) for label in labels for line in label.splitlines())
    lines = max(label.count("\n") + 1 for label in labels)
    row_in = max(ROW_IN, 0.16 * lines)
    size = (max(WIDTH_IN, 4.8 + LETTER_IN * longest), row_in * len(records) + 1.0)
    figure, axes = plt.subplots(1, panels, figsize=size, squeeze=False, sharey=True)
    first = axes[0, 0]
    first.set_yticks(range(len(records)), labels)
    first.set_ylim(len(records) - 0.5, -0.5)
    for axis in axes.flat:
        axis.grid(axis="y", visible=False)
        axis.tick_params(axis="y", length=0)
    return figure, list(axes.flat)


def _latency(records: Sequence[Record]) -> Figure:
    figure, (axis,) = _rows(records)
    looks = _colours(records)
    for row, record in enumerate(records):
        samples = np.sort(np.array(latency_of(record).samples_s) * 1e3)
        colour, _ = looks[caption(record)]
        shown = samples[np.linspace(0, len(samples) - 1, min(len(samples), 200)).astype(int)]
        spread = 0.28 * np.sin(np.arange(len(shown)) * 2.399963)  # golden angle: dots spread without a seed
        axis.scatter(shown, row + spread, s=5, color=colour, alpha=0.35, linewidths=0)
        low, high = np.percentile(samples, [5, 95])
        axis.plot([low, high], [row, row], color="black", linewidth=1.2)
        axis.plot(np.median(samples), row, marker="|", color="black", markersize=13, markeredgewidth=2)
    _log_milliseconds(axis)
    axis.set_xlabel("latency of a request, ms (dots: rounds; line: middle 90 %; tick: median)")
    return figure


def _phases(records: Sequence[Record]) -> Figure:
    figure, (axis,) = _rows(records)
    names = _phase_order(records)
    colours = _phase_colours(names)
    for row, record in enumerate(records):
        assert isinstance(record.phases, list)
        total = sum(phase.seconds for phase in record.phases) or 1.0
        start = 0.0
        for phase in record.phases:
            share = 100 * phase.seconds / total
            axis.barh(row, share, left=start, height=0.62, color=colours[phase.name], edgecolor="white", linewidth=0.6)
            start += share
        axis.text(101, row, milliseconds(total), va="center", fontsize=8)
    axis.set_xlim(0, 114)
    axis.set_xticks(range(0, 101, 20))
    axis.set_xlabel("share of the marked time of one profiled request, % (right: that time)")
    steps = [name for name in names if _step(name)]
    told = [name for name in names if name not in steps[1:-1]]  # the shades between the first step and the last
    _legend(figure, [Patch(color=colours[name]) for name in told], told)
    return figure


def _phase_order(records: Sequence[Record]) -> list[str]:
    """List all phases: prepare and encode first, decode steps in order, rank last."""
    found = dict.fromkeys(
        phase.name for record in records if isinstance(record.phases, list) for phase in record.phases
    )
    steps = sorted((name for name in found if _step(name)), key=_step)
    others = [name for name in found if not _step(name) and name != "rank"]
    return [*others, *steps, *(["rank"] if "rank" in found else [])]


def _step(name: str) -> int:
    last = name.rsplit(" ", 1)[-1]
    return int(last) if last.isdigit() else 0


def _phase_colours(names: Sequence[str]) -> dict[str, Any]:
    """Colour kinds of phases apart, and decode steps in shades of one colour."""
    steps = [name for name in names if _step(name)]
    others = [name for name in names if not _step(name)]
    shades = sns.light_palette(sns.color_palette("colorblind")[3], len(steps) + 2)[2:]
    plain = sns.color_palette("colorblind")
    order = [0, 2, 1, 4, 5, 6, 7, 8, 9]
    return dict(zip(steps, shades, strict=True)) | {
        name: plain[order[row % len(order)]] for row, name in enumerate(others)
    }


def _cost(records: Sequence[Record]) -> Figure:
    figure, (operations, memory) = _rows(records, panels=2)
    looks = _colours(records)
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
    if name == "phases":
        return "Shares of the phases of a request, such as prepare, encode, decode steps and rank, for each case."
    counts = [significant(record.flops.per_user / 1e6) for record in records if isinstance(record.flops, Flops)]
    pairs = zip(labels, counts, strict=True)
    return "MFLOP a user. " + "; ".join(f"{label}: {count}" for label, count in pairs) + "."
