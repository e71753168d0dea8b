"""Figures of a comparison of runs: ratios of latency, and differences in quality, with their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullFormatter, NullLocator

from bench.report.comparing.comparison import ChangeVerdict, Judged, QualityVerdict
from bench.report.comparing.sources import ResultSource
from bench.report.comparing.tables import pair_labels
from bench.report.drawing.canvas import legend, rows_of
from bench.report.drawing.figure import Drawing, drawn
from bench.report.reading.labels import significant
from bench.report.reading.values import ratio_cell
from bench.statistics.intervals import Estimated
from bench.statistics.latency import Ratio

ROWS = 40
"""Cases that a figure shows at most."""

BLUE, ORANGE, GREY, PINK = 0, 3, 7, 4
"""Places in the colour-blind palette."""

LOOKS: dict[str, tuple[int, str]] = {
    ChangeVerdict.FASTER: (BLUE, "<"),
    ChangeVerdict.SLOWER: (ORANGE, ">"),
    QualityVerdict.BETTER: (BLUE, ">"),
    QualityVerdict.WORSE: (ORANGE, "<"),
    ChangeVerdict.SAME: (GREY, "o"),
    ChangeVerdict.UNCLEAR: (PINK, "s"),
    ChangeVerdict.OTHER_DATA: (GREY, "x"),
}
"""Colour and marker of each verdict."""

LOG_TICKS = (1.0, 1.05, 1.1, 1.2, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0, 100.0, 1000.0)
TICKS = 9


def colour_of(place: int) -> Any:
    """Return a colour of the palette that the colour-blind can tell apart."""
    return sns.color_palette("colorblind")[place]


def draw(
    base: ResultSource, other: ResultSource, rows: Sequence[Judged], *, margin: float, ending: str = ""
) -> list[Drawing]:
    """Draw what a comparison has intervals of; the same rows give the same bytes.

    Args:
        base: What is held against.
        other: What is judged.
        rows: The pairs.
        margin: Share that counts as the same.
        ending: Ending of the names of the files, where a page has several such figures.

    """
    labels = pair_labels(rows)
    both = f"{other.letter} against {base.letter}"
    name = other.letter.lower() + ending
    ratios = [
        (label, row.ratio, str(row.verdict))
        for label, row in zip(labels, rows, strict=True)
        if isinstance(row.ratio, Ratio)
    ]
    gaps = [
        (label, row.quality.difference, str(row.quality.verdict))
        for label, row in zip(labels, rows, strict=True)
        if row.quality is not None
    ]
    drawings = []
    if ratios:
        text = (
            "Ratio of median latencies. " + "; ".join(f"{point[0]}: {ratio_cell(point[1])}" for point in ratios) + "."
        )
        shown = partial(_ratios, ratios[:ROWS], base, other, margin)
        left = [
            *(label for label, row in zip(labels, rows, strict=True) if not isinstance(row.ratio, Ratio)),
            *_beyond(ratios),
        ]
        drawings.append(drawn(f"latency-{name}", f"Latency, {both}", shown, text, _data(ratios), left_out=left))
    if gaps:
        text = "Difference in NDCG@10. " + "; ".join(f"{point[0]}: {point[1].value:+.4f}" for point in gaps) + "."
        left = [*(label for label, row in zip(labels, rows, strict=True) if row.quality is None), *_beyond(gaps)]
        shown = partial(_gaps, gaps[:ROWS], both)
        drawings.append(drawn(f"quality-{name}", f"Quality, {both}", shown, text, _data(gaps), left_out=left))
    return drawings


def _data(points: Sequence[tuple[str, Estimated, str]]) -> pd.DataFrame:
    """Return the numbers behind a figure, those it has no room for included."""
    rows = [(label, estimate.value, estimate.low, estimate.high, verdict) for label, estimate, verdict in points]
    return pd.DataFrame(rows, columns=["case", "value", "low", "high", "verdict"])


def _beyond(points: Sequence[tuple[str, Estimated, str]]) -> list[str]:
    """Name the cases for which a figure has no room."""
    return [label for label, *_ in points[ROWS:]]


def _ratios(
    points: Sequence[tuple[str, Estimated, str]], base: ResultSource, other: ResultSource, margin: float
) -> Figure:
    figure, (axis,) = rows_of([label for label, *_ in points])
    axis.axvspan(1 / (1 + margin), 1 + margin, color="#ececec", zorder=0, linewidth=0)
    axis.axvline(1, color="black", linewidth=0.8)
    _draw_points(axis, points)
    axis.set_xscale("log")
    ends = [end for _, estimate, _ in points for end in (estimate.low, estimate.high)]
    low, high = min(*ends, 1 / (1 + 2 * margin)), max(*ends, 1 + 2 * margin)
    axis.set_xlim(low / 1.03, high * 1.03)
    _ratio_ticks(axis)
    axis.set_xlabel(
        f"median latency, {other.letter} / {base.letter} "
        f"(log scale; bar: 95 % interval; band: within {100 * margin:g} %)\n"
        f"← {other.letter} is faster          {other.letter} is slower →"
    )
    _verdicts(figure, points)
    return figure


def _ratio_ticks(axis: Axes) -> None:
    """Put readable ratios on a log scale: as many around 1 as there is room for."""
    low, high = axis.get_xlim()
    ticks = sorted({*LOG_TICKS, *(1 / tick for tick in LOG_TICKS)})
    inside = [tick for tick in ticks if low <= tick <= high]
    room = (np.log(high) - np.log(low)) / TICKS
    kept: list[float] = [1.0]
    for tick in sorted(inside, key=lambda value: abs(np.log(value))):
        if all(abs(np.log(tick / other)) >= room for other in kept):
            kept.append(tick)
    axis.set_xticks(sorted(kept))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: significant(value, 3 if value < 10 else 2)))  # noqa: PLR2004 - 10, not 10.0
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_minor_formatter(NullFormatter())


def _gaps(points: Sequence[tuple[str, Estimated, str]], both: str) -> Figure:
    figure, (axis,) = rows_of([label for label, *_ in points])
    axis.axvline(0, color="black", linewidth=0.8)
    _draw_points(axis, points)
    widest = max(abs(end) for _, estimate, _ in points for end in (estimate.low, estimate.high)) or 0.01
    axis.set_xlim(-1.08 * widest, 1.08 * widest)
    axis.set_xlabel(f"difference in NDCG@10, {both} (bar: 95 % interval)\n← worse          better →")
    _verdicts(figure, points)
    return figure


def _draw_points(axis: Axes, points: Sequence[tuple[str, Estimated, str]]) -> None:
    for row, (_, estimate, word) in enumerate(points):
        place, marker = LOOKS[word]
        spread = [[estimate.value - estimate.low], [estimate.high - estimate.value]]
        axis.errorbar(estimate.value, row, xerr=spread, fmt=marker, color=colour_of(place), markersize=6, capsize=2.5)


def _verdicts(figure: Figure, points: Sequence[tuple[str, Estimated, str]]) -> None:
    """Say what the colours mean, below the figure."""
    words = [word for word in LOOKS if any(word == verdict for *_, verdict in points)]
    handles = [Line2D([], [], color=colour_of(LOOKS[word][0]), marker=LOOKS[word][1], linestyle="") for word in words]
    legend(figure, handles, words)
