"""What was measured, on what and by which command: the page's name, its setting, and how to make it again."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bench.records.case import Case
from bench.records.record import Provenance, Record
from bench.report.reading.distrust import LOAD
from bench.report.reading.facets import in_common
from bench.report.reading.labels import case_labels, listed, machine_name, machine_of
from bench.report.reading.naming import Told, generated, usual_preset, whole_dataset
from bench.report.run.known import Known
from bench.report.run.opening import MOST_NAMED
from bench.report.studies.doubts import studied


def title_of(page: Known) -> str:
    """Return the name of the page in lists of pages: the question, and what tells it from others of the same."""
    return " · ".join([page.opening.question, *crumbs_of(page)])


def crumbs_of(page: Known) -> list[str]:
    """Return what the page is about in a few words: data, machine, suite, day and commit."""
    told = page.told
    datasets = list(dict.fromkeys(map(whole_dataset, told)))
    common = in_common(datasets)
    data = listed([name.removesuffix(common) for name in datasets])
    data = (data if len(datasets) <= MOST_NAMED else f"{len(datasets)} datasets") + common
    machines = list(dict.fromkeys(map(machine_name, told)))
    suites = list(dict.fromkeys(record.suite for record in page.records))
    day = max((record.provenance.started for record in told), default="")[: len("2026-01-02T03:04")].replace("T", " ")
    commit = next((record.provenance.commit for record in told if record.provenance.commit), None)
    words = [data, _sizes(told), listed(machines), f"suite {listed(suites)}" if suites else "studies", day]
    return [word for word in [*words, f"commit {commit[:7]}" if commit else ""] if word]


def _sizes(told: Sequence[Told]) -> str:
    """Name the usual preset where it is not the only one."""
    presets = {each.case.settings.get("preset") for each in told}
    usual = usual_preset(told)
    return f"{usual} unless a name says otherwise" if usual is not None and len(presets) > 1 else ""


def sources_of(page: Known) -> list[dict[str, Any]]:
    """Return each command that made something, with its file, its time and its commit."""
    rows = [_source(run.records[0].provenance, run.path, run.taken, page.folder) for run in page.runs]
    for file in page.files:
        commands: dict[tuple[object, ...], Provenance] = {}
        for source in studied(file.studies):
            commands.setdefault((source.command, source.commit, source.dirty), source)
        rows += [_source(source, file.path, source.started, page.folder) for source in commands.values()]
    return rows


def _source(source: Provenance, path: Path, taken: str, folder: Path) -> dict[str, Any]:
    facts = {"file": path.name, "taken": taken, "command": source.command, "dirty": source.dirty}
    link = Path(os.path.relpath(path, folder)).as_posix()
    return facts | {"commit": source.commit or "not under git", "link": quote(link)}


def datasets_of(page: Known) -> list[dict[str, Any]]:
    """Return the facts and warnings of each dataset, once."""
    sources = [(whole_dataset(told), told.provenance) for told in page.told]
    sources += [(generated(probe.dataset, probe.provenance), probe.provenance) for probe in page.probes]
    by_name: dict[str, dict[str, Any]] = {}
    for name, source in sources:
        facts = {fact: value for fact, value in source.dataset.items() if value is not None}
        by_name.setdefault(name, {"name": name, "facts": facts, "warnings": source.dataset_warnings})
    return list(by_name.values())


def machines_of(page: Known) -> list[dict[str, Any]]:
    """Return facts and software of each machine, once, with the span of its load."""
    sources = [(machine_name(told), told.provenance) for told in page.told]
    sources += [(machine_of(probe.provenance, "cpu"), probe.provenance) for probe in page.probes]
    by_name: dict[str, dict[str, Any]] = {}
    for name, source in sources:
        facts = {fact: value for fact, value in source.machine.items() if value is not None}
        facts |= {fact: value for fact, value in source.software.items() if value is not None}
        load = facts.pop(LOAD, None)
        machine = by_name.setdefault(name, {"facts": facts, "loads": []})
        machine["loads"] += [] if load is None else [load]
    for machine in by_name.values():
        if loads := machine.pop("loads"):
            machine["facts"] |= {LOAD + " of a group of cases": f"{min(loads)} to {max(loads)}"}
    return [entry["facts"] for entry in by_name.values()]


def serving_of(cases: Sequence[Case]) -> dict[str, str]:
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
    return {name: ", ".join(several) for name, several in values.items() if several}


def uncounted_of(records: Sequence[Record]) -> list[str]:
    """List operators without a FLOP formula, as the counter met them."""
    lines: dict[str, list[str]] = {}
    for label, record in zip(case_labels(records), records, strict=True):
        operators = getattr(record.flops, "uncounted", {})
        if operators:
            names = ", ".join(name.removeprefix("aten.").removesuffix(".default") for name in operators)
            lines.setdefault(names, []).append(label)
    total = len(records) if len(lines) == 1 else -1
    return [f"{'all cases' if len(labels) == total else '; '.join(labels)}: {names}" for names, labels in lines.items()]
