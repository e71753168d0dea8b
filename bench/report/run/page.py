"""Puts tables, figures and findings together, and writes them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.ground.outputs import write_folder
from bench.records.record import Record
from bench.records.store import Run, StudyFile
from bench.report.drawing.rendering import environment
from bench.report.drawing.section import Section
from bench.report.drawing.writing import MADE_BY
from bench.report.reading import findings
from bench.report.reading.labels import machine_name
from bench.report.reading.naming import dataset_name
from bench.report.reading.ratios import is_measured, measured
from bench.report.run import answers, formats, load, money, tables
from bench.report.run.chapter import About
from bench.report.run.chapters import dropped_first
from bench.report.run.first_screen import first_screen
from bench.report.run.formats import Format
from bench.report.run.known import Known, known_of
from bench.report.run.money import Price
from bench.report.run.opening import NOTHING_TOLD
from bench.report.run.setting import (
    crumbs_of,
    datasets_of,
    machines_of,
    serving_of,
    sources_of,
    title_of,
    uncounted_of,
)
from bench.report.studies import quality
from models.errors import UserError

FRONT = "quality_latency"
"""The figure on the first screen."""

MOST_LETTERS = 65_000
"""What fits into a comment on GitHub, with some room."""

SETTING = "setting"
"""What Markdown goes without last of all; the page has it."""


@dataclass(frozen=True)
class Neighbour:
    """Another page of the same site: its name, and where it lies from here."""

    name: str
    link: str


@dataclass(frozen=True)
class Place:
    """Where a page stands among others: the way back to all of them, and to each."""

    home: str
    pages: tuple[Neighbour, ...] = ()


def write_report(
    runs: Sequence[Run],
    folder: Path,
    files: Sequence[StudyFile] = (),
    *,
    wanted: Collection[Format] = tuple(Format),
    only: Collection[str] = (),
    prices: Sequence[Price] | None = None,
) -> list[Path]:
    """Render runs and studies into a folder, file by file, each atomically.

    Args:
        runs: What was measured; without any the page is one of studies alone.
        folder: Gets ``index.html``, ``report.md``, ``figures/`` and ``tables/``; of runs also ``results.csv``,
            ``results.parquet`` and ``phases.csv``.
        files: What was studied.
        wanted: Kinds of files.
        only: Figures that are written as files of their own; none named means all.
        prices: What an hour of a device costs; ours where None.

    Returns:
        The files written.

    Raises:
        UserError: The page has no such figure, or the folder cannot be written to.

    """
    page = known_of(runs, files, money.read_prices() if prices is None else prices, folder)
    return write_known(page, wanted=wanted, only=only)


def write_known(
    page: Known, *, wanted: Collection[Format], only: Collection[str] = (), place: Place | None = None
) -> list[Path]:
    """Render what is known into its folder; see `write_report`.

    Args:
        page: What the page is made of.
        wanted: Kinds of files.
        only: Figures that are written as files of their own; none named means all.
        place: Where it stands among others; None where it stands alone.

    Returns:
        The files written.

    Raises:
        UserError: As `write_report`.

    """
    drawings = [*page.drawings.values(), *(drawing for section in page.sections for drawing in section.drawings)]
    if strange := set(only) - {drawing.name for drawing in drawings}:
        names = ", ".join(dict.fromkeys(drawing.name for drawing in drawings))
        raise UserError(f"--figure {min(strange)}: the page has {names or 'none'}")
    written = formats.drawn_as(drawings, wanted, only)
    content = _content(page) | {"written": written, "site": place}
    made = formats.values(page.records, wanted)
    if Format.MARKDOWN in wanted:
        made["report.md"] = _markdown(content).encode()
    if Format.HTML in wanted:
        made["index.html"] = environment(html=True).get_template("index.html.j2").render(content).encode()
    if Format.LATEX in wanted:
        made |= formats.latex(page.sections, [told.case.recommender for told in page.told])
    made |= formats.drawings(list({drawing.name: drawing for drawing in drawings}.values()), written)
    return write_folder(page.folder, made, made_by=MADE_BY)


def _content(page: Known) -> dict[str, Any]:
    records, studies = page.records, page.studies
    return first_screen(records, page.rows, page.prices) | {
        "title": title_of(page),
        "opening": page.opening,
        "crumbs": crumbs_of(page),
        "answer": _answer(page),
        "front": page.drawings.get(FRONT),
        "bills": [_bill(record, page.prices) for record in measured(records)],
        "sections": page.sections,
        "groups": _groups(page.sections),
        "has_live": bool(page.rows) or any(drawing.live for section in page.sections for drawing in section.drawings),
        "cut": (),
        "doubts": {severity.value: lines for severity, lines in page.doubts.items()},
        "unmeasured": findings.unmeasured(records),
        "uncounted": uncounted_of(records),
        "settings": tables.settings([*records, *page.served, *studies.evaluations]),
        "datasets": datasets_of(page),
        "serving": serving_of([told.case for told in records or page.told]),
        "machines": machines_of(page),
        "runs": sources_of(page),
    }


def _groups(shown: Sequence[Section]) -> dict[str, list[Section]]:
    """Return sections by what they are about, in the order of questions."""
    groups = {about.value: [section for section in shown if section.about == about.value] for about in About}
    return {about: group for about, group in groups.items() if group}


def _markdown(content: dict[str, Any]) -> str:
    """Render Markdown, without as much of what is expendable as it takes to fit into a comment on GitHub."""
    template = environment(html=False).get_template("report.md.j2")
    expendable = [*dropped_first(), SETTING]
    for parts in range(len(expendable) + 1):
        text = template.render(content | {"cut": expendable[:parts]})
        if len(text) <= MOST_LETTERS:
            break
    return text


def _bill(record: Record, prices: Sequence[Price]) -> dict[str, Any] | None:
    """Return the device of a case, and how many hours of it a million users take."""
    price = money.price_of(record, prices)
    if price is None:
        return None
    return {"device": machine_name(record), "hours": money.hours(record)}


def _answer(page: Known) -> list[str]:
    """Say what was found of each dataset; quality alone where nothing was timed."""
    timed = {dataset_name(record) for record in page.records if is_measured(record)}
    alone = quality.answer_of({name: group for name, group in page.places.items() if name not in timed})
    told = answers.answer(page.records) if page.records else []
    return [*told, *alone, *load.answer(page.served)] or [NOTHING_TOLD]
