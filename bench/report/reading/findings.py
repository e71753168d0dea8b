"""What the records say of the paper's claim, and what could not be measured."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from bench.records.model import Unavailable
from bench.records.record import Record
from bench.report.reading.labels import groups, with_interval
from bench.report.reading.ladder import reference_of, sizes_match, strongest
from bench.report.reading.naming import caption
from bench.report.reading.rankers import served_best
from bench.report.reading.ratios import measured, metric, ratio_of
from bench.report.reading.trained import not_compared, to_the_end
from bench.statistics.latency import Ratio

CLAIM = (
    "arXiv 2402.09543 reports for ML-1M 97.28 % less inference time (first version) or 99.48 % less (published "
    "version) and 46.8 % more Recall@10, which is HR@10 where each user has one target, than its best baseline. What "
    "it says of hardware, batch size and the "
    "baseline's decoder could not be read, so the rows below are a comparison on this machine, not a reproduction."
)

MOST_CLAIMANTS, MOST_RIVALS = 4, 20
"""Cases of one group on either side of the claim."""

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


@dataclass(frozen=True)
class ClaimComparison:
    """A claimant against a generative case of the same group and preset.

    Attributes:
        group: What both have in common.
        fast: The one-pass case.
        slow: The generative case.
        ratio: Latency of `slow` over `fast`.
        recall_change: Relative change of HR@10 from `slow` to `fast`, in
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
    rivals = [record for record in group if record.case.decoder is not None and sizes_match(fast, record)]
    if len(rivals) <= MOST_RIVALS:
        return rivals
    best = strongest(fast, group)
    assert best is not None
    reference = reference_of(best, group)
    return [best] if reference is None or reference is best else [best, reference]


def claimants(group: Sequence[Record]) -> list[Record]:
    """Return the claimants of a group, at each preset the variant that changes the fewest settings, each served best.

    Of very many that change as few, those that rank best.
    """
    claiming = [record for record in group if record.claims]
    presets = dict.fromkeys(record.case.settings.get("preset") for record in claiming)
    alike = [[record for record in claiming if record.case.settings.get("preset") == preset] for preset in presets]
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
    """Return the relative change of HR@10 from `slow` to `fast`, in percent.

    None when either has no quality, or was not trained to its end: that would be a straw man.
    """
    if not (to_the_end(fast) and to_the_end(slow)):
        return None
    before, after = metric(slow, "HR@10"), metric(fast, "HR@10")
    return None if before is None or after is None or before == 0 else 100 * (after / before - 1)


def recall_change(comparison: ClaimComparison) -> str:
    """Write the change of HR@10, in percent, or why it is not told; n/a without quality."""
    if comparison.recall_change is not None:
        return f"{comparison.recall_change:+.1f} %"
    measured_both = metric(comparison.fast, "HR@10") is not None and metric(comparison.slow, "HR@10") is not None
    return (not_compared(comparison.fast, comparison.slow) if measured_both else "") or "n/a"


def percent_saved(ratio: Ratio) -> str:
    """Write the time saved with its interval, in percent; where time is lost, how many times as long it takes."""
    if ratio.value < 1:
        return f"none, {with_interval(1 / ratio.value, 1 / ratio.high, 1 / ratio.low, ' times')} as long"
    return with_interval(*ratio.saved_percent, " %")


def times(ratio: Ratio) -> str:
    """Write a ratio with its interval."""
    return with_interval(ratio.value, ratio.low, ratio.high, " times")


def unmeasured(records: Sequence[Record]) -> list[str]:
    """List quantities that are n/a, with the reasons; of reasons that differ in numbers alone, the first."""
    reasons: dict[str, tuple[str, list[str]]] = {}
    for record in measured(records):
        values = {words: getattr(record, name) for name, words in UNMEASURED.items()}
        values["memory of the process"] = getattr(record.memory, "process_bytes", None)
        for words, value in values.items():
            if isinstance(value, Unavailable):
                reason = f"{words}: {value.unavailable}"
                reasons.setdefault(re.sub(r"\d+(\.\d+)?", "0", reason), (reason, []))[1].append(caption(record))
    return [f"{reason} ({'; '.join(dict.fromkeys(names))})" for reason, names in reasons.values()]
