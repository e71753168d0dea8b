"""What a comparison of runs comes to, in sentences, and what it cannot tell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from bench.records.record import Record
from bench.report.comparing.comparison import (
    VERDICT_TURNS,
    ChangeVerdict,
    Comparison,
    Group,
    Judged,
    QualityVerdict,
    few_turns,
    same_data,
)
from bench.report.comparing.sources import MACHINE, SYSTEM, ResultSource, differences
from bench.report.reading.findings import times
from bench.report.reading.labels import case_labels, listed

CAUTION = (
    "Runs taken at different times, or on different machines, miss how the machine changed: its clock, its neighbours, "
    "its software. How far equal runs lie apart is estimated from the runs that are stored, and is in the intervals; "
    "what changed for good between two runs is not, so a difference shown here need not be one of the code. For a "
    "verdict on code use python -m bench.gate, which measures both sides in turns."
)

SELDOM = (ChangeVerdict.NOT_MEASURED, ChangeVerdict.OTHER_DATA)
"""Verdicts that are counted only where there are any."""

NAMED = 6
"""Cases that a line names."""


def rule(margin: float) -> str:
    """Say what the verdicts mean."""
    return (
        f"FASTER, SLOWER: the whole 95 % interval of the ratio of medians lies beyond {margin * 100:g} %; SAME: all of "
        f"it lies within; UNCLEAR: neither, or fewer than {VERDICT_TURNS} turns were timed; one run each: no "
        "other run of the case on that machine is stored, so that nobody knows how far equal runs lie apart, and there "
        "is no interval; OTHER DATA: the two ran on other data, so that there is nothing to judge. "
        "Intervals hold what differs from run to run. BETTER, WORSE: the whole "
        f"interval of the difference in NDCG@10 lies on one side of 0; SAME: all of it lies within "
        f"{margin * 100:g} % of the base's value."
    )


def summary(base: ResultSource, other: ResultSource, group: Group) -> str:
    """Say how many cases of a group are faster, slower, the same, unclear, and by how much on the whole."""
    rows = group.rows
    counts = Counter(row.verdict for row in rows)
    told = [
        f"{counts[verdict]} {verdict.value}" for verdict in ChangeVerdict if verdict not in SELDOM or counts[verdict]
    ]
    what = f"that differ in {changed(group)}" if group.changes else "in both files"
    text = f"{other.letter} against {base.letter}: of {_cases(len(rows))} {what}, {listed(told)}."
    if group.mean is not None:
        text += f" In the geometric mean, {other.letter} takes {times(group.mean)} as long as {base.letter}."
    ranked = Counter(row.quality_verdict for row in rows if row.quality is not None)
    if ranked:
        told = [
            f"{ranked[verdict]} {verdict.value}"
            for verdict in QualityVerdict
            if verdict is not QualityVerdict.NOT_COMPARED
        ]
        text += f" NDCG@10: {listed(told)}."
    return text


def changed(group: Group) -> str:
    """Say in what the cases of a group differ."""
    return ", ".join(map(str, group.changes))


def _cases(count: int) -> str:
    return "1 case" if count == 1 else f"{count} cases"


def cautions(base: ResultSource, other: ResultSource, comparison: Comparison) -> list[str]:
    """List what weakens a comparison, the gravest first."""
    rows = comparison.rows
    both = f"{base.letter} and {other.letter}"
    compared = [[getattr(row, side) for row in rows] for side in ("base", "other")]
    lines = _grounds(both, differences(*compared), compared)
    lines += _some(rows, lambda row: not same_data(row.other, row.base), f"{both} hold other data")
    lines += _some(rows, _other_weights, f"{both} hold other trained weights, so quality differs by training as well")
    lines += _some(rows, _unpaired, "NDCG@10 could not be compared user by user, which widens its interval")
    lines += _some(
        rows, lambda row: few_turns(row.base) or few_turns(row.other), f"Fewer than {VERDICT_TURNS} turns were timed"
    )
    for source, records in zip((base, other), compared, strict=True):
        lines += _of_file(source, records)
    if comparison.repeated:
        lines.append(f"A file holds a case more than once: {comparison.repeated} later records are left out.")
    return lines


def _grounds(both: str, differing: dict[str, tuple[str, str]], compared: Sequence[Sequence[Record]]) -> list[str]:
    machine = {name: pair for name, pair in differing.items() if name in MACHINE}
    software = {name: pair for name, pair in differing.items() if name not in MACHINE}
    lines = []
    if machine:
        lines.append(f"{both} ran on different machines, so ratios compare machines as well: {_pairs(machine)}.")
    if software:
        lines.append(f"{both} ran on different software: {_pairs(software)}.")
    commits = {(record.provenance.commit, record.provenance.dirty) for records in compared for record in records}
    if len(commits) == 1 and (None, None) not in commits and not machine and set(software) <= {SYSTEM}:
        _, dirty = next(iter(commits))
        if not dirty:
            lines.append(f"{both} ran the same commit on the same machine: between equal cases, what differs is noise.")
    return lines


def _pairs(values: dict[str, tuple[str, str]]) -> str:
    return "; ".join(f"{name} {before} → {after}" for name, (before, after) in values.items())


def _some(rows: Sequence[Judged], holds: Callable[[Judged], bool], words: str) -> list[str]:
    labels = [label for label, row in zip(case_labels([row.base for row in rows]), rows, strict=True) if holds(row)]
    if not labels:
        return []
    more = f" and {len(labels) - NAMED} more" if len(labels) > NAMED else ""
    return [f"{words}: {'all cases' if len(labels) == len(rows) else '; '.join(labels[:NAMED]) + more}."]


def _other_weights(row: Judged) -> bool:
    """Tell whether equal cases hold weights of different trainings."""
    before, after = (None if record.weights is None else record.weights.sha256 for record in (row.base, row.other))
    alike = (row.base.case.recommender, row.base.case.settings) == (row.other.case.recommender, row.other.case.settings)
    return alike and None not in (before, after) and before != after


def _unpaired(row: Judged) -> bool:
    return (
        row.quality is not None and not row.quality.paired and row.quality.difference.low < row.quality.difference.high
    )


def _of_file(source: ResultSource, records: Sequence[Record]) -> list[str]:
    lines = []
    if any(record.provenance.dirty for record in records):
        lines.append(f"{source.letter}: the code was changed after its commit, which alone does not give it again.")
    named = list(zip(case_labels(records), records, strict=True))
    for label, record in named:
        lines += [f"{source.letter}: {label}: {line}." for line in record.labels]
        unstable = record.conditions.unstable if record.conditions is not None else ""
        lines += [f"{source.letter}: {label} is unstable: {unstable}."] if unstable else []
    return list(dict.fromkeys(lines))
