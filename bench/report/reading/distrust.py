"""What to distrust, the gravest first: each doubt knows how grave it is."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from itertools import pairwise
from typing import Self

from bench.records.case import WeightsKind
from bench.records.conditions import Overhead
from bench.records.cost import Flops
from bench.records.learning import Ending
from bench.records.model import Unavailable
from bench.records.quality import ListAudit, Quality
from bench.records.record import Record
from bench.report.reading.facets import in_common
from bench.report.reading.histories import is_chosen, longest
from bench.report.reading.labels import case_labels, groups, listed, machine_name
from bench.report.reading.naming import Told, caption, dataset_name, label_of, named
from bench.report.reading.ratios import is_measured, latency_of, measured
from bench.report.reading.trained import UNTOLD, how_trained, to_the_end
from bench.report.reading.values import further_measures

LOAD = "load average at the end"
"""The machine's one fact that changes from case to case."""

TOLERANCE = 0.001
"""Relative difference of two counts of FLOPs that is worth a line."""

MOST_TIED = 0.05
"""Share of interactions without a known order beyond which a reader should know of them."""

FULL_PRECISION = "float32"
"""The dtype whose lists are held to be equal; others round."""


class Severity(StrEnum):
    """How grave a doubt is, the gravest first."""

    UNUSABLE = "Numbers not to use"
    COMPARED = "Comparisons to be careful with"
    NOISY = "Numbers that are less certain than they look"
    TRACED = "What makes them harder to check"


class Doubt(str):
    """A sentence that knows how grave it is.

    Attributes:
        severity: How grave.

    """

    __slots__ = ("severity",)
    severity: Severity

    def __new__(cls, text: str, severity: Severity) -> Self:
        """Write `text`."""
        made = super().__new__(cls, text)
        made.severity = severity
        return made


def graver_first(doubts: Sequence[Doubt]) -> dict[Severity, list[Doubt]]:
    """Return doubts by how grave they are, each once, the gravest first."""
    once = list(dict.fromkeys(doubts))
    ranked = {severity: [doubt for doubt in once if doubt.severity is severity] for severity in Severity}
    return {severity: several for severity, several in ranked.items() if several}


NAMED = 6
"""Cases that a line names; of more it says how many."""


def distrust(records: Sequence[Record], served: Sequence[Record] = ()) -> list[Doubt]:
    """List what weakens the numbers, the gravest first.

    Args:
        records: Cases that one client asked.
        served: Cases that were asked as services.

    """
    everything = [*records, *served]
    by_severity = {
        Severity.UNUSABLE: [
            *_other_lists(records),
            *_late_clients(served),
            *_untrained(everything),
            *labelled(everything),
        ],
        Severity.COMPARED: [
            *cut_short(everything),
            *_weak_baselines(measured(records)),
            *_other_histories(records),
            *_sources(records, served),
            *_tied(records),
        ],
        Severity.NOISY: [*_load(records), *_few_rounds(measured(records)), *_cautioned(records)],
        Severity.TRACED: _changed(everything),
    }
    told = [Doubt(text, severity) for severity, texts in by_severity.items() for text in texts]
    return [doubt for group in graver_first([*told, *_doubted(records)]).values() for doubt in group]


def few(names: Sequence[str]) -> str:
    """Join names, of many the first ones and how many more there are."""
    names = list(dict.fromkeys(names))
    return listed(names) if len(names) <= NAMED else f"{', '.join(names[:NAMED])} and {len(names) - NAMED} more"


def labelled(told: Sequence[Told]) -> list[str]:
    """Name what is labelled, each label once, in an order that is the same whatever was timed or evaluated first."""
    names: dict[str, list[str]] = {}
    for record in told:
        for label in record.labels:
            names.setdefault(label, []).append(caption(record))
    return [f"{few(sorted(captions))}: {label}." for label, captions in names.items()]


def _cautioned(records: Sequence[Record]) -> list[str]:
    further = (measure for record in records for measure in further_measures(record).values())
    return list(dict.fromkeys(f"{measure.title}: {measure.caution}." for measure in further if measure.caution))


def _untrained(records: Sequence[Record]) -> list[str]:
    if not any(record.case.weights is WeightsKind.UNTRAINED for record in records):
        return []
    return ["Untrained weights: their lists mean nothing; times and operations are those of the architecture."]


