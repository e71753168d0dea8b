"""``python -m bench.report --site FOLDER``: renders every page below a folder anew, and an index over all of them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

from bench.ground.outputs import manifest_of, write_folder
from bench.records import store
from bench.records.record import Record
from bench.report.drawing.rendering import environment
from bench.report.drawing.writing import MADE_BY
from bench.report.reading.distrust import Severity
from bench.report.reading.labels import listed, machine_name, significant
from bench.report.reading.naming import label_of, with_names
from bench.report.reading.ratios import measured, metric
from bench.report.run import money
from bench.report.run.first_rows import QUALITY, first_rows
from bench.report.run.first_screen import first_screen
from bench.report.run.formats import Format
from bench.report.run.known import Known, known_of
from bench.report.run.money import Price
from bench.report.run.opening import Opening, best_of
from bench.report.run.page import FRONT, Neighbour, Place, write_known
from bench.report.run.setting import crumbs_of

INDEX = "index.html"
TITLE = "Which recommender to serve, and what it costs"

ALWAYS = (Format.HTML, Format.MARKDOWN)
"""Kinds of files that a page of a site has; of others it keeps those that it had."""


@dataclass(frozen=True)
class Entry:
    """One page in the index.

    Attributes:
        name: Its folder.
        link: Where it lies from the index.
        question: What it asks, and where several ask the same, of which folder it asks that.
        about: Data, suite, day and commit.
        opening: Its answer.

    """

    name: str
    link: str
    question: str
    about: str
    opening: Opening


@dataclass(frozen=True)
class Caution:
    """What is not to be trusted.

    Attributes:
        text: What, and why.
        pages: Those that tell of it.

    """

    text: str
    pages: tuple[Neighbour, ...]


def write_site(root: Path, prices: Sequence[Price] | None = None) -> list[Path]:
    """Render each folder of results below a root as a page, and an index over all of them.

    Args:
        root: Gets ``index.html``; each folder with results gets its page, in the forms that it had before.
        prices: What an hour of a device costs; ours where None.

    Returns:
        The files written, the index first.

    Raises:
        UserError: There are no results, or a file of somebody else's is in the way.

    """
    known_prices = money.read_prices() if prices is None else prices
    folders = {folder: stored for folder, stored in store.folders_below(root).items() if folder != root}
    pages = [known_of(runs, studies, known_prices, folder) for folder, (runs, studies) in folders.items()]
    paths = write_folder(root, {INDEX: _index(root, pages, known_prices).encode()}, made_by=MADE_BY)
    for page in pages:
        wanted, only = _had(page.folder)
        paths += write_known(page, wanted=wanted, only=only, place=_place(root, page, pages))
    return paths


def _had(folder: Path) -> tuple[set[Format], list[str]]:
    """Return the kinds of files that a page had, and its figures that are files of their own."""
    names = [PurePosixPath(name) for name in manifest_of(folder)]
    drawn = [name for name in names if name.parts[0] == "figures"]
    kinds = {Format(name.suffix[1:]) for name in drawn if name.suffix[1:] in set(Format)}
    kinds |= {Format.CSV} if "results.csv" in map(str, names) else set()
    kinds |= {Format.PARQUET} if "results.parquet" in map(str, names) else set()
    kinds |= {Format.LATEX} if any(name.parts[0] == "tables" for name in names) else set()
    return {*ALWAYS, *kinds}, sorted({name.stem for name in drawn})


def _place(root: Path, page: Known, pages: Sequence[Known]) -> Place:
    """Return the way from a page to the index and to all others."""
    others = [
        Neighbour(f"{other.opening.question} {_name(root, other)}", _link(page.folder, other.folder / INDEX))
        for other in pages
        if other is not page
    ]
    return Place(_link(page.folder, root / INDEX), tuple(others))


def _link(start: Path, target: Path) -> str:
    return quote(Path(os.path.relpath(target, start)).as_posix())


def _name(root: Path, page: Known) -> str:
    return page.folder.relative_to(root).as_posix()


def _index(root: Path, pages: Sequence[Known], prices: Sequence[Price]) -> str:
    """Render the index: the answer of the page that holds most, all cases of all machines, and all pages."""
    ordered = sorted(pages, key=_ranked, reverse=True)
    records = with_names(newest([record for page in ordered for record in page.records]))
    rows = first_rows(records)
    asked = Counter(page.opening.question for page in ordered)
    machines: dict[str, list[Entry]] = {}
    for page in ordered:
        entry = _entry(root, page)
        machine, _, short = entry.name.partition("/")
        if asked[entry.question] > 1:
            entry = replace(entry, question=f"{entry.question} ({short or machine})")
        machines.setdefault(machine, []).append(entry)
    leading = _entry(root, ordered[0])
    content: dict[str, Any] = first_screen(records, rows, prices) | {
        "title": TITLE,
        "leading": leading,
        "better": _better(root, ordered),
        "questions": _questions(root, ordered),
        "machines": machines,
        "cautions": _cautions(root, ordered),
        "front": ordered[0].drawings.get(FRONT),
        "written": {FRONT: []},
        "has_live": bool(rows),
    }
    return environment(html=True).get_template("site.html.j2").render(content)


def _ranked(page: Known) -> int:
    return sum(metric(record, QUALITY) is not None for record in page.records)


def _questions(root: Path, ordered: Sequence[Known]) -> list[Neighbour]:
    """Return what further pages ask, each question once, and what sections of the first one ask."""
    leading, *others = ordered
    link = _entry(root, leading).link
    asked = {section.title: f"{link}#{section.anchor}" for section in leading.sections if section.title.endswith("?")}
    for page in others:
        if page.opening.question != leading.opening.question:
            asked.setdefault(page.opening.question, _entry(root, page).link)
    return [Neighbour(question, where) for question, where in asked.items()]


def _better(root: Path, pages: Sequence[Known]) -> list[Neighbour]:
    """Return what ranks better than the best of the first page, whose answer leads the site."""
    timed = [first.record for first, _ in best_of(first_rows(pages[0].records)).values()]
    best = {record.case.dataset_variant: metric(record, QUALITY) or 0.0 for record in timed}
    found: dict[tuple[str, str], list[str]] = {}
    named: set[tuple[str, str]] = set()
    for page in pages:
        for standings in page.places.values():
            sound = [standing.variant.shown for standing in standings if not standing.variant.shown.labels]
            first = next((shown for shown in sound if QUALITY in shown.quality.metrics), None)
            dataset = None if first is None else first.case.dataset_variant
            if first is None or dataset not in best or (label_of(first), dataset) in named:
                continue
            if first.quality.metrics[QUALITY].value > best[dataset]:
                named.add((label_of(first), dataset))
                told = f"{first.case.dataset} ({significant(first.quality.metrics[QUALITY].value)})"
                found.setdefault((label_of(first), _entry(root, page).link), []).append(told)
    return [Neighbour(f"{name} on {listed(places)}", link) for (name, link), places in found.items()]


def _cautions(root: Path, pages: Sequence[Known]) -> dict[Severity, list[Caution]]:
    """Return what is not to be trusted on any page, the gravest first, what several pages tell of once."""
    told: dict[Severity, dict[str, list[Neighbour]]] = {severity: {} for severity in Severity}
    for page in pages:
        where = Neighbour(_name(root, page), f"{_entry(root, page).link}#distrust")
        for severity, doubts in page.doubts.items():
            for doubt in doubts:
                told[severity].setdefault(str(doubt), []).append(where)
    return {
        severity: [Caution(text, tuple(where)) for text, where in texts.items()]
        for severity, texts in told.items()
        if texts
    }


def newest(records: Sequence[Record]) -> list[Record]:
    """Return one record a case and machine, that of the newest run; cost alone on generated data is left out."""
    latest: dict[str, Record] = {}
    for record in measured(records):
        if metric(record, QUALITY) is None and record.provenance.dataset.get("synthetic"):
            continue
        key = f"{record.case.model_dump_json()} {machine_name(record)}"
        if key not in latest or latest[key].provenance.started < record.provenance.started:
            latest[key] = record
    return list(latest.values())


def _entry(root: Path, page: Known) -> Entry:
    name = _name(root, page)
    return Entry(name, quote(f"{name}/{INDEX}"), page.opening.question, " · ".join(crumbs_of(page)), page.opening)
