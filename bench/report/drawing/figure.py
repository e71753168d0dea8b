"""A figure in our style, as bytes: SVG, PNG, and the numbers behind it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from bench.report.drawing.canvas import STYLE, rendered
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
        png: As PNG.
        data: What is drawn, as CSV.
        left_out: Cases that lack what it shows.
        crowded_out: How many cases it has no room for.
        live: The same as an interactive figure; None where there is none.

    """

    name: str
    title: str
    text: str
    svg: bytes
    png: bytes
    data: bytes
    left_out: tuple[str, ...] = ()
    crowded_out: int = 0
    live: Live | None = None


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
        figure = draw()
        svg, png = rendered(figure, "svg"), rendered(figure, "png")
        plt.close(figure)
    numbers = csv_bytes(data)
    return Drawing(name, title, text, svg, png, numbers, tuple(left_out), crowded_out, live)