def _changed(records: Sequence[Record]) -> list[str]:
    if not any(record.provenance.dirty for record in records):
        return []
    return ["The code was changed after its last commit; the commit alone does not give these numbers again."]


def _late_clients(served: Sequence[Record]) -> list[str]:
    """Name the services whose client did not keep to its schedule where it mattered."""
    late = [caption(record) for record in served if record.load is not None and record.load.main.invalid]
    said = "the client was late at the rate that is told of, so the figure is too low: measure on an idle machine"
    return [f"Not valid under load: {few(late)}; {said}."] if late else []


def _sources(records: Sequence[Record], served: Sequence[Record]) -> list[str]:
    """Say what data, machines and runs do to comparisons."""
    lines, everything = [], [*records, *served]
    if any(record.provenance.dataset.get("synthetic") for record in everything):
        lines.append("Synthetic data: orderings of quality need not hold on real data.")
    if len({machine_name(record) for record in everything}) > 1:
        lines.append("Several machines: times of different ones are shown side by side, and are not compared.")
    if len({record.provenance.started for record in records}) > len(groups(records)):
        lines.append("Several runs: ratios between them miss how the machine changed from one to the other.")
    return lines


def _other_histories(records: Sequence[Record]) -> list[str]:
    """Say so where recommenders read histories of different lengths: the longer one costs more and knows more."""
    lengths: dict[int, list[str]] = {}
    for record in measured(records):
        length = longest(record)
        if length is not None and not is_chosen(record.case):
            lengths.setdefault(length, []).append(label_of(record))
    if len(lengths) < 2:  # noqa: PLR2004 - one length is none that differs
        return []
    told = (f"{listed(list(dict.fromkeys(names)))} at most {length} items" for length, names in sorted(lengths.items()))
    return [f"Histories are not equally long, as in their papers: {', '.join(told)}."]


def _tied(records: Sequence[Record]) -> list[str]:
    """Name the datasets whose order is in good part not known."""
    shares = {record.case.dataset_variant: record.provenance.dataset.get("tied interactions") for record in records}
    return [
        f"Ties: {share:.0%} of the interactions of {name} have the time of another one of the same user."
        for name, share in shares.items()
        if isinstance(share, float) and share > MOST_TIED
    ]


def _other_lists(records: Sequence[Record]) -> list[str]:
    """Name the decoders that claim to be exact and make other lists than they must."""
    return [
        f"Not exact: {record.agreement.different} of {record.agreement.users} lists of {label} differ from those of "
        f"{record.agreement.compared_with} in more than the order of ties."
        for label, record in zip(case_labels(records), records, strict=True)
        if record.case.is_exact
        and record.case.dtype == FULL_PRECISION
        and record.agreement is not None
        and record.agreement.different
    ]


def _weak_baselines(records: Sequence[Record]) -> list[str]:
    """Name the generative recommenders of which no decoder but the papers' was measured."""
    searched: dict[str, list[Record]] = {}
    for record in records:
        if record.case.decoder is not None:
            searched.setdefault(record.case.recommender, []).append(record)
    return [
        f"Of {named(own[0]).name} only the decoder that the papers run was measured, which is not the fastest: "
        "what is saved against it is saved in part by writing the search well."
        for own in searched.values()
        if all(record.case.is_reference for record in own)
    ]


def cut_short(records: Sequence[Told]) -> list[str]:
    """Name the recommenders that more training would have made better, and those of which nobody knows."""
    datasets = {dataset_name(record) for record in records}
    by_verdict: dict[str, dict[str, list[str]]] = {}
    for record in records:
        if not to_the_end(record):
            names = by_verdict.setdefault(how_trained(record), {})
            names.setdefault(named(record).name, []).append(dataset_name(record))
    said = {
        Ending.CUT_SHORT.value: "Training was cut short, more of it would rank better",
        UNTOLD: "Trained to the end or not, nobody knows",
    }
    return [
        f"{said[verdict]}: {listed([_on(name, places, datasets) for name, places in by_verdict[verdict].items()])}."
        for verdict in said
        if verdict in by_verdict
    ]


def _on(name: str, places: Sequence[str], every: set[str]) -> str:
    """Name a recommender, and where that is not on all datasets, on which."""
    where = sorted({place.removesuffix(in_common(sorted(every))) for place in places})
    return name if set(places) == every else f"{name} on {listed(where)}"


