"""Puts tables, figures and findings together, and writes them."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bench.ground.outputs import write_folder
from bench.records.record import Case, Provenance, Record
from bench.records.store import Run, StudyFile
from bench.records.studies import Studies
from bench.report.drawing.figure import Drawing
from bench.report.drawing.rendering import environment
from bench.report.drawing.section import Section
from bench.report.drawing.writing import MADE_BY
from bench.report.reading import findings
from bench.report.reading.joining import with_whole_quality
from bench.report.reading.labels import Told, case_labels, dataset_name, generated, machine_name, machine_of
from bench.report.reading.ratios import is_measured, measured
from bench.report.run import answers, fits, formats, load, money, tables
from bench.report.run.chapter import Material
from bench.report.run.chapters import dropped_first, sections
from bench.report.run.figures import draw_all
from bench.report.run.formats import Format
from bench.report.run.money import Price
from bench.report.studies import quality
from bench.report.studies.doubts import doubts, studied
from bench.report.studies.variants import Standing, ranked, variants
from models.errors import UserError

TITLE = "What the recommenders cost, and what they give back"

NOTHING_TOLD = "No case was timed and none evaluated; what was studied stands below."

FRONT = "quality_latency"
"""The figure beside the answer."""

MOST_LETTERS = 65_000
"""What fits into a comment on GitHub, with some room."""

SETTING = "setting"
"""What Markdown goes without before any section; the page has it."""


@dataclass(frozen=True)
class Known:
    """Everything that a page is made of.

    Attributes:
        runs: What was measured.
        files: What was studied.
        records: Records of all runs, with the quality of the largest evaluation, but for services.
        served: Those of services.
        studies: Studies of all files.
        places: What was evaluated, by dataset, best first.
        drawings: Figures of records, by name.
        sections: Parts of the page.
        prices: Prices of devices.
        folder: Where it is written to.

    """

    runs: Sequence[Run]
    files: Sequence[StudyFile]
    records: list[Record]
    served: list[Record]
    studies: Studies
    places: dict[str, list[Standing]]
    drawings: dict[str, Drawing]
    sections: list[Section]
    prices: Sequence[Price]
    folder: Path

    @property
    def told(self) -> list[Told]:
        """What has a case: records, evaluations, studies of beams."""
        return [*self.records, *self.served, *self.studies.evaluations, *self.studies.beams]


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
    known = _known(runs, files, money.read_prices() if prices is None else prices, folder)
    drawings = [*known.drawings.values(), *(one for section in known.sections for one in section.drawings)]
    if strange := set(only) - {one.name for one in drawings}:
        raise UserError(f"--figure {min(strange)}: the page has {', '.join(one.name for one in drawings) or 'none'}")
    written = formats.drawn_as(drawings, wanted, only)
    content = _content(known) | {"written": written}
    made = formats.values(known.records, wanted)
    if Format.MARKDOWN in wanted:
        made["report.md"] = _markdown(content).encode()
    if Format.HTML in wanted:
        made["index.html"] = environment(html=True).get_template("index.html.j2").render(content).encode()
    if Format.LATEX in wanted:
        made |= formats.latex(known.sections)
    made |= formats.drawings(list({one.name: one for one in drawings}.values()), written)
    return write_folder(folder, made, made_by=MADE_BY)


def _known(runs: Sequence[Run], files: Sequence[StudyFile], prices: Sequence[Price], folder: Path) -> Known:
    studies = Studies()
    for file in files:
        studies = studies.joined(file.studies)
    stored = [record for run in runs for record in run.records]
    whole_quality = with_whole_quality(stored, studies.evaluations)
    records = [record for record in whole_quality if record.case.load is None]
    served = [record for record in whole_quality if record.case.load is not None]
    found = variants(studies.evaluations)
    places = ranked(found)
    drawings = draw_all(records)
    replaced = sum(shown is not read for shown, read in zip(whole_quality, stored, strict=True))
    whole = sections(Material(records, studies, found, places, drawings, prices, served, replaced))
    return Known(runs, files, records, served, studies, places, drawings, whole, prices, folder)


def _content(known: Known) -> dict[str, Any]:
    records, studies = known.records, known.studies
    return {
        "title": TITLE,
        "headline": answers.headline(records),
        "answer": _answer(known),
        "front": known.drawings.get(FRONT),
        "choices": fits.choices(records, known.served) if fits.several(records, known.served) else None,
        "prices": _prices(known),
        "bills": [_bill(record, known.prices) for record in measured(records)],
        "sections": known.sections,
        "cut": (),
        "distrust": list(dict.fromkeys([*findings.distrust(records, known.served), *doubts(studies)])),
        "unmeasured": findings.unmeasured(records),
        "uncounted": _uncounted(records),
        "settings": tables.settings([*records, *known.served, *studies.evaluations]),
        "datasets": _datasets(known),
        "serving": _serving([one.case for one in records or known.told]),
        "machines": _machines(known),
        "runs": _sources(known),
    }


def _markdown(content: dict[str, Any]) -> str:
    """Render Markdown, without as much of what is expendable as it takes to fit into a comment on GitHub."""
    template = environment(html=False).get_template("report.md.j2")
    expendable = [SETTING, *dropped_first()]
    for parts in range(len(expendable) + 1):
        text = template.render(content | {"cut": expendable[:parts]})
        if len(text) <= MOST_LETTERS:
            break
    return text


def _prices(known: Known) -> dict[str, Price]:
    """Return the price of each device that something was measured on."""
    found = ((machine_name(record), money.price_of(record, known.prices)) for record in measured(known.records))
    return {device: price for device, price in found if price is not None}


def _bill(record: Record, prices: Sequence[Price]) -> dict[str, Any] | None:
    """Return the device of a case, and how many hours of it a million users take."""
    price = money.price_of(record, prices)
    if price is None:
        return None
    return {"device": machine_name(record), "hours": money.hours(record)}


def _answer(known: Known) -> list[str]:
    """Say what was found of each dataset; quality alone where nothing was timed."""
    timed = {dataset_name(record) for record in known.records if is_measured(record)}
    alone = quality.answer_of({name: group for name, group in known.places.items() if name not in timed})
    told = answers.answer(known.records) if known.records else []
    return [*told, *alone, *load.answer(known.served)] or [NOTHING_TOLD]


def _sources(known: Known) -> list[dict[str, Any]]:
    """Return each command that made something, with its file, its time and its commit."""
    found = [_source(run.records[0].provenance, run.path, run.taken, known.folder) for run in known.runs]
    for file in known.files:
        commands: dict[tuple[object, ...], Provenance] = {}
        for source in studied(file.studies):
            commands.setdefault((source.command, source.commit, source.dirty), source)
        found += [_source(source, file.path, source.started, known.folder) for source in commands.values()]
    return found


def _source(source: Provenance, path: Path, taken: str, folder: Path) -> dict[str, Any]:
    facts = {"file": path.name, "taken": taken, "command": source.command, "dirty": source.dirty}
    link = Path(os.path.relpath(path, folder)).as_posix()
    return facts | {"commit": source.commit or "not under git", "link": quote(link)}


def _datasets(known: Known) -> list[dict[str, Any]]:
    sources = [(dataset_name(one), one.provenance) for one in known.told]
    sources += [(generated(probe.dataset, probe.provenance), probe.provenance) for probe in known.studies.probes]
    found: dict[str, dict[str, Any]] = {}
    for name, source in sources:
        facts = {fact: value for fact, value in source.dataset.items() if value is not None}
        found.setdefault(name, {"name": name, "facts": facts, "warnings": source.dataset_warnings})
    return list(found.values())


def _machines(known: Known) -> list[dict[str, Any]]:
    """Return facts and software of each machine, once, with the span of its load."""
    sources = [(machine_name(one), one.provenance) for one in known.told]
    sources += [(machine_of(probe.provenance, "cpu"), probe.provenance) for probe in known.studies.probes]
    found: dict[str, dict[str, Any]] = {}
    for name, source in sources:
        facts = {fact: value for fact, value in source.machine.items() if value is not None}
        facts |= {fact: value for fact, value in source.software.items() if value is not None}
        load = facts.pop(findings.LOAD, None)
        one = found.setdefault(name, {"facts": facts, "loads": []})
        one["loads"] += [] if load is None else [load]
    for one in found.values():
        if loads := one.pop("loads"):
            one["facts"] |= {findings.LOAD + " of a group of cases": f"{min(loads)} to {max(loads)}"}
    return [one["facts"] for one in found.values()]


def _serving(cases: Sequence[Case]) -> dict[str, str]:
    """Return what was the same for all cases, or what it took on."""
    read: dict[str, Callable[[Case], object]] = {
        "seen items": lambda case: case.seen,
        "length of lists (K)": lambda case: case.k,
        "batch sizes": lambda case: case.batch_size,
        "dtypes": lambda case: case.dtype,
        "devices": lambda case: case.device,
        "CPU threads": lambda case: case.threads,
    }
    values = {name: dict.fromkeys(str(get(case)) for case in cases) for name, get in read.items()}
    return {name: ", ".join(found) for name, found in values.items() if found}


def _uncounted(records: Sequence[Record]) -> list[str]:
    """List operators without a FLOP formula, as the counter met them."""
    lines: dict[str, list[str]] = {}
    for label, record in zip(case_labels(records), records, strict=True):
        operators = getattr(record.flops, "uncounted", {})
        if operators:
            names = ", ".join(name.removeprefix("aten.").removesuffix(".default") for name in operators)
            lines.setdefault(names, []).append(label)
    whole = len(records) if len(lines) == 1 else -1
    return [f"{'all cases' if len(labels) == whole else '; '.join(labels)}: {names}" for names, labels in lines.items()]
