"""How much sooner each decoder is done than the reference beside it, and whether that is as much as it should be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.table import Table

from bench.records.decoders import FULL_VOCAB
from bench.records.phases import place_of, seconds_by_kind
from bench.records.record import Record
from bench.statistics.latency import Ratio, latency_ratio
from bench.suites.cases import Planned


@dataclass(frozen=True)
class Speedup:
    """A decoder beside the first of its group: the reference, where that is measured.

    Attributes:
        part: Title of the suite's part.
        slow: The first.
        fast: The other one.
        ratio: How many times as long the first takes.
        goal: What the ratio is to reach; None where nothing is asked.

    """

    part: str
    slow: Record
    fast: Record
    ratio: Ratio
    goal: float | None

    @property
    def missed(self) -> bool:
        """Whether there is a goal that was not reached."""
        return self.goal is not None and self.ratio.value < self.goal


def speedups(group: Sequence[Planned], records: Mapping[str, Record]) -> list[Speedup]:
    """Compare the decoders of a group of cases with the first of the same recommender and beam width.

    Args:
        group: Cases that were timed side by side.
        records: By name, as far as measured.

    """
    first: dict[str, Planned] = {}
    results = []
    for planned in group:
        if not planned.part or planned.case.decoder is None:
            continue
        base = first.setdefault(_in_common(planned), planned)
        slow, fast = records.get(base.case.name), records.get(planned.case.name)
        if base is planned or slow is None or fast is None or slow.latency is None or fast.latency is None:
            continue
        goal = (
            planned.goal
            if base.case.is_reference and planned.case.is_exact and planned.case.dtype == base.case.dtype
            else None
        )
        results.append(Speedup(planned.part, slow, fast, latency_ratio(slow.latency, fast.latency), goal))
    return results


def _in_common(planned: Planned) -> str:
    return planned.case.model_dump_json(exclude={"decoder", "search", "scores", "dtype"})


def _decoder(record: Record) -> str:
    case = record.case
    unusual = [str(case.scores) if case.scores != FULL_VOCAB else "", case.dtype if case.dtype != "float32" else ""]
    return ", ".join([str(case.decoder), *filter(None, unusual)])


def speedup_table(results: Sequence[Speedup]) -> Table:
    """Lay speedups out, one row each."""
    table = Table(title="decoders timed in turns [95 % interval]", title_justify="left", box=None)
    for name in ("part", "beam", "batch", "slow", "fast"):
        table.add_column(name, overflow="fold")
    for name in ("slow ms", "fast ms", "slow / fast", "goal", ""):
        table.add_column(name, justify="right", no_wrap=True)
    for speedup in results:
        case, ratio = speedup.fast.case, speedup.ratio
        reached = "" if speedup.goal is None else "missed" if speedup.missed else "reached"
        times = [
            f"{record.latency.p50_s * 1e3:.3g}" for record in (speedup.slow, speedup.fast) if record.latency is not None
        ]
        table.add_row(
            speedup.part,
            str(case.beam_width),
            str(case.batch_size),
            _decoder(speedup.slow),
            _decoder(speedup.fast),
            *times,
            f"{ratio.value:.2f} [{ratio.low:.2f}, {ratio.high:.2f}]",
            "" if speedup.goal is None else f"{speedup.goal:g}",
            reached,
        )
    return table


def where_time_goes(results: Sequence[Speedup]) -> Table | None:
    """Lay out, for each missed goal, the milliseconds of both sides by kind of step; None where none is missed."""
    missed = [result for result in results if result.missed]
    if not missed:
        return None
    sides = [
        (result, record)
        for result in missed
        for record in (result.slow, result.fast)
        if isinstance(record.phases, list)
    ]
    times = [seconds_by_kind(record) for _, record in sides]
    kinds = sorted({kind for row in times for kind in row}, key=place_of)
    table = Table(
        title="where goals were missed: ms of one profiled request by kind of step", title_justify="left", box=None
    )
    for name in ("part", "batch", "decoder"):
        table.add_column(name, overflow="fold")
    for kind in kinds:
        table.add_column(kind, justify="right", no_wrap=True)
    for (speedup, record), row in zip(sides, times, strict=True):
        cells = [f"{row[kind] * 1e3:.3g}" if kind in row else "" for kind in kinds]
        table.add_row(speedup.part, str(record.case.batch_size), _decoder(record), *cells)
    return table
