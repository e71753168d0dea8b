"""What the records say of the paper's claim, and what to distrust."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from bench.records.conditions import Overhead
from bench.records.learning import Ending
from bench.records.record import Case, Flops, ListAudit, Quality, Record, Unavailable, WeightsKind
from bench.report.reading.labels import caption, case_labels, groups, listed, machine_name, with_interval
from bench.report.reading.ladder import reference_of, sizes_match, strongest
from bench.report.reading.rankers import served_best
from bench.report.reading.ratios import is_measured, latency_of, measured, metric, ratio_of
from bench.report.reading.trained import UNTOLD, how_trained, not_compared, to_the_end
from bench.report.reading.values import further_measures
from bench.statistics.latency import Ratio

CLAIM = (
    "arXiv 2402.09543 reports for ML-1M 97.28 % less inference time (first version) or 99.48 % less (published "
    "version) and 46.8 % more Recall@10 than its best baseline. What it says of hardware, batch size and the "
    "baseline's decoder could not be read, so the rows below are a comparison on this machine, not a reproduction."
)

MOST_CLAIMANTS, MOST_RIVALS = 4, 20
"""Cases of one group on either side of the claim."""

LOAD = "load average at the end"
"""The machine's one fact that changes from case to case."""

TOLERANCE = 0.001
"""Relative difference of two counts of FLOPs that is worth a line."""

UNMEASURED = {
    "phases": "phases",
    "flops": "flops",
    "memory": "memory",
    "energy_j_per_1000_users": "energy",
    "roofline": "roofline",
    "quality": "quality",
    "audit": "list audit",
    "overhead": "harness overhead",
    "repeats": "asking again",
}
"""Fields of a record that may be n/a, in words."""

MOST_TIED = 0.05
"""Share of interactions without a known order beyond which a reader should know of them."""

FULL_PRECISION = "float32"
"""The dtype whose lists are held to be equal; others round."""


@dataclass(frozen=True)
class ClaimComparison:
    """A claimant against a generative case of the same group and preset.

    Attributes:
        group: What both have in common.
        fast: The one-pass case.
        slow: The generative case.
        ratio: Latency of `slow` over `fast`.
        recall_change: Relative change of Recall@10 (= HR@10, one target) from `slow` to `fast`, in
            percent; None when either has no quality, or was not trained to its end.

    """

    group: str
    fast: Record
    slow: Record
    ratio: Ratio
    recall_change: float | None


def comparisons(records: Sequence[Record]) -> list[ClaimComparison]:
    """Compare each claimant with the generative cases of its group and preset; of many, with the most telling ones."""
    return [
        ClaimComparison(name, fast, slow, ratio_of(slow, fast), recall_gain(fast, slow))
        for name, group in groups(measured(records)).items()
        for fast in claimants(group)
        for slow in _rivals(fast, group)
    ]


def _rivals(fast: Record, group: Sequence[Record]) -> list[Record]:
    """Return the generative cases that a one-pass case is held against: of many the strongest, and its reference."""
    found = [record for record in group if record.case.decoder is not None and sizes_match(fast, record)]
    if len(found) <= MOST_RIVALS:
        return found
    best = strongest(fast, group)
    assert best is not None
    reference = reference_of(best, group)
    return [best] if reference is None or reference is best else [best, reference]


def claimants(group: Sequence[Record]) -> list[Record]:
    """Return the claimants of a group, at each preset the variant that changes the fewest settings, each served best.

    Of very many that change as few, those that rank best.
    """
    found = [record for record in group if record.claims]
    presets = dict.fromkeys(record.case.settings.get("preset") for record in found)
    alike = [[record for record in found if record.case.settings.get("preset") == preset] for preset in presets]
    least = [min(len(record.case.settings) for record in several) for several in alike]
    chosen = [
        record
        for several, fewest in zip(alike, least, strict=True)
        for record in several
        if len(record.case.settings) == fewest
    ]
    best = sorted(served_best(chosen), key=lambda record: -(metric(record, "NDCG@10") or 0.0))[:MOST_CLAIMANTS]
    kept = set(map(id, best))
    return [record for record in chosen if id(record) in kept]


def recall_gain(fast: Record, slow: Record) -> float | None:
    """Return the relative change of Recall@10 from `slow` to `fast`, in percent.

    None when either has no quality, or was not trained to its end: that would be a straw man.
    """
    if not (to_the_end(fast) and to_the_end(slow)):
        return None
    before, after = metric(slow, "HR@10"), metric(fast, "HR@10")
    return None if before is None or after is None or before == 0 else 100 * (after / before - 1)


def recall_change(one: ClaimComparison) -> str:
    """Write the change of Recall@10, in percent, or why it is not told; n/a without quality."""
    if one.recall_change is not None:
        return f"{one.recall_change:+.1f} %"
    measured_both = metric(one.fast, "HR@10") is not None and metric(one.slow, "HR@10") is not None
    return (not_compared(one.fast, one.slow) if measured_both else "") or "n/a"


def percent_saved(ratio: Ratio) -> str:
    """Write the time saved with its interval, in percent."""
    return with_interval(*ratio.saved_percent, " %")


def times(ratio: Ratio) -> str:
    """Write a ratio with its interval."""
    return with_interval(ratio.value, ratio.low, ratio.high, " times")


