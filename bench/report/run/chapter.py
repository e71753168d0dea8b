"""A section of the page before anything is known: where it stands, and how it is made of what was measured."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from bench.records.record import Record
from bench.records.studies import Studies
from bench.report.drawing.figure import Drawing
from bench.report.drawing.section import Section, Titled
from bench.report.reading.naming import dataset_name
from bench.report.reading.ratios import measured
from bench.report.run.money import Price
from bench.report.studies.variants import Standing, Variant


@dataclass(frozen=True)
class Material:
    """What sections are made of.

    Attributes:
        records: All cases that were timed, or failed.
        studies: All studies.
        variants: What was evaluated.
        places: The same by dataset, best first.
        drawings: Figures of records, by name.
        prices: Prices of devices.
        served: All cases that were asked as services.
        replaced: How many cases show the quality of a larger evaluation.

    """

    records: Sequence[Record]
    studies: Studies
    variants: Sequence[Variant]
    places: dict[str, list[Standing]]
    drawings: dict[str, Drawing]
    prices: Sequence[Price]
    served: Sequence[Record] = ()
    replaced: int = 0

    def drawn(self, *names: str) -> tuple[Drawing, ...]:
        """Return those of some figures that have something to show."""
        return tuple(self.drawings[name] for name in names if name in self.drawings)

    def offers(self, datasets: Iterable[str]) -> bool:
        """Tell whether readers can choose each of these datasets: figures without panels show the chosen one alone."""
        return set(datasets) <= {dataset_name(record) for record in [*measured(self.records), *self.served]}


@dataclass(frozen=True)
class Content:
    """What a section holds; see `bench.report.drawing.section.Section`. Empty tables are left out."""

    tables: tuple[Titled, ...] = ()
    note: str = ""
    drawings: tuple[Drawing, ...] = ()
    lead: str = ""


class About(StrEnum):
    """What readers ask, in the order in which they ask it: sections of one question stand together."""

    WHY = "Why"
    LOAD = "Under load"
    QUALITY = "Quality"
    COST = "Cost"
    ALL = "All numbers"


@dataclass(frozen=True)
class Chapter:
    """One section of the page; it is left out where it has nothing to show.

    Attributes:
        anchor: Where links lead to.
        title: Its heading, and its name in the navigation.
        make: Makes it.
        dropped: Its place among those that Markdown goes without where it is too long, the lowest first; None where it
            stays.
        about: What it is about: sections about one thing stand together.
        asks: The question that it answers, in a few words, which stand beside its folded heading.
        wide: Whether its tables take all the room there is.

    """

    anchor: str
    title: str
    make: Callable[[Material], Content]
    dropped: int | None = None
    about: About = About.WHY
    asks: str = ""
    wide: bool = False

    def section(self, material: Material) -> Section | None:
        """Make it; None where nothing is to be shown."""
        content = self.make(material)
        told = tuple(table for table in content.tables if len(table.frame.columns) > 1 and not table.frame.empty)
        if not told and not content.drawings:
            return None
        shown = replace(content, tables=told)
        return Section(
            self.anchor,
            self.title,
            shown.tables,
            shown.note,
            shown.drawings,
            shown.lead,
            asks=self.asks,
            about=self.about.value,
            wide=self.wide,
        )
