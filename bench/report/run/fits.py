"""What the page needs to answer, without a server, which case fits a budget: numbers, and axes to draw them on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib import pyplot as plt
from matplotlib.colors import to_hex

from bench.records.learning import Ending
from bench.records.record import Quality, Record
from bench.report.drawing.canvas import STYLE, WIDTH_IN, log_milliseconds, looks_of, rendered
from bench.report.reading.labels import caption, case_labels, dataset_name, groups, is_known, machine_name
from bench.report.reading.ratios import latency_of, measured, metric
from bench.report.reading.trained import how_trained
from bench.report.run.front import QUALITY, peak_bytes
from bench.report.run.load import hours_within, load_of, services
from bench.report.run.money import hours

FEW_ROUNDS = 50
"""Fewer say nothing of a tail."""

MOST_SETTINGS = 24
"""Settings that get axes of their own; in others the answer is a table."""

POINTS_PER_INCH = 72


def choices(records: Sequence[Record], served: Sequence[Record] = ()) -> dict[str, Any]:
    """Return what the page chooses from: settings, each with its axes, and the cases measured in them.

    A setting is all that cases must share to be chosen between, the batch aside. Times are in milliseconds, memory in
    MiB; what was not measured is None.

    Args:
        records: Cases that one client asked.
        served: Cases that were asked as services; each has a ``curve``, its times by the offered rate.

    """
    shown = measured(records)
    looks = looks_of([*shown, *measured(served)]) if shown or served else {}
    settings: dict[str, list[Record]] = {}
    for record in shown:
        settings.setdefault(_setting(record), []).append(record)
    drawn: list[dict[str, Any]] = [{"name": name, "axes": None} for name in settings]
    for row, group in zip(drawn[:MOST_SETTINGS], settings.values(), strict=False):
        ranked = [record for record in group if metric(record, QUALITY) is not None]
        row["axes"] = _axes(ranked) if ranked else None
    cases = []
    for place, group in enumerate(settings.values()):
        names = _names(group)
        cases += [_case(record, names[id(record)], place, to_hex(looks[caption(record)][0])) for record in group]
    for name, group in services(served).items():
        drawn.append({"name": f"{name}, as services", "axes": None})
        for record, label in zip(group, case_labels(group), strict=True):
            cases.append(_service(record, label, len(drawn) - 1, to_hex(looks[caption(record)][0])))
    return {"settings": drawn, "cases": cases, "quality": QUALITY}


def _setting(record: Record) -> str:
    case, items = record.case, record.provenance.dataset.get("items")
    size = f" ({items:,} items)" if isinstance(items, int) else ""
    words = [f"{dataset_name(record)}{size}", machine_name(record), case.device, case.dtype]
    words += [f"{case.threads} thread{'s' if case.threads > 1 else ''}", f"top {case.k}"]
    return ", ".join([*words, *([] if case.seen == "remove" else [f"seen items: {case.seen}"])])


def _names(group: Sequence[Record]) -> dict[int, str]:
    """Name the cases of one setting, by identity; those of one batch are told apart."""
    found: dict[int, str] = {}
    for batch in {record.case.batch_size for record in group}:
        alike = [record for record in group if record.case.batch_size == batch]
        found |= dict(zip(map(id, alike), case_labels(alike), strict=True))
    return found


def _notes(record: Record) -> list[str]:
    """Return what weakens a case without barring it from being chosen."""
    found = []
    if record.conditions is not None and record.conditions.unstable:
        found.append("unstable")
    if latency_of(record).rounds < FEW_ROUNDS:
        found.append(f"{latency_of(record).rounds} rounds")
    if how_trained(record) == Ending.CUT_SHORT.value:
        found.append("training cut short")
    return found


def _case(record: Record, name: str, setting: int, colour: str) -> dict[str, Any]:
    latency, held = latency_of(record), peak_bytes(record)
    found = record.quality.metrics.get(QUALITY) if isinstance(record.quality, Quality) else None
    known = found is not None and is_known(found)
    times = {"p50": latency.p50_s, "p95": latency.p95_s, "p99": latency.p99_s}
    return {
        "setting": setting,
        "batch": record.case.batch_size,
        "name": name,
        "colour": colour,
        "quality": [found.value, found.low, found.high] if known and found is not None else None,
        **{name: None if seconds is None else 1e3 * seconds for name, seconds in times.items()},
        "memory": None if held is None else held / 2**20,
        "device": machine_name(record),
        "hours": hours(record),
        "cautions": list(record.labels),
        "notes": _notes(record),
    }


def _service(record: Record, name: str, setting: int, colour: str) -> dict[str, Any]:
    """Return a service as a case whose times hang on the rate; those at which too much arrived are left out."""
    carried = [trial for trial in load_of(record).trials if trial.rate is not None and not trial.saturated]
    times = [[trial.latency.p50_s, trial.latency.p95_s, trial.latency.p99_s] for trial in carried]
    milliseconds = [[None if seconds is None else 1e3 * seconds for seconds in one] for one in times]
    curve = [[trial.rate, *one] for trial, one in zip(carried, milliseconds, strict=True)]
    whole = _case(record, name, setting, colour)
    late = ["the client was late"] if load_of(record).main.invalid else []
    return whole | {"curve": curve, "memory": None, "hours": hours_within(record), "notes": [*whole["notes"], *late]}


def _axes(records: Sequence[Record]) -> dict[str, Any]:
    """Draw empty axes that hold all cases, and say where on them a time and a quality lie, in the SVG's units."""
    latencies = [latency_of(record) for record in records]
    times = [1e3 * time for one in latencies for time in (one.p50_s, one.p95_s, one.p99_s) if time is not None]
    best = max(record.quality.metrics[QUALITY].high for record in records if isinstance(record.quality, Quality))
    with plt.style.context([STYLE]):
        figure, axis = plt.subplots(figsize=(WIDTH_IN, 3.6))
        axis.set_xlim(min(times) / 1.3, max(times) * 1.3)
        axis.set_ylim(0, 1.08 * best if best > 0 else 1)
        log_milliseconds(axis)
        axis.set_xlabel("latency of a request, ms")
        axis.set_ylabel(QUALITY)
        svg = rendered(figure, "svg").decode()  # lays the figure out; where things are is known after
        (left, bottom), (right, top) = axis.transAxes.transform([(0, 0), (1, 1)]) * (POINTS_PER_INCH / figure.dpi)
        height = figure.get_figheight() * POINTS_PER_INCH
        plt.close(figure)
    ends = {"x": [left, right], "y": [height - bottom, height - top]}
    places = {name: [round(float(end), 3) for end in pair] for name, pair in ends.items()}
    limits = {"ms": [float(end) for end in axis.get_xlim()], "quality": [float(end) for end in axis.get_ylim()]}
    return {"svg": svg[svg.index("<svg") :], **places, **limits}


def several(records: Sequence[Record], served: Sequence[Record] = ()) -> bool:
    """Tell whether there is anything to choose between."""
    found = [*groups(measured(records)).values(), *services(served).values()]
    return any(len(group) > 1 for group in found)
