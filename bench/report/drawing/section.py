"""What a page is made of: sections with tables, figures and a note."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

from bench.report.drawing.figure import Drawing

PROSE = ("cautions", "why they differ")
"""Columns of sentences."""


SHOWN = 6
"""Columns that a page shows of a table before the others unfold."""


@dataclass(frozen=True)
class Titled:
    """A table, with a heading of its own where that is not empty.

    Attributes:
        title: Its heading.
        frame: What it holds; the first column names its rows.
        first: Columns that are shown before the others unfold, in this order behind the first; without any, those that
            come first.
        facets: What all rows are chosen by, where their cells do not say.

    """

    title: str
    frame: pd.DataFrame
    first: tuple[str, ...] = ()
    facets: Mapping[str, str] = field(default_factory=dict)

    @property
    def arranged(self) -> pd.DataFrame:
        """The table with the columns in front that are shown first."""
        own = [name for name in self.first if name in self.frame.columns[1:]]
        others = [name for name in self.frame.columns[1:] if name not in own]
        return self.frame[[self.frame.columns[0], *own, *others]]

    @property
    def shown(self) -> int:
        """How many columns stand there before the others unfold; one alone is not worth it."""
        own = sum(name in self.frame.columns[1:] for name in self.first)
        wanted = 1 + own if own else SHOWN
        return len(self.frame.columns) if len(self.frame.columns) <= wanted + 1 else wanted

    @property
    def ends_in_prose(self) -> bool:
        """Whether the last column holds sentences, whose lines may be broken."""
        return self.arranged.columns[-1] in PROSE


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
        asks: The question that it answers, in a few words.
        about: Heading of the group of sections that it stands in.
        wide: Whether its tables take all the room there is.

    """

    anchor: str
    title: str
    tables: tuple[Titled, ...]
    note: str
    drawings: tuple[Drawing, ...] = ()
    lead: str = ""
    asks: str = ""
    about: str = ""
    wide: bool = False
