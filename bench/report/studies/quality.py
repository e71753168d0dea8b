"""What was evaluated as tables: quality beside cost, and how far seeds spread."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from bench.records.cost import Flops, Memory
from bench.records.record import Record, Weights
from bench.records.studies import Evaluation
from bench.report.reading.joining import timed_for
from bench.report.reading.labels import (
    NONE,
    NOT_AVAILABLE,
    Quantity,
    machine_name,
    mebibytes,
    metric_of,
    milliseconds,
    operations,
    significant,
    whole,
)
from bench.report.reading.naming import Told
from bench.report.reading.ratios import latency_of, measured
from bench.report.reading.trained import how_trained, not_compared
from bench.report.studies.variants import Standing, Variant
from bench.statistics.quality import Difference

SHOWN = tuple(f"{name}@{cutoff}" for cutoff in (5, 10, 20) for name in ("HR", "NDCG"))
SPREAD = ("HR@10", "NDCG@10")

ALPHA = 0.05
"""Corrected p-values below this are marked."""

SMALLEST, LARGEST = "p50, smallest batch", "p50, largest batch"
COSTS = (SMALLEST, LARGEST, "FLOPs/user", "peak memory")


def beside_cost(places: Sequence[Standing], records: Sequence[Record]) -> pd.DataFrame:
    """Return one row a variant of one dataset, best first: quality with intervals, and what was timed of it.

    Args:
        places: In the order of quality.
        records: What was timed.

    """
    below = [*(place.variant.name for place in places[1:]), ""]
    rows = [_row(place, name, records) for place, name in zip(places, below, strict=True)]
    frame = pd.DataFrame(rows, dtype=object)
    unsaid = {LARGEST: NOT_AVAILABLE, "seed": "0", "cautions": NONE}
    unsaid |= {} if records else dict.fromkeys(COSTS, NOT_AVAILABLE)
    return frame.drop(columns=[name for name, usual in unsaid.items() if (frame[name] == usual).all()])


def _row(place: Standing, below: str, records: Sequence[Record]) -> dict[str, str]:
    evaluation = place.variant.shown
    return {
        "recommender": place.variant.name,
        **{name: metric_of(evaluation.quality.metrics, name) for name in SHOWN},
        "NDCG@10 over the next": _over(place.to_next, below),
        "p": p_value(place.p_value),
        **_costs(evaluation, records),
        "training": training_of(evaluation.weights),
        "trained to the end": how_trained(evaluation),
        "parameters": whole(evaluation.weights.parameters),
        "users": whole(evaluation.quality.users),
        "seed": _seeds(place.variant),
        "cautions": "; ".join(evaluation.labels) or NONE,
    }


def _over(difference: Difference | None, other: str) -> str:
    """Write a difference with the variant that it is to: rows may be sorted."""
    text = difference_of(difference)
    return text if difference is None else Quantity(f"{text}, {other}", difference.value)


def difference_of(difference: Difference | None) -> str:
    """Write a difference of NDCG@10 with its interval."""
    if difference is None:
        return NOT_AVAILABLE
    text = f"{difference.value:+.4f} [{difference.low:+.4f}, {difference.high:+.4f}]"
    return Quantity(text, difference.value)


def p_value(value: float | None) -> str:
    """Write a corrected p-value, with an asterisk where it tells two variants apart."""
    if value is None:
        return NOT_AVAILABLE
    text = "< 0.001" if value < 0.001 else f"{value:.3f}"  # noqa: PLR2004 - what three places can show
    return Quantity(f"{text} *" if value < ALPHA else text, value)


def training_of(weights: Weights) -> str:
    """Write how long weights were trained, in minutes."""
    seconds = weights.training.get("seconds")
    if isinstance(seconds, (int, float)):
        return Quantity(f"{significant(seconds / 60)} min", seconds)
    return NOT_AVAILABLE if weights.training else NONE


def _seeds(variant: Variant) -> str:
    return f"{variant.shown.seed} of {len(variant.seeds)}" if len(variant.seeds) > 1 else str(variant.shown.seed)


def _costs(evaluation: Evaluation, records: Sequence[Record]) -> dict[str, str]:
    """Return what was timed of an evaluation's weights and lists, setting by setting where there are several."""
    several = len({_setting(record) for record in measured(records)}) > 1
    settings: dict[str, list[Record]] = {}
    for record in timed_for(evaluation, records):
        settings.setdefault(_setting(record), []).append(record)
    cells: dict[str, list[Quantity]] = {name: [] for name in COSTS}
    for setting, timed in settings.items():
        by_batch = sorted(timed, key=lambda record: record.case.batch_size)
        smallest, largest = by_batch[0], by_batch[-1]
        suffix = f" ({setting})" if several else ""
        decoder = smallest.case.decoder if smallest.case.decoder != evaluation.case.decoder else ""
        shown = [(SMALLEST, smallest)]
        shown += [(LARGEST, largest)] if largest.case.batch_size > smallest.case.batch_size else []
        for name, record in shown:
            said = f"batch {record.case.batch_size}" + (f", {decoder}" if decoder else "")
            seconds = latency_of(record).p50_s
            cells[name].append(Quantity(f"{milliseconds(seconds)} ({said}){suffix}", seconds))
        if isinstance(smallest.flops, Flops):
            count = smallest.flops.per_user
            cells["FLOPs/user"].append(Quantity(operations(count) + suffix, count))
        if isinstance(largest.memory, Memory):
            held = largest.memory.peak_bytes
            cells["peak memory"].append(Quantity(mebibytes(held) + suffix, held))
    return {
        name: Quantity("; ".join(quantities), quantities[0].value) if quantities else NOT_AVAILABLE
        for name, quantities in cells.items()
    }


