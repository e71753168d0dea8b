"""How latency and memory grow with beam width, batch, history and catalogue, where a run has several of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from bench.records.cost import Memory
from bench.records.record import Record
from bench.report.drawing.canvas import WIDTH_IN, legend
from bench.report.drawing.palette import Look, looks
from bench.report.reading.histories import HISTORY_SETTINGS, longest
from bench.report.reading.labels import decoder_name, machine_name, one_pass_ways
from bench.report.reading.naming import base_of, named
from bench.report.reading.ratios import latency_of

MOST, MOST_LINES = 8, 12
"""Sweeps of a page, and lines of each that are drawn, fitted, and crossed with each other."""

POINTS = 3
"""Fewest values of a quantity that make a line."""


@dataclass(frozen=True)
class Sweep:
    """Cases that differ in one quantity, in lines of cases that differ in nothing else.

    Attributes:
        quantity: What differs.
        setting: What all cases have in common.
        lines: Values and records by what recommends, ascending.
        level: Records that the quantity does not touch: one-pass recommenders have no beams.

    """

    quantity: str
    setting: str
    lines: dict[str, list[tuple[float, Record]]]
    level: dict[str, Record]


def _history(record: Record) -> float | None:
    items = longest(record)
    return None if items is None else float(items)


def _catalogue(record: Record) -> float | None:
    """Return the size of a generated catalogue: real ones differ in their histories, too."""
    facts = record.provenance.dataset
    items = facts.get("items")
    return float(items) if facts.get("synthetic") and items is not None else None


QUANTITIES: dict[str, tuple[Callable[[Record], float | None], tuple[str, ...]]] = {
    "beam width": (lambda record: record.case.beam_width, ("beam_width",)),
    "batch size": (lambda record: record.case.batch_size, ("batch_size",)),
    "longest history, items": (_history, ("settings",)),
    "catalogue, items": (_catalogue, ("dataset", "loaded_with")),
}
"""How each quantity is read from a record, and the parts of a case that go with it."""


CHOSEN_BY = {"batch size": "batch", "catalogue, items": "dataset"}
"""What readers choose by that is swept."""

Samples = Callable[[Record], np.ndarray[tuple[int], np.dtype[np.float64]]]


def few(swept: Sequence[Sweep]) -> list[Sweep]:
    """Return the first sweeps, each with as many lines as can be told apart."""
    return [
        replace(
            sweep,
            lines=dict(islice(sweep.lines.items(), MOST_LINES)),
            level=dict(islice(sweep.level.items(), MOST_LINES)),
        )
        for sweep in swept[:MOST]
    ]


def sweeps(records: Sequence[Record]) -> list[Sweep]:
    """Find every quantity of which some recommender was measured at `POINTS` values or more."""
    swept = []
    for quantity, (value_of, fields) in QUANTITIES.items():
        by_setting: dict[str, dict[str, dict[float, Record]]] = {}
        for record in records:
            value = value_of(record)
            if value is not None:
                line = by_setting.setdefault(_setting(record, quantity), {}).setdefault(_line(record, fields), {})
                line[value] = record
        for setting, lines in by_setting.items():
            long = [sorted(line.items()) for line in lines.values() if len(line) >= POINTS]
            if long:
                names = _names([line[0][1] for line in long], fields)
                named = dict(zip(names, long, strict=True))
                beams = {line[0][1].case.beam_width for line in long} - {None}
                full_setting = (
                    f"{setting}, beam {beams.pop()}" if len(beams) == 1 and quantity != "beam width" else setting
                )
                swept.append(Sweep(quantity, full_setting, named, _level(records, quantity, setting)))
    return swept


def _level(records: Sequence[Record], quantity: str, setting: str) -> dict[str, Record]:
    if quantity != "beam width":
        return {}
    level = [record for record in records if record.case.decoder is None and _setting(record, quantity) == setting]
    return dict(zip(_names(level, ()), level, strict=True))


def _line(record: Record, fields: tuple[str, ...]) -> str:
    """Return what all cases of a line have in common, the settings that set the history's length aside."""
    case = record.case.model_dump(mode="json", exclude=set(fields))
    if "settings" in fields:
        case["settings"] = {key: value for key, value in record.case.settings.items() if key not in HISTORY_SETTINGS}
    return repr(sorted(case.items()))


