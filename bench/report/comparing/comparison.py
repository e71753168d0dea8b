"""Two results files held against each other: verdicts on latency and quality, and what weakens them."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from bench.records.case import Outcome
from bench.records.cost import Latency
from bench.records.quality import Quality
from bench.records.record import Record
from bench.report.comparing.matching import Change, case_key, holdings, match, one_each
from bench.report.comparing.sources import machine_key
from bench.statistics.between_runs import OneRunEach, RunSide, Spread, mean_between_runs, ratio_between_runs, spread
from bench.statistics.intervals import Estimated, Interval, weighted_sum
from bench.statistics.latency import Ratio, latency_median
from bench.statistics.quality import quality_difference, relative_change
from models.errors import UserError

NDCG = "NDCG@10"

MARGIN = 0.05
"""Share by which two latencies, or two qualities, may differ and still count as the same."""


VERDICT_TURNS = 8
"""Turns that a case must have been timed in for a verdict."""


class ChangeVerdict(StrEnum):
    """How a latency compares with the one it is held against, which was taken in another run."""

    FASTER = "FASTER"
    """The whole interval lies beyond the margin."""
    SLOWER = "SLOWER"
    """The same, the other way."""
    SAME = "SAME"
    """The whole interval lies within the margin."""
    UNCLEAR = "UNCLEAR"
    """None of these, or fewer than `VERDICT_TURNS` turns were timed."""
    ONE_RUN_EACH = "UNCLEAR (one run each)"
    """Nothing tells how far equal runs lie apart: there is a ratio, and no interval."""
    OTHER_DATA = "OTHER DATA"
    """The two ran on other data: there is a ratio, and nothing to judge."""
    NOT_MEASURED = "NOT MEASURED"
    """One of the two has no times."""


class QualityVerdict(StrEnum):
    """How NDCG@10 compares with the base's."""

    BETTER = "BETTER"
    """The whole interval lies above 0, and not within the margin."""
    WORSE = "WORSE"
    """The same below 0."""
    SAME = "SAME"
    """The whole interval lies within the margin, as a share of the base."""
    UNCLEAR = "UNCLEAR"
    """None of these."""
    NOT_COMPARED = "n/a"
    """One of the two has no quality, or they ranked other data."""


@dataclass(frozen=True)
class QualityChange:
    """How much NDCG@10 differs, other less base.

    Attributes:
        difference: With its 95 % interval.
        relative: The same as a share of the base; None unless it could be taken user by user.
        paired: Whether users were compared one by one.
        verdict: What it comes to.

    """

    difference: Interval
    relative: Interval | None
    paired: bool
    verdict: QualityVerdict


@dataclass(frozen=True)
class Judged:
    """One case in two files.

    Attributes:
        base: What it is held against.
        other: What is judged.
        ratio: Median latency of `other` over that of `base`; None where one has no times.
        verdict: What it comes to.
        quality: None where NDCG@10 cannot be compared.

    """

    base: Record
    other: Record
    ratio: Ratio | OneRunEach | None
    verdict: ChangeVerdict
    quality: QualityChange | None

    @property
    def quality_verdict(self) -> QualityVerdict:
        """What the quality comes to, in one word."""
        return QualityVerdict.NOT_COMPARED if self.quality is None else self.quality.verdict


@dataclass(frozen=True)
class Group:
    """Pairs of cases that differ in the same fields, or in none.

    Attributes:
        changes: In what they differ.
        rows: In the base's order.

    """

    changes: tuple[Change, ...]
    rows: tuple[Judged, ...]

    @property
    def mean(self) -> Ratio | None:
        """Geometric mean of the ratios; None where one has no interval, or nothing was timed on both sides."""
        ratios = [row.ratio for row in self.rows if row.ratio is not None]
        numeric = [ratio for ratio in ratios if isinstance(ratio, Ratio)]
        return mean_between_runs(numeric) if numeric and len(numeric) == len(ratios) else None


