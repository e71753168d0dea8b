"""Where runs come from: their files, machines, commits and commands, and how these differ."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from bench.records.record import Provenance, Record
from bench.records.store import Run
from bench.report.reading.labels import machine_name

MACHINE = ("processor", "cores", "memory GiB", "GPU")
"""What tells two machines apart; two that are alike are taken for one."""

SYSTEM = "system"
"""The kernel: an update changes times, and yet the machine stays what it is."""

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
SHORT = 7
"""Digits of a commit that are shown."""
CHANGED = "+"
"""Behind a commit whose code was changed."""


@dataclass(frozen=True)
class ResultSource:
    """A results file under a letter.

    Attributes:
        letter: ``A`` is the base.
        name: The file's name, with as many of its folders as tell it from the others.
        run: What it holds.

    """

    letter: str
    name: str
    run: Run


def sources(runs: Sequence[Run]) -> list[ResultSource]:
    """Give each results file a letter, in order."""
    letters = [LETTERS[row] if row < len(LETTERS) else f"F{row + 1}" for row in range(len(runs))]
    names = file_names([run.path for run in runs])
    return [ResultSource(letter, name, run) for letter, name, run in zip(letters, names, runs, strict=True)]


def file_names(paths: Sequence[Path]) -> list[str]:
    """Name files by as few of their last parts as tell them apart."""
    wanted = len(set(paths))
    deepest = max((len(path.parts) for path in paths), default=1)
    for depth in range(1, deepest + 1):
        names = ["/".join(path.parts[-depth:]) for path in paths]
        if len(set(names)) == wanted:
            return names
    return [str(path) for path in paths]


def commit_name(source: Provenance) -> str:
    """Name a commit by its first digits, and mark it where the code was changed after it."""
    return "not under git" if source.commit is None else source.commit[:SHORT] + (CHANGED if source.dirty else "")


def machine_key(record: Record) -> tuple[str, ...]:
    """Return what tells the machine and device of a record from others."""
    facts = record.provenance.machine
    return (machine_name(record), *(str(facts.get(name)) for name in MACHINE))


def machine_title(key: tuple[str, ...], others: Iterable[tuple[str, ...]]) -> str:
    """Name a machine of several, with its memory and processor where its name alone does not tell it apart."""
    name, *facts = key
    if sum(other[0] == name for other in set(others)) == 1:
        return name
    named_facts = zip(MACHINE, facts, strict=True)
    return ", ".join([name, *(f"{fact} {value}" for fact, value in named_facts if value != str(None))])


def table(named: Sequence[tuple[str, Run]]) -> pd.DataFrame:
    """Return one row a file and commit: when, from what commit, on what machine, by which command."""
    rows: dict[tuple[str, ...], dict[str, str]] = {}
    for name, run in named:
        for record in run.records:
            source = record.provenance
            commit = source.commit or "not under git"
            told = (name, run.taken or source.started, commit, machine_name(record))
            key = (*told, source.command, str(source.dirty))
            changed = ", uncommitted changes" if source.dirty else ""
            cells = ("file", "run ended", "commit", "machine")
            rows.setdefault(key, dict(zip(cells, told, strict=True)) | {"command": source.command})
            rows[key]["commit"] = commit + changed
    return pd.DataFrame(list(rows.values()))


def differences(base: Sequence[Record], other: Sequence[Record]) -> dict[str, tuple[str, str]]:
    """Return machine facts and versions of software that differ between two runs, by name, for readers."""
    differing = {}
    for kind in ("machine", "software"):
        facts = [[getattr(record.provenance, kind) for record in records] for records in (base, other)]
        names = (
            [SYSTEM, *MACHINE] if kind == "machine" else sorted({name for side in facts for s in side for name in s})
        )
        for name in names:
            before, after = (
                ", ".join(dict.fromkeys(str(values.get(name, "none")) for values in side)) for side in facts
            )
            if before != after:
                differing[name] = (before, after)
    return differing
