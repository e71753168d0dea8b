"""Puts tables, figures and findings together: HTML, Markdown, CSV, SVG and PNG."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from bench.home import atomic
from bench.report import findings, tables
from bench.report.figures import Drawing, draw_all
from bench.report.labels import case_labels, dataset_name, machine_name
from bench.report.roofline import limits
from bench.results.record import Record
from bench.results.store import Run

TITLE = "What the recommenders cost, and what they give back"


def write_report(runs: Sequence[Run], folder: Path) -> list[Path]:
    """Render runs into a folder, file by file, each atomically.

    Args:
        runs: What was measured.
        folder: Gets ``index.html``, ``report.md``, ``results.csv``, ``phases.csv`` and ``figures/``.

    Returns:
        The files written.

    """
    records = [record for run in runs for record in run.records]
    drawings = draw_all(records)
    content = _content(runs, records, drawings)
    files: dict[str, bytes] = {
        "results.csv": tables.all_values(records).to_csv(index=False, lineterminator="\n").encode(),
        "phases.csv": tables.phases(records).to_csv(index=False, lineterminator="\n").encode(),
        "report.md": _environment(html=False).get_template("report.md.j2").render(content).encode(),
        "index.html": _environment(html=True).get_template("index.html.j2").render(content).encode(),
    }
    for drawing in drawings:
        files |= {f"figures/{drawing.name}.svg": drawing.svg, f"figures/{drawing.name}.png": drawing.png}
    for stale in set((folder / "figures").glob("*.[sp][vn]g")) - {folder / name for name in files}:
        stale.unlink()
    for name, value in files.items():
        with atomic(folder / name) as path:
            path.write_bytes(value)
    return [folder / name for name in files]


def _content(runs: Sequence[Run], records: list[Record], drawings: list[Drawing]) -> dict[str, Any]:
    return {
        "title": TITLE,
        "answer": findings.answer(records),
        "claim": findings.CLAIM,
        "claims": tables.claims(records),
        "compared": bool(findings.comparisons(records)),
        "ladder": tables.ladder(records),
        "results": tables.results(records),
        "limits": limits(records),
        "drawings": drawings,
        "failures": tables.failures(records),
        "distrust": findings.distrust(records),
        "unmeasured": findings.unmeasured(records),
        "uncounted": _uncounted(records),
        "settings": tables.settings(records),
        "datasets": _datasets(records),
        "serving": _serving(records),
        "machines": _machines(records),
        "runs": [
            {
                "file": run.path.name,
                "taken": run.taken,
                "command": run.records[0].provenance.command,
                "commit": run.records[0].provenance.commit or "not under git",
                "dirty": run.records[0].provenance.dirty,
            }
            for run in runs
        ],
    }


def _datasets(records: Sequence[Record]) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for record in records:
        facts = {name: value for name, value in record.provenance.dataset.items() if value is not None}
        found.setdefault(
            dataset_name(record),
            {"name": dataset_name(record), "facts": facts, "warnings": record.provenance.dataset_warnings},
        )
    return list(found.values())


def _machines(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Return facts and software of each machine, once, with the span of its load."""
    found: dict[str, dict[str, Any]] = {}
    for record in records:
        source = record.provenance
        facts = {name: value for name, value in source.machine.items() if value is not None}
        facts |= {name: value for name, value in source.software.items() if value is not None}
        load = facts.pop(findings.LOAD, None)
        one = found.setdefault(machine_name(record), {"facts": facts, "loads": []})
        one["loads"] += [] if load is None else [load]
    for one in found.values():
        if loads := one.pop("loads"):
            one["facts"] |= {findings.LOAD + " of a group of cases": f"{min(loads)} to {max(loads)}"}
    return [one["facts"] for one in found.values()]


def _serving(records: Sequence[Record]) -> dict[str, str]:
    """Return what was the same for all cases, or what it took on."""
    read = {
        "seen items": lambda case: case.seen,
        "length of lists (K)": lambda case: case.k,
        "batch sizes": lambda case: case.batch_size,
        "dtypes": lambda case: case.dtype,
        "devices": lambda case: case.device,
        "CPU threads": lambda case: case.threads,
    }
    return {
        name: ", ".join(str(value) for value in dict.fromkeys(get(record.case) for record in records))
        for name, get in read.items()
    }


def _uncounted(records: Sequence[Record]) -> list[str]:
    """List operators without a FLOP formula, as the counter met them."""
    lines: dict[str, list[str]] = {}
    for label, record in zip(case_labels(records), records, strict=True):
        operators = getattr(record.flops, "uncounted", {})
        if operators:
            names = ", ".join(name.removeprefix("aten.").removesuffix(".default") for name in operators)
            lines.setdefault(names, []).append(label)
    return [f"{', '.join(labels)}: {names}" for names, labels in lines.items()]


def _environment(*, html: bool) -> Environment:
    environment = Environment(
        loader=PackageLoader("bench.report"),
        autoescape=html,  # noqa: S701 - Markdown has an escape of its own, `_md_text`
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"html_table": _html_table, "md_table": _md_table, "inline_svg": _inline_svg, "md": _md_text}
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


def _inline_svg(drawing: Drawing) -> Markup:
    """Return the SVG element alone, named for screen readers, its internal names made its own."""
    text = drawing.svg.decode()
    text = text[text.index("<svg") :]
    text = re.sub(r'\bid="', f'id="{drawing.name}-', text)
    text = re.sub(r'(xlink:href="#|url\(#)', rf"\g<1>{drawing.name}-", text)
    label = Markup('<svg role="img" aria-label="{}"').format(f"{drawing.title}. {drawing.text}")
    return label + Markup(text.removeprefix("<svg"))  # noqa: S704 - matplotlib escapes the texts it draws