@dataclass(frozen=True)
class Comparison:
    """A file held against the base.

    Attributes:
        groups: The pairs, by what differs.
        only_base: Cases that the other file lacks.
        only_other: Cases that the base lacks.
        repeated: Records left out because their file holds the case once more.

    """

    groups: tuple[Group, ...]
    only_base: tuple[Record, ...]
    only_other: tuple[Record, ...]
    repeated: int

    @property
    def rows(self) -> list[Judged]:
        """All pairs."""
        return [row for group in self.groups for row in group.rows]


def compare(
    base: Sequence[Record], other: Sequence[Record], *, margin: float = MARGIN, past: Sequence[Record] = ()
) -> Comparison:
    """Hold the records of one file against those of another.

    Args:
        base: What is held against.
        other: What is judged.
        margin: Share by which values may differ and still be the same.
        past: Records of other runs, which tell how far equal runs lie apart.

    Raises:
        UserError: The two have no case in common, nor cases that differ in one thing only.

    """
    first, second = one_each(base), one_each(other)
    matchings = match(first, second)
    if not matchings:
        raise UserError(f"no case in common: the base holds {holdings(first)}, the other {holdings(second)}")
    history = Past([*past, *first, *second])
    groups = tuple(
        Group(matching.changes, tuple(_judged(before, after, margin, history) for before, after in matching.pairs))
        for matching in matchings
    )
    paired = {case_key(record.case) for group in groups for row in group.rows for record in (row.base, row.other)}
    return Comparison(
        groups=groups,
        only_base=tuple(record for record in first if case_key(record.case) not in paired),
        only_other=tuple(record for record in second if case_key(record.case) not in paired),
        repeated=len(base) + len(other) - len(first) - len(second),
    )


def _judged(base: Record, other: Record, margin: float, past: Past) -> Judged:
    ratio = run_ratio(other, base, past)
    return Judged(base, other, ratio, verdict(ratio, other, base, margin=margin), quality_change(other, base, margin))


class Past:
    """How far equal runs lie apart, by machine and case.

    Args:
        records: Records of all known runs, the compared ones included; one that is there twice counts once.

    """

    def __init__(self, records: Iterable[Record]) -> None:
        self._medians: dict[Hashable, dict[Hashable, dict[Hashable, float]]] = {}
        for record in records:
            latency = timed(record)
            if latency is not None:
                of_kind = self._medians.setdefault(_kind(record), {})
                of_kind.setdefault(_code(record), {})[_run(record)] = latency.p50_s

    def spread_of(self, record: Record, compared: Sequence[Record]) -> Spread | None:
        """Return how far runs like a record's lie apart.

        Where some code was run more than once, that tells. Else what was run of other code does, but for the runs that
        are compared: changes of the code then count as spread, which makes intervals too wide, and never too narrow.

        Args:
            record: Record of the machine and case.
            compared: The two records that are compared.

        Returns:
            None where there is nothing to tell it by.

        """
        groups = self._medians.get(_kind(record), {})
        same_code = spread({code: list(runs.values()) for code, runs in groups.items()})
        if same_code is not None:
            return same_code
        judged = {_run(side) for side in compared}
        others = [median for runs in groups.values() for run, median in runs.items() if run not in judged]
        return spread({"all": others}) if others else None


def _kind(record: Record) -> Hashable:
    return machine_key(record), case_key(record.case)


def _code(record: Record) -> Hashable:
    source = record.provenance
    return source.commit, source.dirty, tuple(sorted(source.software.items()))


def _run(record: Record) -> Hashable:
    latency = record.latency
    return record.provenance.started, latency and (latency.p50_s, latency.mean_s)


def timed(record: Record) -> Latency | None:
    """Return a record's latency; None where it has none, and of a service whose rate was searched and so is another."""
    searched = record.load is not None and record.load.peak is not None
    return record.latency if record.outcome is Outcome.OK and not searched else None