def _load(records: Sequence[Record]) -> list[str]:
    """Say so when more wanted to run than the machine has cores for."""
    busy: dict[str, float] = {}
    for record in records:
        load, cores = record.provenance.machine.get(LOAD), record.provenance.machine.get("cores")
        if isinstance(load, (int, float)) and isinstance(cores, int) and load > cores:
            busy[machine_name(record)] = max(load, busy.get(machine_name(record), 0.0))
    return [f"Other work competed for {name}: its load average reached {load:.1f}." for name, load in busy.items()]


def _few_rounds(records: Sequence[Record]) -> list[str]:
    bounds = (0, 10, 50, 100, 500)
    names = ("even a median is rough", "no percentile beyond the median", "no p95 or p99", "no p99")
    labels, lines = case_labels(records), []
    for (least, most), meaning in zip(pairwise(bounds), names, strict=True):
        short = [
            f"{label} ({latency_of(record).rounds})"
            for label, record in zip(labels, records, strict=True)
            if least <= latency_of(record).rounds < most
        ]
        if short:
            lines.append(f"Fewer than {most} rounds, so {meaning}: {_listed(short, len(records))}.")
    return lines


def _doubted(records: Sequence[Record]) -> list[Doubt]:
    """List what weakens single cases, each doubt once with the cases that it touches."""
    cases: dict[Doubt, list[str]] = {}
    for label, record in zip(case_labels(records), records, strict=True):
        for doubt in _doubts(record) if is_measured(record) else []:
            cases.setdefault(doubt, []).append(label)
    return [Doubt(f"{doubt}: {_listed(labels, len(records))}.", doubt.severity) for doubt, labels in cases.items()]


def _listed(labels: Sequence[str], every: int) -> str:
    return "all cases" if len(labels) == every > 1 else few(labels)


def _doubts(record: Record) -> list[Doubt]:
    noisy = [*_unsteady(record), *_near_ties(record)]
    checks = []
    if isinstance(record.flops, Flops):
        if isinstance(record.flops.fvcore_per_user, Unavailable):
            checks.append(f"No second opinion on FLOPs, {record.flops.fvcore_per_user.unavailable}")
        checks += _disagreements(record.flops)
    return [
        *(Doubt(text, Severity.COMPARED) for text in _incomplete(record)),
        *(Doubt(text, Severity.NOISY) for text in noisy),
        *(Doubt(text, Severity.TRACED) for text in checks),
    ]


def _unsteady(record: Record) -> list[str]:
    """Say what makes a time less certain."""
    lines, seen, overhead = [], record.conditions, record.overhead
    if seen is not None and seen.unstable:
        lines.append(f"Unstable, {seen.unstable}")
    if isinstance(overhead, Overhead) and overhead.low > overhead.allowed_s:
        cost, allowed = overhead.seconds * 1e6, overhead.allowed_s * 1e6
        lines.append(f"Timing adds {cost:.0f} µs to a call, more than the {allowed:.0f} µs that it may")
    return lines


def _near_ties(record: Record) -> list[str]:
    """Say how far timed lists are not those that were evaluated."""
    audit = record.audit
    if not isinstance(audit, ListAudit):
        return []
    lines = [f"{audit.ties} of {audit.users} timed lists order near-equal scores differently"] * bool(audit.ties)
    if audit.different:
        lines.append(
            f"{audit.different} of {audit.users} timed lists differ from evaluated ones, as rounding to "
            f"{record.case.dtype} does to beams: the quality is about that of what was timed"
        )
    return lines


def _incomplete(record: Record) -> list[str]:
    """Say what keeps a quality from what it could be."""
    quality = record.quality
    if not isinstance(quality, Quality):
        return []
    lines = []
    if quality.valid_rate < 1:
        lines.append(f"{1 - quality.valid_rate:.2%} of the list places hold no item")
    if quality.unreachable:
        share = quality.unreachable / quality.users
        lines.append(f"{share:.1%} of the targets are in the user's own history, which is removed: nothing finds them")
    return lines


def _disagreements(flops: Flops) -> list[str]:
    """Say where another opinion on the FLOPs of a forward pass differs from the authority's."""
    others = {"fvcore counts": flops.fvcore_per_user, "The closed formula gives": flops.closed_form_per_user}
    lines = []
    for words, other in others.items():
        if isinstance(other, float | int) and flops.forward_per_user:
            gap = other / flops.forward_per_user - 1
            if abs(gap) > TOLERANCE:
                lines.append(f"{words} {gap:+.1%} against FlopCounterMode over the same forward pass")
    return lines
