"""Ablations drawn: quality lost against latency saved, each variation as a point relative to its base."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from bench.report.drawing.canvas import legend, panels_of
from bench.report.drawing.lines import Along, lines
from bench.report.drawing.live import Live
from bench.report.drawing.palette import look_of
from bench.report.reading.findings import times
from bench.report.studies.ablations import AblationPart, Variation, percent

STEPS = ((1, 1.1, 1.25, 1.5, 2, 3, 4, 5, 6, 7, 8, 9), (1, 1.5, 2, 3, 5, 7), (1, 2, 5), (1,))
"""Ticks of a decade, finest first."""

FEW = 7
"""Ticks that fit beside each other."""

ENDS = {"": "value", "_low": "low", "_high": "high"}

MARKERS = "osD^vPX<>"
"""Marks of variations, most of which are of one kind and served in one way."""

NARROWEST = 1.25
"""The axis of latency reaches at least so many times above and below the base."""


def drawn(part: AblationPart) -> list[Variation]:
    """Return the variations whose quality and latency are both known against the base's, and may be held against it."""
    return [
        variation
        for variation in part.others
        if variation.comparable and variation.change is not None and variation.ratio is not None
    ]


def left_out(parts: Sequence[AblationPart]) -> list[str]:
    """Name the variations that cannot be drawn."""
    missing = ((part, variation) for part in parts for variation in part.others if variation not in drawn(part))
    return [f"{part.title}: {variation.name} on {part.dataset}" for part, variation in missing]


def draw(parts: Sequence[AblationPart]) -> Figure:
    """Draw the change of NDCG@10 against the latency over the base's, one panel a dataset."""
    by_dataset: dict[str, list[AblationPart]] = {}
    for part in parts:
        if drawn(part):
            by_dataset.setdefault(part.dataset, []).append(part)
    figure, panels = panels_of(list(by_dataset), 3.3)
    looks = _looks(parts)
    for dataset, axis in panels.items():
        axis.axvline(1, color="#777777", linewidth=0.9)
        axis.axhline(0, color="#777777", linewidth=0.9)
        for part in by_dataset[dataset]:
            for variation in drawn(part):
                _point(axis, variation, *looks[part.title, variation.name])
        axis.plot(1, 0, marker="P", color="black", markersize=8, linestyle="none")
        _ratios(axis)
        axis.set_xlabel("latency over the base's (log scale; left: faster)")
        axis.set_ylabel("change of NDCG@10, % (bar: 95 %)")
    handles = [
        Line2D([], [], marker=marker, color=colour, markersize=7, linestyle="none") for colour, marker in looks.values()
    ]
    bases = list(dict.fromkeys(part.base.name for group in by_dataset.values() for part in group))
    handles.append(Line2D([], [], marker="P", color="black", markersize=8, linestyle="none"))
    legend(figure, handles, [*(f"{title}: {name}" for title, name in looks), f"base: {' or '.join(bases)}"])
    return figure


def _looks(parts: Sequence[AblationPart]) -> dict[tuple[str, str], tuple[Any, str]]:
    """Give each part a colour that the colour-blind can tell apart, and each variation within it a marker."""
    palette = sns.color_palette("colorblind")
    names: dict[str, list[str]] = {}
    for part in parts:
        marked = names.setdefault(part.title, [])
        marked += [variation.name for variation in drawn(part) if variation.name not in marked]
    return {
        (title, name): (palette[row % len(palette)], MARKERS[place % len(MARKERS)])
        for row, (title, group) in enumerate(names.items())
        for place, name in enumerate(group)
    }


def _point(axis: Axes, variation: Variation, colour: Any, marker: str) -> None:
    assert variation.change is not None
    assert variation.ratio is not None
    value, low, high = (100 * share for share in (variation.change.value, variation.change.low, variation.change.high))
    ratio = variation.ratio
    axis.errorbar(
        ratio.value,
        value,
        xerr=[[ratio.value - ratio.low], [ratio.high - ratio.value]],
        yerr=[[max(value - low, 0)], [max(high - value, 0)]],
        fmt=marker,
        color=colour,
        markersize=7,
        capsize=2,
        linewidth=1.2,
    )


def _ratios(axis: Axes) -> None:
    """Make the horizontal axis one of ratios on a log scale, with ticks that can be read."""
    axis.set_xscale("log")
    low, high = axis.get_xlim()
    low, high = min(low, 1 / NARROWEST), max(high, NARROWEST)
    axis.set_xlim(low, high)
    for steps in STEPS:
        ticks = [step * 10.0**power for power in range(-6, 7) for step in steps]
        shown = [tick for tick in ticks if low <= tick <= high]
        if len(shown) <= FEW:
            break
    axis.xaxis.set_major_locator(FixedLocator(shown))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))


def live(parts: Sequence[AblationPart]) -> Live:
    """Draw the variations on the chosen dataset, each named beside its mark; the base lies where both lines cross."""
    rows: list[dict[str, Any]] = []
    for part in parts:
        for variation in drawn(part):
            change, ratio, record = variation.change, variation.ratio, variation.record
            assert change is not None
            assert ratio is not None
            assert record is not None
            row: dict[str, Any] = {"dataset": part.dataset, "name": variation.name, **look_of(record)}
            row |= {"x": ratio.value, "left": ratio.low, "right": ratio.high, "marked": True, "few": True}
            row |= {"y": 100 * change.value, "low": 100 * change.low, "high": 100 * change.high}
            rows.append(row | {"told": f"{percent(change)} at {times(ratio)} the latency ({part.title})"})
    x = Along("latency over the base's (log scale; left: faster)", log=True, at=1)
    return lines(rows, x, Along("change of NDCG@10, % (bar: 95 %)", at=0))


def points(parts: Sequence[AblationPart]) -> pd.DataFrame:
    """Return the data behind the figure, one row a variation: relative change of NDCG@10, latency over the base's."""
    rows = []
    for part in parts:
        for variation in drawn(part):
            assert variation.change is not None
            assert variation.ratio is not None
            row = {"data": part.dataset, "part": part.title, "base": part.base.name, "variation": variation.name}
            row |= {f"ndcg_change{end}": getattr(variation.change, of) for end, of in ENDS.items()}
            rows.append(row | {f"latency_ratio{end}": getattr(variation.ratio, of) for end, of in ENDS.items()})
    return pd.DataFrame(rows)


def describe(parts: Sequence[AblationPart]) -> str:
    """Say in words what the figure shows, with its numbers."""
    told = [
        f"{part.title}, {variation.name} on {part.dataset}: {percent(variation.change)} NDCG@10 "
        f"at {times(variation.ratio)} the latency"
        for part in parts
        for variation in drawn(part)
        if variation.change is not None and variation.ratio is not None
    ]
    return "Against the base. " + "; ".join(told) + "."
