"""Puts tables, figures and findings together: HTML, Markdown, CSV, SVG and PNG."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from bench.home import atomic
from bench.report import findings, quality, tables
from bench.report.figures import Drawing, draw_all
from bench.report.joining import with_whole_quality
from bench.report.labels import Told, case_labels, dataset_name, generated, machine_name, machine_of
from bench.report.ratios import measured
from bench.report.roofline import limits
from bench.report.sections import Section, doubts, sections, studied
from bench.report.variants import Place, ranked, variants
from bench.results.record import Case, Provenance, Record
from bench.results.store import Run, StudyFile
from bench.results.studies import Studies

TITLE = "What the recommenders cost, and what they give back"

NOTHING_TOLD = "No case was timed and none evaluated; what was studied stands below."


@dataclass(frozen=True)
class Known:
    """Everything that a page is made of.

    Attributes:
        runs: What was measured.
        files: What was studied.
        records: Of all runs, with the quality of the largest evaluation.
        studies: Of all files.
        places: What was evaluated, by dataset, best first.
        sections: Parts of the page that studies fill.

    """

    runs: Sequence[Run]
    files: Sequence[StudyFile]
    records: list[Record]
    studies: Studies
    places: dict[str, list[Place]]
    sections: list[Section]

    @property
    def told(self) -> list[Told]:
        """What has a case: records, evaluations, studies of beams."""
        return [*self.records, *self.studies.evaluations, *self.studies.beams]


def write_report(runs: Sequence[Run], folder: Path, files: Sequence[StudyFile] = ()) -> list[Path]:
    """Render runs and studies into a folder, file by file, each atomically.

    Args:
        runs: What was measured; without any the page is one of studies alone.
        folder: Gets ``index.html``, ``report.md`` and ``figures/``; of runs also ``results.csv`` and ``phases.csv``.
        files: What was studied.

    Returns:
        The files written.

    """
    known = _known(runs, files)
    drawings = draw_all(known.records)
    content = _content(known, drawings)
    made: dict[str, bytes] = {}
    if known.records:
        made["results.csv"] = tables.all_values(known.records).to_csv(index=False, lineterminator="\n").encode()
        made["phases.csv"] = tables.phases(known.records).to_csv(index=False, lineterminator="\n").encode()
    made["report.md"] = environment(html=False).get_template("report.md.j2").render(content).encode()
    made["index.html"] = environment(html=True).get_template("index.html.j2").render(content).encode()
    for drawing in [*drawings, *(drawing for section in known.sections for drawing in section.drawings)]:
        made |= {f"figures/{drawing.name}.svg": drawing.svg, f"figures/{drawing.name}.png": drawing.png}
    earlier = {folder / "results.csv", folder / "phases.csv", *(folder / "figures").glob("*.[sp][vn]g")}
    for stale in earlier - {folder / name for name in made}:
        stale.unlink(missing_ok=True)
    for name, value in made.items():
        with atomic(folder / name) as path:
            path.write_bytes(value)
    return [folder / name for name in made]


def _known(runs: Sequence[Run], files: Sequence[StudyFile]) -> Known:
    studies = Studies()
    for file in files:
        studies = studies.joined(file.studies)
    records = with_whole_quality([record for run in runs for record in run.records], studies.evaluations)
    found = variants(studies.evaluations)
    places = ranked(found)
    return Known(runs, files, records, studies, places, sections(studies, found, places, records))


def _content(known: Known, drawings: list[Drawing]) -> dict[str, Any]:
    records, studies = known.records, known.studies
    return {
        "title": TITLE,
        "timed": bool(records),
        "answer": _answer(known),
        "claim": findings.CLAIM,
        "sections": known.sections,
        "drawings": drawings,
        "distrust": list(dict.fromkeys([*findings.distrust(records), *doubts(studies)])),
        "unmeasured": findings.unmeasured(records),
        "uncounted": _uncounted(records),
        "settings": tables.settings([*records, *studies.evaluations]),
        "datasets": _datasets(known),
        "serving": _serving([one.case for one in records or known.told]),
        "machines": _machines(known),
        "runs": _sources(known),
    } | (_timed(known) if records else {})


def _timed(known: Known) -> dict[str, Any]:
    """Return what a page shows only where something was timed."""
    records = known.records
    stored = [record for run in known.runs for record in run.records]
    return {
        "claims": tables.claims(records),
        "compared": bool(findings.comparisons(records)),
        "ladder": tables.ladder(records),
        "results": tables.results(records),
        "limits": limits(records),
        "failures": tables.failures(records),
        "replaced": sum(shown is not read for shown, read in zip(records, stored, strict=True)),
    }


def _answer(known: Known) -> list[str]:
    """Say what was found of each dataset; quality alone where nothing was timed."""
    timed = {dataset_name(record) for record in measured(known.records)}
    alone = quality.answer_of({name: group for name, group in known.places.items() if name not in timed})
    return [*(findings.answer(known.records) if known.records else []), *alone] or [NOTHING_TOLD]


def _sources(known: Known) -> list[dict[str, Any]]:
    """Return each command that made something, with its file, its time and its commit."""
    found = [_source(run.records[0].provenance, run.path, run.taken) for run in known.runs]
    for file in known.files:
        commands: dict[tuple[object, ...], Provenance] = {}
        for source in studied(file.studies):
            commands.setdefault((source.command, source.commit, source.dirty), source)
        found += [_source(source, file.path, source.started) for source in commands.values()]
    return found


def _source(source: Provenance, path: Path, taken: str) -> dict[str, Any]:
    commit = source.commit or "not under git"
    return {"file": path.name, "taken": taken, "command": source.command, "commit": commit, "dirty": source.dirty}


def _datasets(known: Known) -> list[dict[str, Any]]:
    sources = [(dataset_name(one), one.provenance) for one in known.told]
    sources += [(generated(probe.dataset, probe.provenance), probe.provenance) for probe in known.studies.leaks]
    found: dict[str, dict[str, Any]] = {}
    for name, source in sources:
        facts = {fact: value for fact, value in source.dataset.items() if value is not None}
        found.setdefault(name, {"name": name, "facts": facts, "warnings": source.dataset_warnings})
    return list(found.values())


def _machines(known: Known) -> list[dict[str, Any]]:
    """Return facts and software of each machine, once, with the span of its load."""
    sources = [(machine_name(one), one.provenance) for one in known.told]
    sources += [(machine_of(probe.provenance, "cpu"), probe.provenance) for probe in known.studies.leaks]
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
    return [f"{', '.join(labels)}: {names}" for names, labels in lines.items()]


def environment(*, html: bool) -> Environment:
    """Return what every page is rendered with."""
    environment = Environment(
        loader=PackageLoader("bench.report"),
        autoescape=html,  # noqa: S701 - Markdown has an escape of its own, `_md_text`
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"html_table": _html_table, "md_table": _md_table, "inline_svg": _inline_svg, "md": _md_text}
    environment.filters["md_code"] = _md_code
    return environment


def _html_table(frame: pd.DataFrame) -> Markup:
    """Render a table; every cell is escaped, and the first column heads its row."""
    head = Markup("").join(Markup('<th scope="col">{}</th>').format(name) for name in frame.columns)
    rows = []
    for values in frame.itertuples(index=False):
        first, *others = values
        cells = Markup("").join(Markup("<td>{}</td>").format(value) for value in others)
        rows.append(Markup('<tr><th scope="row">{}</th>{}</tr>').format(first, cells))
    return Markup("<table><thead><tr>{}</tr></thead><tbody>{}</tbody></table>").format(head, Markup("\n").join(rows))


def _md_table(frame: pd.DataFrame) -> str:
    """Render a table in GitHub's Markdown."""
    lines = [list(frame.columns), ["---"] * len(frame.columns), *frame.itertuples(index=False)]
    return "\n".join("| " + " | ".join(_md_text(str(value)) for value in line) + " |" for line in lines)


def _md_text(text: str) -> str:
    """Escape what Markdown or HTML would read as markup."""
    return str(escape(text)).replace("|", "\\|").replace("&#34;", '"').replace("&#39;", "'")


def _md_code(text: str) -> str:
    """Quote code; where it could end the quotation, it is escaped instead."""
    return f"<code>{_md_text(text)}</code>" if "`" in text else f"`{text}`"


def _inline_svg(drawing: Drawing) -> Markup:
    """Return the SVG element alone, named for screen readers, its internal names made its own."""
    text = drawing.svg.decode()
    text = text[text.index("<svg") :]
    text = re.sub(r'\bid="', f'id="{drawing.name}-', text)
    text = re.sub(r'(xlink:href="#|url\(#)', rf"\g<1>{drawing.name}-", text)
    label = Markup('<svg role="img" aria-label="{}"').format(f"{drawing.title}. {drawing.text}")
    return label + Markup(text.removeprefix("<svg"))  # noqa: S704 - matplotlib escapes the texts it draws
