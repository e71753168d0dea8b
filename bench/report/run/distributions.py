"""How the latencies of one case are distributed: percentiles as a table, and as cumulative curves."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from bench.records.cost import Latency
from bench.records.record import Record
from bench.report.drawing.canvas import legend, log_milliseconds, panels_of, two_lines
from bench.report.reading.facets import chosen_labels
from bench.report.reading.labels import (
    NOT_AVAILABLE,
    Quantity,
    case_labels,
    groups,
    milliseconds,
    number,
    whole,
    with_interval,
)
from bench.report.reading.naming import caption
from bench.report.reading.ratios import latency_of, measured
from bench.statistics.latency import latency_median

STYLES: tuple[Any, ...] = ("-", "--", ":", "-.")
"""With ten colours, forty curves differ in one or the other."""

QUANTILES = np.linspace(0, 1, 101)
MEDIAN = 0.5
ROUNDS_BEYOND = 5
"""What a percentile takes, as in the record."""


def latencies(records: Sequence[Record]) -> pd.DataFrame:
    """Return one row a measured case: percentiles, the host's part, and how they were taken."""
    shown = measured(records)
    labels = dict(zip(map(id, records), chosen_labels(records), strict=True))
    frame = pd.DataFrame([{"case": labels[id(record)]} | _cells(record) for record in shown], dtype=object)
    return frame.drop(columns=[name for name in frame.columns if (frame[name] == NOT_AVAILABLE).all()])


def _cells(record: Record) -> dict[str, str]:
    latency, seen = record.latency, record.conditions
    assert latency is not None
    return {
        "p50": median_of(latency),
        "p90": _time(latency.p90_s),
        "p95": _time(latency.p95_s),
        "p99": _time(latency.p99_s),
        "device": _time(latency.device_s),
        "host overhead": _time(latency.host_overhead_s),
        "users/s": number(latency.users_per_second),
        "rounds": whole(latency.rounds),
        "warm-up": NOT_AVAILABLE if latency.warmup_rounds is None else whole(latency.warmup_rounds),
        "turns repeated": NOT_AVAILABLE if seen is None else whole(seen.repeated_turns),
        "unstable": NOT_AVAILABLE if seen is None else seen.unstable or "no",
    }


def median_of(latency: Latency) -> Quantity | str:
    """Write a median with its interval from a bootstrap over turns, in milliseconds."""
    median = latency_median(latency)
    return with_interval(1e3 * median.value_s, 1e3 * median.low_s, 1e3 * median.high_s, " ms")


def _time(seconds: object) -> Quantity | str:
    return milliseconds(seconds) if isinstance(seconds, float) else NOT_AVAILABLE


def draw_distributions(records: Sequence[Record]) -> Figure:
    """Draw the share of requests that were answered by then, one panel a group of cases that took turns."""
    grouped = groups(records)
    figure, panels = panels_of(list(grouped), 3.0)
    names = list(dict.fromkeys(caption(record) for record in records))
    palette = sns.color_palette("colorblind")
    styles = [style for style in STYLES for _ in palette]
    looks = dict(zip(names, zip(cycle(palette), cycle(styles), strict=False), strict=False))
    for name, axis in panels.items():
        axis.set_title(two_lines(name))
        for record in grouped[name]:
            colour, style = looks[caption(record)]
            samples = np.quantile(latency_of(record).samples_s, QUANTILES) * 1e3
            axis.plot(samples, QUANTILES, linestyle=style, color=colour, linewidth=1.3)
        log_milliseconds(axis)
        axis.yaxis.set_major_formatter(PercentFormatter(1.0))
        axis.set_ylim(0, 1)
        axis.set_xlabel("latency of a request, ms")
        axis.set_ylabel("share of requests")
    legend(figure, [Line2D([], [], color=colour, linestyle=style) for colour, style in looks.values()], names)
    return figure


def quantiles(records: Sequence[Record]) -> pd.DataFrame:
    """Return the data behind curves and dots: each case's percentiles, in seconds."""
    frames = []
    for label, record in zip(case_labels(records), records, strict=True):
        samples = latency_of(record).samples_s
        shares = QUANTILES[_supported(len(samples))]
        frames.append(pd.DataFrame({"case": label, "share": shares, "latency_s": np.quantile(samples, shares)}))
    return pd.concat(frames, ignore_index=True)


def _supported(rounds: int) -> NDArray[np.bool_]:
    """Tell which of the quantiles have five rounds beyond them; the median is given of any number."""
    beyond = np.minimum(QUANTILES, 1 - QUANTILES) * rounds
    supported: NDArray[np.bool_] = (beyond >= ROUNDS_BEYOND - 1e-9) | (QUANTILES == MEDIAN)
    return supported


def describe_distributions(records: Sequence[Record]) -> str:
    """Say in words how far the tails reach beyond the medians."""
    told = []
    for label, record in zip(case_labels(records), records, strict=True):
        latency = latency_of(record)
        tail = "too few rounds" if latency.p95_s is None else f"{latency.p95_s / latency.p50_s:.2f}"
        told.append(f"{label}: {tail}")
    return f"The 95th percentile over the median. {'; '.join(told)}."
