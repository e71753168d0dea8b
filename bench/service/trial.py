"""From what a client heard to what is told of a trial."""

from __future__ import annotations

import numpy as np

from bench.records.load import Percentiles, Slo, Trial
from bench.service.asked import Heard, judged_of
from bench.statistics.objectives import BEYOND, judge

LATE = 0.05
"""Share of the limit by which a client may be late, at the objective's percentile."""

FIELDS = {"p50_s": 50.0, "p95_s": 95.0, "p99_s": 99.0, "p999_s": 99.9}


def summarise(
    heard: Heard,
    slo: Slo,
    *,
    rate: float | None,
    seed: int,
    window_s: float,
    largest: int,
    joules: float | None = None,
) -> Trial:
    """Turn what a client heard into a trial.

    Args:
        heard: All requests that were sent.
        slo: What they are held to.
        rate: At which they were to be sent, a second; None where all came at once.
        seed: Seed of the arrivals.
        window_s: How long batches might wait.
        largest: Most users of a batch.
        joules: What the device drew meanwhile.

    """
    answered = ~np.isnan(heard.received)
    good = answered & (heard.ok == 1)
    overdue = ~answered & (heard.ended - heard.scheduled > slo.limit_s)
    judged, misses = judged_of(heard, slo, len(heard.scheduled), heard.ended)
    late = np.maximum(heard.sent - heard.scheduled, 0.0)
    sizes, counts = np.unique(heard.size[good], return_counts=True)
    last = float(heard.received[answered].max()) if answered.any() else heard.ended
    return Trial(
        rate=rate,
        seed=seed,
        window_ms=window_s * 1e3,
        largest_batch=largest,
        seconds=last - float(heard.scheduled[0]),
        sent=len(heard.scheduled),
        answered=int(good.sum()),
        errors=int((answered & ~good).sum()),
        cut=int((~answered & ~overdue).sum()),
        overdue=int(overdue.sum()),
        within=1 - misses / judged if judged else None,
        latency=percentiles((heard.received - heard.scheduled)[good]),
        queue=percentiles((heard.taken - heard.scheduled)[good]),
        service=percentiles((heard.received - heard.taken)[good]),
        late=percentiles(late),
        late_max_s=float(late.max()) if len(late) else None,
        batches={int(size): round(count / size) for size, count in zip(sizes, counts, strict=True)},
        verdict=judge(slo, judged, misses),
        saturated=heard.saturated,
        invalid=invalid(late, slo) if np.ptp(heard.scheduled) else "",  # all at once is no schedule to keep
        joules=joules,
    )


def percentiles(seconds: np.ndarray) -> Percentiles:
    """Return those percentiles of times that have enough samples beyond them."""
    told = {name: q for name, q in FIELDS.items() if len(seconds) * (1 - q / 100) >= BEYOND - 1e-9}
    return Percentiles(**{name: max(0.0, float(np.percentile(seconds, q))) for name, q in told.items()})


def invalid(late: np.ndarray, slo: Slo) -> str:
    """Say why a trial does not count: its client did not keep to the schedule; empty where it did."""
    if not len(late):
        return ""
    late_s = float(np.percentile(late, slo.percentile))
    if late_s <= LATE * slo.limit_s:
        return ""
    return (
        f"the client sent {late_s * 1e3:.3g} ms late at p{slo.percentile:g}, more than {LATE:.0%} of the "
        f"{slo.limit_ms:g} ms that are allowed: other work takes its core"
    )