def run_ratio(other: Record, base: Record, past: Past) -> Ratio | OneRunEach | None:
    """Return how many times as long `other` takes as `base`, which another run measured; None without times."""
    above, below = timed(other), timed(base)
    if above is None or below is None:
        return None
    pair = (other, base)
    sides = zip((above, below), (past.spread_of(record, pair) for record in pair), strict=True)
    return ratio_between_runs(*(RunSide(latency_median(latency), between_runs) for latency, between_runs in sides))


def few_turns(record: Record) -> bool:
    """Tell whether a case was timed in too few turns for a verdict."""
    latency = timed(record)
    return latency is not None and len(set(latency.turns)) < VERDICT_TURNS


def verdict(ratio: Ratio | OneRunEach | None, other: Record, base: Record, *, margin: float) -> ChangeVerdict:
    """Give a verdict on two latencies of different runs.

    Args:
        ratio: How many times as long `other` takes as `base`.
        other: What is judged.
        base: What it is held against.
        margin: Share by which times may differ and still be the same.

    """
    if ratio is None:
        return ChangeVerdict.NOT_MEASURED
    if not same_data(other, base):
        return ChangeVerdict.OTHER_DATA
    if isinstance(ratio, OneRunEach):
        return ChangeVerdict.ONE_RUN_EACH
    return ChangeVerdict.UNCLEAR if few_turns(other) or few_turns(base) else _by_interval(ratio, margin)


def _by_interval(ratio: Ratio, margin: float) -> ChangeVerdict:
    if 1 / (1 + margin) < ratio.low and ratio.high < 1 + margin:
        return ChangeVerdict.SAME
    if ratio.low > 1 + margin:
        return ChangeVerdict.SLOWER
    return ChangeVerdict.FASTER if ratio.high < 1 / (1 + margin) else ChangeVerdict.UNCLEAR


def quality_change(other: Record, base: Record, margin: float) -> QualityChange | None:
    """Compare NDCG@10, user by user where both records tell where each user's target stands.

    Otherwise as if the users were others: that is too wide an interval where they are the same. Means and intervals
    that are equal to the last digit are of the same lists.

    Args:
        other: What is judged.
        base: What it is held against.
        margin: Share of the base's value by which the two may differ and still be the same.

    Returns:
        None where one has no quality, where the two ranked other data or other targets, or both found nothing.

    """
    above, below = other.quality, base.quality
    if not (isinstance(above, Quality) and isinstance(below, Quality)) or not same_data(other, base):
        return None
    first, second = above.metrics.get(NDCG), below.metrics.get(NDCG)
    if first is None or second is None or above.split != below.split or not (_finite(first) and _finite(second)):
        return None
    paired = quality_difference(above, below)
    equal = Interval(0.0, 0.0, 0.0) if first == second and above.users == below.users else None
    difference = paired or equal or weighted_sum([first, second], [1, -1])
    change = relative_change(above, below)
    return QualityChange(
        difference=Interval(difference.value, difference.low, difference.high),
        relative=None if paired is None or change is None else Interval(change.value, change.low, change.high),
        paired=paired is not None,
        verdict=_quality_verdict(difference, margin * second.value),
    )


def _finite(metric: Estimated) -> bool:
    return all(math.isfinite(value) for value in (metric.value, metric.low, metric.high))


def _quality_verdict(difference: Estimated, within: float) -> QualityVerdict:
    if difference.low == difference.high == 0 or (-within < difference.low and difference.high < within):
        return QualityVerdict.SAME
    if difference.low > 0:
        return QualityVerdict.BETTER
    return QualityVerdict.WORSE if difference.high < 0 else QualityVerdict.UNCLEAR


def same_data(other: Record, base: Record) -> bool:
    """Tell whether two records ranked the same data: one name, and one checksum where both tell it."""
    sums = {record.provenance.dataset.get("checksum") for record in (other, base)} - {None}
    return other.case.dataset_variant == base.case.dataset_variant and len(sums) < 2  # noqa: PLR2004 - two of them differ
