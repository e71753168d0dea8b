"""A figure in our style, as bytes: SVG, PNG, and the numbers behind it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cached_property

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from bench.report.drawing.canvas import STYLE, lay_out, rendered
from bench.report.drawing.live import Live
from bench.report.drawing.spreadsheets import csv_bytes


@dataclass(frozen=True)
class Drawing:
    """A figure ready to be written.

    Attributes:
        name: Name of its files.
        title: What it shows.
        text: For those who cannot see it.
        svg: As SVG.
        figure: Laid out, for what is made of it when somebody asks.
        data: What is drawn, as CSV.
        left_out: Cases that lack what it shows.
        crowded_out: How many cases it has no room for.
        live: The same as an interactive figure; None where there is none.

    """

    name: str
    title: str
    text: str
    svg: bytes
    figure: Figure
    data: bytes
    left_out: tuple[str, ...] = ()
    crowded_out: int = 0
    live: Live | None = None

    @cached_property
    def png(self) -> bytes:
        """As PNG, which most pages do without."""
        with plt.style.context([STYLE]):
            return rendered(self.figure, "png")

    def files(self, kinds: Collection[str]) -> dict[str, bytes]:
        """Return the figure as files, by their names: ``svg``, ``png``, and ``csv`` for the numbers behind it."""
        return {f"figures/{self.name}.{kind}": self.data if kind == "csv" else getattr(self, kind) for kind in kinds}


def drawn(
    name: str,
    title: str,
    draw: Callable[[], Figure],
    text: str,
    data: pd.DataFrame,
    *,
    left_out: Sequence[str] = (),
    crowded_out: int = 0,
    live: Live | None = None,
) -> Drawing:
    """Draw one figure in our style.

    Args:
        name: Name of its files.
        title: What it shows.
        draw: Makes it.
        text: For those who cannot see it.
        data: What is drawn.
        left_out: Cases that lack what it shows.
        crowded_out: How many cases it has no room for.
        live: The same as an interactive figure.

    """
    with plt.style.context([STYLE]):
        figure = _laid_out(draw)
        svg = rendered(figure, "svg")
        plt.close(figure)
    numbers = csv_bytes(data)
    return Drawing(name, title, text, svg, figure, numbers, tuple(left_out), crowded_out, live)


def _laid_out(draw: Callable[[], Figure]) -> Figure:
    figure = draw()
    lay_out(figure)
    return figure
