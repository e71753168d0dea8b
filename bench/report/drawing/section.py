"""What a page is made of: sections with tables, figures and a note."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from bench.report.drawing.figure import Drawing

PROSE = ("cautions", "why they differ")
"""Columns of sentences."""


@dataclass(frozen=True)
class Titled:
    """A table, with a heading of its own where that is not empty."""

    title: str
    frame: pd.DataFrame

    @property
    def ends_in_prose(self) -> bool:
        """Whether the last column holds sentences, whose lines may be broken."""
        return self.frame.columns[-1] in PROSE


@dataclass(frozen=True)
class Section:
    """A part of the page.

    Attributes:
        anchor: Where links lead to.
        title: Its heading, and its name in the navigation.
        tables: What it shows.
        note: How the tables are to be read.
        drawings: Its figures.
        lead: What stands above the tables.
        asks_price: Whether readers can put in what a device costs.
        wide: Whether its tables take all the room there is.

    """

    anchor: str
    title: str
    tables: tuple[Titled, ...]
    note: str
    drawings: tuple[Drawing, ...] = ()
    lead: str = ""
    asks_price: bool = False
    wide: bool = False
