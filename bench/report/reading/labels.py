"""How cases and numbers are called in tables and figures."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Self

from bench.records.case import Case
from bench.records.decoders import FULL_VOCAB
from bench.records.quality import Metric
from bench.records.record import Provenance, Record
from bench.report.reading.naming import Told, captions, dataset_name, preset_name

_MIB = 2**20
_GIGA = 1e9

NOT_AVAILABLE = "n/a"
NONE = "none"
METRIC_PLACES = 4
"""Decimal places of HR and NDCG, as the field prints them."""


def case_labels(records: Sequence[Told], without: Collection[str] = ()) -> list[str]:
    """Name each case by its recommender and by whatever differs between the cases.

    Args:
        records: The cases.
        without: What is not said even where it differs, such as ``batch``.

    """
    fields = {
        "dataset": dataset_name,
        "preset": preset_name,
        "device": lambda record: record.case.device,
        "dtype": lambda record: record.case.dtype,
        "batch": lambda record: f"batch {record.case.batch_size}",
        "k": lambda record: f"top {record.case.k}",
        "seen": lambda record: f"seen items: {record.case.seen}",
        "threads": lambda record: f"{record.case.threads} threads",
        "machine": machine_name,
        "seed": lambda record: f"seed {record.case.settings.get('seed', 0)}",
    }
    read_by = [read for name, read in fields.items() if name not in without]
    telling = [read for read in read_by if len({read(record) for record in records}) > 1]
    names = [
        ", ".join([name, *(said for read in telling if (said := read(record)))])
        for name, record in zip(captions(records), records, strict=True)
    ]
    if len(set(names)) == len(names):
        return names
    return [f"{name}, {record.provenance.started}" for name, record in zip(names, records, strict=True)]


def decoder_name(record: Record) -> str:
    """Name the decoder with what makes its lists others: renormalised scores, a dtype that rounds."""
    case = record.case
    unusual = [case.scores or "" if case.scores != FULL_VOCAB else "", case.dtype if case.dtype != "float32" else ""]
    return ", ".join([str(case.decoder), *(word for word in unusual if word)])


def one_pass_ways(case: Case) -> list[str]:
    """Name how a one-pass case is served, as far as that is not the usual way."""
    return [*([case.ranker] if case.ranker else []), *(["compiled"] if case.compiled else [])]


def machine_name(record: Told) -> str:
    """Name what a case ran on: the GPU, or the processor with its number of cores."""
    return machine_of(record.provenance, record.case.device)


def machine_of(source: Provenance, device: str) -> str:
    """Name a device of a machine, as `machine_name`."""
    facts = source.machine
    if device.startswith("cuda"):
        return str(facts.get("GPU") or "unknown GPU")
    return f"{facts.get('processor') or 'unknown processor'} ({facts.get('cores')} cores)"


def group_name(record: Record) -> str:
    """Name what a case is compared within: dataset, device, dtype, batch size and length of lists."""
    return ", ".join(_group_facts(record))


def _group_facts(record: Record) -> list[str]:
    case = record.case
    data = dataset_name(record) + (" data" if record.provenance.dataset.get("synthetic") else "")
    seen = [] if case.seen == "remove" else [f"seen items: {case.seen}"]
    return [data, case.device, case.dtype, f"batch {case.batch_size}", f"top {case.k}", *seen]


def groups(records: Sequence[Record]) -> dict[str, list[Record]]:
    """Return the records by group, in order; cases of different machines never share one."""
    several = len({machine_name(record) for record in records}) > 1
    by_group: dict[str, list[Record]] = {}
    for record in records:
        name = f"{group_name(record)}, {machine_name(record)}" if several else group_name(record)
        by_group.setdefault(name, []).append(record)
    return by_group


def short_names(grouped: Mapping[str, Sequence[Record]]) -> dict[str, str]:
    """Name each group, by its name, in short: the dataset, and what not all groups have in common."""
    facts = {name: [*_group_facts(group[0]), machine_name(group[0])] for name, group in grouped.items()}
    common = set.intersection(*map(set, facts.values())) if facts else set()
    return {
        name: ", ".join([data, *(fact for fact in others if fact not in common)])
        for name, (data, *others) in facts.items()
    }


class Quantity(str):
    """A number as readers see it, unit included, which knows its value, so that tables can be sorted by it.

    Attributes:
        value: In the base unit: seconds, bytes, operations; a share of 1.

    """

    __slots__ = ("value",)
    value: float

    def __new__(cls, text: str, value: float) -> Self:
        """Write `value` as `text`."""
        made = super().__new__(cls, text)
        made.value = value
        return made


def listed(words: Sequence[str]) -> str:
    """Join names as a sentence does: ``a, b and c``."""
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)


def significant(value: float, digits: int = 3) -> str:
    """Write a number with so many significant digits, without an exponent."""
    if not math.isfinite(value):
        return NOT_AVAILABLE
    if value == 0:
        return "0"
    rounded = float(f"{value:.{digits - 1}e}")
    places = digits - 1 - math.floor(math.log10(abs(rounded)))
    return f"{rounded:,.{max(places, 0)}f}"


def places_for(low: float, high: float) -> int | None:
    """Return how many decimal places an interval supports: those of two significant digits of half its width.

    None where it has no width to tell from. (As the Particle Data Group rounds: what lies below the second digit of an
    uncertainty says nothing.)
    """
    half = (high - low) / 2
    if not (math.isfinite(half) and half > 0):
        return None
    return 1 - math.floor(math.log10(float(f"{half:.1e}")))


def with_interval(value: float, low: float, high: float, unit: str = "") -> Quantity | str:
    """Write a number with its 95 % interval, and no more digits than that supports."""
    if not math.isfinite(value):
        return NOT_AVAILABLE
    places = places_for(low, high)
    if places is None or value == 0:
        shown = [significant(amount) for amount in (value, low, high)]
    else:
        places = min(places, 2 - math.floor(math.log10(abs(value))))  # nor more than three digits
        shown = [f"{round(amount, places) + 0.0:,.{max(places, 0)}f}" for amount in (value, low, high)]
    return Quantity(f"{shown[0]}{unit} [{shown[1]}, {shown[2]}]", value)


def is_known(metric: Metric) -> bool:
    """Tell whether a metric and both ends of its interval are numbers."""
    return all(map(math.isfinite, (metric.value, metric.low, metric.high)))


def metric_of(metrics: Mapping[str, Metric], name: str) -> Quantity | str:
    """Write a metric with its interval, to four decimal places at most."""
    metric = metrics.get(name)
    if metric is None or not is_known(metric):
        return NOT_AVAILABLE
    supported = places_for(metric.low, metric.high)
    places = METRIC_PLACES if supported is None else min(max(supported, 1), METRIC_PLACES)
    text = f"{metric.value:.{places}f} [{metric.low:.{places}f}, {metric.high:.{places}f}]"
    return Quantity(text, metric.value)


def milliseconds(seconds: float) -> Quantity:
    """Write a time in milliseconds."""
    return Quantity(f"{significant(seconds * 1e3)} ms", seconds)


def mebibytes(count: float) -> Quantity:
    """Write an amount of memory in MiB."""
    return Quantity(f"{significant(count / _MIB)} MiB", count)


def operations(count: float) -> Quantity:
    """Write a number of floating-point operations, in GFLOP everywhere, so that any two can be compared at sight."""
    return Quantity(f"{significant(count / _GIGA)} GFLOP", count)


def share(value: float) -> Quantity:
    """Write a share in percent."""
    return Quantity(f"{value:.1%}", value)


def number(value: float, digits: int = 3) -> Quantity:
    """Write a number without a unit."""
    return Quantity(significant(value, digits), value)


def whole(value: int) -> Quantity:
    """Write a count."""
    return Quantity(f"{value:,}", value)