def distrust(records: Sequence[Record], served: Sequence[Record] = ()) -> list[str]:
    """List what weakens the numbers, the gravest first.

    Args:
        records: Cases that one client asked.
        served: Cases that were asked as services.

    """
    found = _other_lists(records)
    everything = [*records, *served]
    if any(record.provenance.dataset.get("synthetic") for record in everything):
        found.append("Synthetic data: orderings of quality need not hold on real data.")
    found += _tied(records)
    if any(record.case.weights is WeightsKind.UNTRAINED for record in everything):
        found.append("Untrained weights: their lists mean nothing; times and operations are those of the architecture.")
    if len({machine_name(record) for record in everything}) > 1:
        found.append("Several machines: times of different ones are shown side by side, and are not compared.")
    if len({record.provenance.started for record in records}) > len(groups(records)):
        found.append("Several runs: ratios between them miss how the machine changed from one to the other.")
    found += _weak_baselines(measured(records))
    found += _cut_short(records)
    found += _load(records)
    found += _late_clients(served)
    if any(record.provenance.dirty for record in everything):
        found.append("The code was changed after its last commit; the commit alone does not give these numbers again.")
    found += [f"{caption(record)}: {label}." for record in served for label in record.labels]
    for record in records:
        found += [f"{caption(record)}: {label}." for label in record.labels]
        found += [f"{one.title}: {one.caution}." for one in further_measures(record).values() if one.caution]
    found += _few_rounds(measured(records))
    return list(dict.fromkeys([*found, *_doubted(records)]))


def _late_clients(served: Sequence[Record]) -> list[str]:
    """Name the services whose client did not keep to its schedule where it mattered."""
    late = [caption(record) for record in served if record.load is not None and record.load.main.invalid]
    said = "the client was late at the rate that is told of, so the figure is too low: measure on an idle machine"
    return [f"Not valid under load: {listed(list(dict.fromkeys(late)))}; {said}."] if late else []


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
    decoders: dict[str, list[Case]] = {}
    for record in records:
        if record.case.decoder is not None:
            decoders.setdefault(record.case.recommender, []).append(record.case)
    return [
        f"Of {name} only the decoder that the papers run was measured, which is not the fastest: "
        "what is saved against it is saved in part by writing the search well."
        for name, found in decoders.items()
        if all(case.is_reference for case in found)
    ]


def _cut_short(records: Sequence[Record]) -> list[str]:
    """Name the recommenders that more training would have made better, and those of which nobody knows."""
    known: dict[str, list[str]] = {}
    for record in records:
        if not to_the_end(record):
            known.setdefault(how_trained(record), []).append(
                f"{record.case.recommender} on {record.case.dataset_variant}"
            )
    said = {
        Ending.CUT_SHORT.value: "Cut short, more training would rank better",
        UNTOLD: "Trained to the end or not, nobody knows",
    }
    return [f"{said[verdict]}: {listed(list(dict.fromkeys(names)))}." for verdict, names in known.items()]


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
        few = [
            f"{label} ({latency_of(record).rounds})"
            for label, record in zip(labels, records, strict=True)
            if least <= latency_of(record).rounds < most
        ]
        if few:
            lines.append(f"Fewer than {most} rounds, so {meaning}: {'; '.join(few)}.")
    return lines


def _doubted(records: Sequence[Record]) -> list[str]:
    """List what weakens single cases, each doubt once with all cases that it touches."""
    cases: dict[str, list[str]] = {}
    for label, record in zip(case_labels(records), records, strict=True):
        for doubt in _doubts(record) if is_measured(record) else []:
            cases.setdefault(doubt, []).append(label)
    return [f"{doubt}: {_listed(labels, len(records))}." for doubt, labels in cases.items()]


def _listed(labels: Sequence[str], every: int) -> str:
    return "all cases" if len(labels) == every > 1 else "; ".join(dict.fromkeys(labels))


def _doubts(record: Record) -> list[str]:
    found = []
    seen = record.conditions
    if seen is not None and seen.unstable:
        found.append(f"Unstable, {seen.unstable}")
    if isinstance(record.audit, ListAudit) and record.audit.ties:
        ties, users = record.audit.ties, record.audit.users
        found.append(f"{ties} of {users} timed lists order near-equal scores differently")
    if isinstance(record.audit, ListAudit) and record.audit.different:
        found.append(
            f"{record.audit.different} of {record.audit.users} timed lists differ from evaluated ones, as rounding to "
            f"{record.case.dtype} does to beams: the quality is about that of what was timed"
        )
    overhead = record.overhead
    if isinstance(overhead, Overhead) and overhead.low > overhead.allowed_s:
        cost, allowed = overhead.seconds * 1e6, overhead.allowed_s * 1e6
        found.append(f"Timing adds {cost:.0f} µs to a call, more than the {allowed:.0f} µs that it may")
    quality = record.quality
    if isinstance(quality, Quality) and quality.valid_rate < 1:
        found.append(f"{1 - quality.valid_rate:.2%} of the list places hold no item")
    if isinstance(quality, Quality) and quality.unreachable:
        share = quality.unreachable / quality.users
        found.append(f"{share:.1%} of the targets are in the user's own history, which is removed: nothing finds them")
    flops = record.flops
    if isinstance(flops, Flops):
        if isinstance(flops.fvcore_per_user, Unavailable):
            found.append(f"No second opinion on FLOPs, {flops.fvcore_per_user.unavailable}")
        found += _disagreements(flops)
    return found


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


def unmeasured(records: Sequence[Record]) -> list[str]:
    """List quantities that are n/a, with the reasons; of reasons that differ in numbers alone, the first."""
    found: dict[str, tuple[str, list[str]]] = {}
    for record in measured(records):
        values = {words: getattr(record, name) for name, words in UNMEASURED.items()}
        values["memory of the process"] = getattr(record.memory, "process_bytes", None)
        for words, value in values.items():
            if isinstance(value, Unavailable):
                reason = f"{words}: {value.unavailable}"
                found.setdefault(re.sub(r"\d+(\.\d+)?", "0", reason), (reason, []))[1].append(caption(record))
    return [f"{reason} ({'; '.join(dict.fromkeys(names))})" for reason, names in found.values()]