def _setting(record: Record, quantity: str) -> str:
    """Name what all lines of a panel have in common, for readers."""
    case = record.case
    words = ["" if quantity == "catalogue, items" else case.dataset, case.device, case.dtype]
    words += ["" if quantity == "batch size" else f"batch {case.batch_size}", f"top {case.k}", machine_name(record)]
    return ", ".join(word for word in words if word)


def titles(swept: Sequence[Sweep]) -> tuple[list[str], str]:
    """Return each panel's own part of its setting, and what all panels have in common."""
    settings = [sweep.setting.split(", ") for sweep in swept]
    common = [word for word in settings[0] if all(word in words for words in settings)] if settings else []
    return [", ".join(word for word in words if word not in common) for words in settings], ", ".join(common)


def _names(records: Sequence[Record], fields: tuple[str, ...]) -> list[str]:
    """Name the lines that begin with `records`: recommender, decoder, and what else tells those of a recommender apart.

    Args:
        records: One a line, all of one panel.
        fields: What is swept.

    """
    parts = [_parts(record, fields) for record in records]
    names = []
    for words in parts:
        common = set.intersection(*(set(others) for others in parts if others[0] == words[0]))
        told = words[:HEAD] + [word for word in words[HEAD:] if word not in common]
        names.append(", ".join(word for word in told if word))
    assert len(set(names)) == len(names), "cases that differ in nothing else than what is swept are one line"
    return names


HEAD = 2
"""Parts of a name that are always said: recommender, and how it is served."""


def _parts(record: Record, fields: tuple[str, ...]) -> list[str]:
    """Return recommender and decoder, then all else that may tell two lines of a panel apart."""
    case = record.case
    swept = HISTORY_SETTINGS if "settings" in fields else ()
    served = decoder_name(record) if case.decoder else ", ".join(one_pass_ways(case))
    words, said = [base_of(record), served], named(record).said
    words += [said.get(name, f"{name} {value}") for name, value in sorted(case.settings.items()) if name not in swept]
    words += [f"beam {case.beam_width}" if case.beam_width and "beam_width" not in fields else ""]
    words += [f"{case.weights.value} weights", f"{case.threads} threads", f"seen items: {case.seen}"]
    loaded = [f"{name} {value}" for name, value in case.loaded_with.items()]
    return words + ([] if "dataset" in fields else loaded)


Over = Callable[[Axes, Sweep, Mapping[str, Look]], None]
"""Draws over one panel, given the sweep and the look of each line."""


def draw_latency(swept: Sequence[Sweep], over: Over | None = None) -> Figure:
    """Draw latency against each quantity, one panel a sweep.

    Args:
        swept: What is drawn.
        over: Draws what goes through the points, in milliseconds; without it straight lines do.

    """
    return _draw(swept, "latency of a request, ms", milliseconds_of, over)


def draw_memory(swept: Sequence[Sweep]) -> Figure:
    """Draw what a request adds to memory against each quantity, one panel a sweep."""
    return _draw(swept, "memory of a request, MiB", mebibytes_of)


def has_memory(sweep: Sweep) -> bool:
    """Tell whether some line of a sweep has `POINTS` measured memories."""
    return any(sum(mebibytes_of(record).size > 0 for _, record in line) >= POINTS for line in sweep.lines.values())


def milliseconds_of(record: Record) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return all timed rounds in milliseconds, [N]."""
    return np.array(latency_of(record).samples_s) * 1e3


def mebibytes_of(record: Record) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return what a request adds to memory in MiB, [1]; empty where it was not measured."""
    memory = record.memory
    has_bytes = isinstance(memory, Memory) and memory.request_bytes is not None and memory.request_bytes > 0
    return np.array([memory.request_bytes / 2**20] if has_bytes and isinstance(memory, Memory) else [])


def latencies(swept: Sequence[Sweep]) -> pd.DataFrame:
    """Return the data behind the figure of latency: percentiles in seconds."""
    return _data(swept, "latency_s", lambda record: np.array(latency_of(record).samples_s))


