"""Services of two runs side by side: the highest rate of each within its limit, and its tail there."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

import pandas as pd

from bench.records.load import Load, Trial
from bench.records.record import Record
from bench.report.comparing.comparison import Judged
from bench.report.comparing.sources import ResultSource
from bench.report.comparing.tables import change_text, pair_labels
from bench.report.reading.labels import NONE, NOT_AVAILABLE, Quantity, milliseconds, significant, with_interval


class UserVerdict(StrEnum):
    """Whether a service answers more users within its limit than before."""

    MORE = "MORE"
    FEWER = "FEWER"
    UNCLEAR = "UNCLEAR"
    """The intervals of both meet."""
    NOT_MEASURED = "NOT MEASURED"


def verdict(base: Load, other: Load) -> UserVerdict:
    """Compare the highest rates: one is greater where the whole of its interval lies above the other's."""
    before, after = base.peak, other.peak
    if before is None or after is None or before.rate is None or after.rate is None:
        return UserVerdict.NOT_MEASURED
    if base.main.invalid or other.main.invalid:
        return UserVerdict.NOT_MEASURED
    if after.low > before.high:
        return UserVerdict.MORE
    return UserVerdict.FEWER if after.high < before.low else UserVerdict.UNCLEAR


def loads(base: ResultSource, other: ResultSource, rows: Sequence[Judged]) -> pd.DataFrame:
    """Return verdict, highest rates and tails, one row a pair of services."""
    first, second = base.letter, other.letter
    table_rows = []
    for label, row in zip(pair_labels(rows), rows, strict=True):
        before, after = row.base.load, row.other.load
        if before is None or after is None:
            continue
        tails = before.main.latency.p99_s, after.main.latency.p99_s
        rates = _rate(row.base), _rate(row.other)
        table_rows.append(
            {
                "case": label,
                "verdict": verdict(before, after).value,
                f"users/s within {first}": _within(before),
                f"users/s within {second}": _within(after),
                "change of users/s": change_text(*rates),
                f"at, a second {first}": _offered(before.main),
                f"at, a second {second}": _offered(after.main),
                f"p99 {first}": NOT_AVAILABLE if tails[0] is None else milliseconds(tails[0]),
                f"p99 {second}": NOT_AVAILABLE if tails[1] is None else milliseconds(tails[1]),
            }
        )
    return pd.DataFrame(table_rows, dtype=object)


def _rate(record: Record) -> float | None:
    peak = None if record.load is None else record.load.peak
    return None if peak is None else peak.rate


def _within(load: Load) -> Quantity | str:
    if load.peak is None:
        return NOT_AVAILABLE
    peak = load.peak
    if peak.rate is None:
        return f"below {significant(peak.high)}"
    return with_interval(peak.rate, peak.low, peak.high) if peak.rate else NONE


def _offered(trial: Trial) -> str:
    return "all at once" if trial.rate is None else significant(trial.rate)
