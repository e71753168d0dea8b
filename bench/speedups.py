"""How much sooner each decoder is done than the reference beside it, and whether that is as much as it should be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.table import Table

from bench.cases import Planned
from bench.results.compare import Ratio, latency_ratio
from bench.results.decoders import REFERENCE
from bench.results.record import FULL_VOCAB, Record

HELD_TO_GOALS = "exact"


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


def speedups(group: Sequence[Planned], records: Mapping[str, Record]) -> list[Speedup]:
    """Compare the decoders of a group of cases with the first of the same recommender and beam width.

    Args:
        group: Cases that were timed side by side.
        records: By name, as far as measured.

    """
    first: dict[str, Planned] = {}
    found = []
    for one in group:
        if not one.part or one.case.decoder is None:
            continue
        base = first.setdefault(_in_common(one), one)
        slow, fast = records.get(base.case.name), records.get(one.case.name)
        if base is one or slow is None or fast is None or slow.latency is None or fast.latency is None:
            continue
        held = base.case.decoder == REFERENCE and one.case.decoder == HELD_TO_GOALS and one.case.scores == FULL_VOCAB
        found.append(
            Speedup(one.part, slow, fast, latency_ratio(slow.latency, fast.latency), one.goal if held else None)
        )
    return found


def _in_common(planned: Planned) -> str:
    return planned.case.model_dump_json(exclude={"decoder", "scores"})


def _decoder(record: Record) -> str:
    case = record.case
    return f"{case.decoder}{'' if case.scores == FULL_VOCAB else f', {case.scores}'}"


def speedup_table(found: Sequence[Speedup]) -> Table:
    """Lay speedups out, one row each."""
    table = Table(title="decoders timed in turns [95 % interval]", title_justify="left", box=None)
    for name in ("part", "dtype", "beam", "batch", "slow", "fast"):
        table.add_column(name, overflow="fold")
    for name in ("slow ms", "fast ms", "slow / fast", "goal", ""):
        table.add_column(name, justify="right", no_wrap=True)
    for one in found:
        case, ratio = one.fast.case, one.ratio
        reached = "" if one.goal is None else "reached" if ratio.value >= one.goal else "missed"
        times = [f"{record.latency.p50_s * 1e3:.3g}" for record in (one.slow, one.fast) if record.latency is not None]
        table.add_row(
            one.part,
            case.dtype,
            str(case.beam_width),
            str(case.batch_size),
            _decoder(one.slow),
            _decoder(one.fast),
            *times,
            f"{ratio.value:.2f} [{ratio.low:.2f}, {ratio.high:.2f}]",
            "" if one.goal is None else f"{one.goal:g}",
            reached,
        )
    return table
