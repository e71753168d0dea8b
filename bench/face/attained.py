"""How near the strongest of each side comes to the machine's bound, and whether that is as near as it should be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.table import Table

from bench.records.conditions import Roofline
from bench.records.cost import Latency
from bench.records.phases import place_of, seconds_by_kind
from bench.records.record import Record

ONE_PASS, BEAMS = "one pass", "beams"


@dataclass(frozen=True)
class Attained:
    """The strongest case of one side at one batch size.

    Attributes:
        side: ``one pass`` or ``beams``.
        record: The fastest case: of one pass a claimant whose ranker loses little, of beams one that keeps the lists.
        share: The machine's bound over the median latency.
        goal: What the share is to reach.

    """

    side: str
    record: Record
    share: float
    goal: float

    @property
    def missed(self) -> bool:
        """Whether the goal was not reached."""
        return self.share < self.goal


def attained(records: Sequence[Record], goals: Mapping[str, Mapping[int, float]]) -> list[Attained]:
    """Return the strongest case of each recommender, side, dataset, dtype and batch size that there is a goal for.

    With other settings a recommender does other work and has a bound of its own; one pass is held by its
    fastest claimant.

    Args:
        records: All that were measured.
        goals: Share of the bound by side and batch size.

    """
    strongest: dict[tuple[str, ...], Attained] = {}
    for record in records:
        side, case = _side(record), record.case
        goal = goals.get(side, {}).get(case.batch_size)
        bound, latency = record.roofline, record.latency
        if goal is None or not isinstance(bound, Roofline) or latency is None:
            continue
        result = Attained(side, record, bound.bound_s / latency.p50_s, goal)
        model = () if side == ONE_PASS else (case.recommender, repr(sorted(case.settings.items())))
        key = case.dataset_variant, case.dtype, str(case.batch_size), side, *model
        if key not in strongest or latency.p50_s < _latency(strongest[key].record).p50_s:
            strongest[key] = result
    return list(strongest.values())


def _side(record: Record) -> str:
    if record.case.decoder is None:
        return ONE_PASS if record.claims and record.loses_little else ""
    return BEAMS if record.case.is_exact else ""


def _latency(record: Record) -> Latency:
    assert record.latency is not None
    return record.latency


def attained_table(results: Sequence[Attained]) -> Table:
    """Lay them out, one row each."""
    table = Table(title="the strongest of each side against the machine's bound", title_justify="left", box=None)
    for name in ("side", "case", "batch"):
        table.add_column(name, overflow="fold")
    for name in ("p50 ms", "bound ms", "share", "goal", ""):
        table.add_column(name, justify="right", no_wrap=True)
    for result in results:
        seconds = _latency(result.record).p50_s
        table.add_row(
            result.side,
            result.record.case.variant,
            str(result.record.case.batch_size),
            f"{seconds * 1e3:.3g}",
            f"{result.share * seconds * 1e3:.3g}",
            f"{result.share:.1%}",
            f"{result.goal:.0%}",
            "missed" if result.missed else "reached",
        )
    return table


def profile_of_missed(results: Sequence[Attained]) -> Table | None:
    """Lay out, for each missed goal, the milliseconds of a profiled request by kind of step; None where none is."""
    shown = [result for result in results if result.missed and isinstance(result.record.phases, list)]
    if not shown:
        return None
    times = [seconds_by_kind(result.record) for result in shown]
    kinds = sorted({kind for row in times for kind in row}, key=place_of)
    table = Table(title="where the bound was missed: ms of one profiled request", title_justify="left", box=None)
    for name in ("case", "batch"):
        table.add_column(name, overflow="fold")
    for kind in kinds:
        table.add_column(kind, justify="right", no_wrap=True)
    for missed_result, row in zip(shown, times, strict=True):
        cells = [f"{row[kind] * 1e3:.3g}" if kind in row else "" for kind in kinds]
        table.add_row(missed_result.record.case.variant, str(missed_result.record.case.batch_size), *cells)
    return table