def _setting(record: Told) -> str:
    threads = record.case.threads
    return f"{machine_name(record)}, {threads} thread{'s' if threads > 1 else ''}"


def over_seeds(evaluated: Sequence[Variant]) -> pd.DataFrame:
    """Return how quality spreads over the seeds of each variant that has several, of those that ranked most users."""
    rows = []
    for variant in evaluated:
        most = max(evaluation.quality.users for evaluation in variant.seeds)
        complete = [evaluation for evaluation in variant.seeds if evaluation.quality.users == most]
        if len(complete) > 1:
            numbers = ", ".join(str(evaluation.seed) for evaluation in complete)
            row = {"recommender": variant.name, "data": variant.dataset, "seeds": f"{len(complete)} ({numbers})"}
            rows.append(row | _spread(complete) | {"users": f"{most:,}"})
    return pd.DataFrame(rows, dtype=object)


def _spread(seeds: Sequence[Evaluation]) -> dict[str, str]:
    row = {}
    for name in SPREAD:
        metrics = [evaluation.quality.metrics.get(name) for evaluation in seeds]
        values = np.array([math.nan if metric is None else metric.value for metric in metrics])
        summary = {"mean": values.mean(), "SD": values.std(ddof=1), "min": values.min(), "max": values.max()}
        for word, value in summary.items():
            row[f"{name} {word}"] = Quantity(f"{value:.4f}", value) if math.isfinite(value) else NOT_AVAILABLE
    return row


def answer_of(places: dict[str, list[Standing]]) -> list[str]:
    """Say in a sentence a dataset which variant ranks best, and whether it is told apart from the next."""
    return [f"On {dataset}: {_best(group)}" for dataset, group in places.items()]


def _best(group: Sequence[Standing]) -> str:
    first = group[0]
    quality = metric_of(first.variant.shown.quality.metrics, "NDCG@10")
    text = f"of {len(group)} evaluated, {first.variant.name} has the best NDCG@10, {quality}"
    if first.p_value is not None:
        told = "tells" if first.p_value < ALPHA else "does not tell"
        why = not_compared(first.variant.shown, group[1].variant.shown)
        text += f"; the next is {group[1].variant.name}"
        text += f", and {why}" if why else f", {difference_of(first.to_next)} below, which {told} them apart"
    cautions = "; ".join(first.variant.shown.labels)
    return f"{text}. Caution: {cautions}." if cautions else f"{text}."