def memories(swept: Sequence[Sweep]) -> pd.DataFrame:
    """Return the data behind the figure of memory, in MiB."""
    return _data(swept, "requestmebibytes_of", mebibytes_of)


def _data(swept: Sequence[Sweep], unit: str, samples_of: Samples) -> pd.DataFrame:
    rows = []
    for sweep in swept:
        points: list[tuple[str, float | None, Record]]
        points = [(name, value, record) for name, line in sweep.lines.items() for value, record in line]
        points += [(name, None, record) for name, record in sweep.level.items()]
        for name, value, record in points:
            samples = samples_of(record)
            if samples.size:
                low, middle, high = np.percentile(samples, [5, 50, 95])
                row = {"quantity": sweep.quantity, "setting": sweep.setting, "line": name, "value": value}
                rows.append(row | {f"{unit}_p5": low, f"{unit}_p50": middle, f"{unit}_p95": high})
    return pd.DataFrame(rows)


def _draw(
    swept: Sequence[Sweep],
    unit: str,
    samples_of: Samples,
    over: Over | None = None,
) -> Figure:
    columns = min(2, len(swept))
    rows = -(-len(swept) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(WIDTH_IN, 3.0 * rows + 0.2), squeeze=False)
    by_name = looks_of_lines(swept)
    handles = {}
    own, common = titles(swept)
    figure.suptitle(common, fontsize=8, fontweight="normal")
    for axis, sweep, title in zip(axes.flat, swept, own, strict=False):
        values = sorted({value for line in sweep.lines.values() for value, _ in line})
        lines = sweep.lines | {name: [(value, record) for value in values] for name, record in sweep.level.items()}
        for name, line in lines.items():
            sampled = [(value, samples_of(record)) for value, record in line]
            points = [(value, *np.percentile(samples, [5, 50, 95])) for value, samples in sampled if samples.size]
            if not points:
                continue
            place, low, middle, high = np.array(points).T
            look = by_name[name]
            style = "--" if name in sweep.level else "-" if over is None else "none"
            (handles[name],) = axis.plot(place, middle, linestyle=style, **look.marks, markersize=5, linewidth=1.4)
            axis.fill_between(place, low, high, color=look.colour, alpha=0.15, linewidth=0)
        if over is not None:
            over(axis, sweep, by_name)
        _logarithmic(axis, values)
        axis.set_xlabel(sweep.quantity)
        axis.set_ylabel(unit)
        axis.set_title(title, fontsize=8, fontweight="normal")
    for axis in axes.flat[len(swept) :]:
        axis.set_visible(False)
    legend(figure, list(handles.values()), list(handles))
    return figure


def looks_of_lines(swept: Sequence[Sweep]) -> dict[str, Look]:
    """Give each line of these sweeps the colour of its kind and the mark of its decoder."""
    lines = [(name, line[0][1]) for sweep in swept for name, line in sweep.lines.items()]
    return looks([*lines, *(pair for sweep in swept for pair in sweep.level.items())])


def log_values(axis: Axes, values: Sequence[float]) -> None:
    """Make the horizontal axis one of these values on a log scale."""
    axis.set_xscale("log")
    axis.set_xticks(values, [f"{value:,.10g}" for value in values])
    axis.xaxis.set_minor_formatter(NullFormatter())


def _logarithmic(axis: Axes, values: Sequence[float]) -> None:
    log_values(axis, values)
    axis.set_yscale("log")
    axis.yaxis.set_major_locator(LogLocator(10, subs=(1.0, 2.0, 5.0)))
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axis.yaxis.set_minor_formatter(NullFormatter())


def describe(swept: Sequence[Sweep]) -> str:
    """Say in words what the latencies do, from the smallest to the largest value."""
    parts = []
    for sweep in swept:
        for name, line in sweep.lines.items():
            (least, first), (most, last) = line[0], line[-1]
            factor = latency_of(last).p50_s / latency_of(first).p50_s
            ends = f"at {sweep.quantity} {most:,.10g} as at {least:,.10g}"
            parts.append(f"{name} ({sweep.setting}): {factor:.2g} times as long {ends}")
    return "Median latency. " + "; ".join(parts) + "."
