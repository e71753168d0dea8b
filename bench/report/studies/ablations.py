"""What each part of a recommender gives and costs: its variations held against one base."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from bench.records.learning import Ending
from bench.records.quality import Quality
from bench.records.record import Record, Weights
from bench.records.studies import Ablation, Evaluation
from bench.report.reading.joining import TEST, same_weights
from bench.report.reading.labels import (
    NONE,
    NOT_AVAILABLE,
    Quantity,
    machine_name,
    metric_of,
    milliseconds,
    with_interval,
)
from bench.report.reading.naming import Names, Told, dataset_name
from bench.report.reading.ratios import latency_of, measured, ratio_of
from bench.report.reading.trained import how_trained
from bench.report.studies.quality import training_of
from bench.report.studies.variants import Variant
from bench.statistics.intervals import Interval
from bench.statistics.latency import Ratio
from bench.statistics.quality import relative_change

ENDED = (NONE, Ending.FINISHED.value)
"""Verdicts on a training that let its quality be held against another's."""


@dataclass(frozen=True)
class Variation:
    """One row of an ablation.

    Attributes:
        name: What it is called.
        quality: Quality of the evaluation, or where there is none, of what was timed; None where there is neither.
        change: Change of NDCG@10 against the base's; None for the base itself, and where it cannot be told.
        record: What was timed at the base's smallest batch; None where nothing was.
        ratio: Its latency over the base's; None as `change`.
        weights: None where nothing is known of the variation.
        labels: Cautions.
        trained: Whether more training would have helped.
        comparable: Whether a change of quality is one of the variation: neither was cut short, and another recommender
            was trained to its end, as was the base; else the change is one of training.
        recommender: What recommends.

    """

    name: str
    quality: Quality | None
    change: Interval | None
    record: Record | None
    ratio: Ratio | None
    weights: Weights | None
    labels: tuple[str, ...]
    trained: str = NONE
    comparable: bool = True
    recommender: str = ""


@dataclass(frozen=True)
class AblationPart:
    """One part that was varied, on one dataset.

    Attributes:
        title: What is varied.
        dataset: Its name.
        base: What the others are held against.
        others: In the suite's order.

    """

    title: str
    dataset: str
    base: Variation
    others: tuple[Variation, ...]


def parts(ablations: Sequence[Ablation], evaluated: Sequence[Variant], records: Sequence[Record]) -> list[AblationPart]:
    """Fill in what was evaluated and timed of each ablation.

    Args:
        ablations: Which variants belong together.
        evaluated: What was evaluated.
        records: What was timed.

    """
    return [_part(ablation, evaluated, records) for ablation in ablations]


def _part(ablation: Ablation, evaluated: Sequence[Variant], records: Sequence[Record]) -> AblationPart:
    here = [variant for variant in evaluated if _is_on(variant, ablation.dataset)]
    timed = [record for record in measured(records) if record.case.dataset_variant == ablation.dataset]
    told: list[Told] = [*(variant.shown for variant in here), *timed]
    wanted = set(ablation.weights.values())
    own = [seed for variant in here for seed in variant.seeds if not wanted or seed.weights.sha256 in wanted]
    names = Names([*own, *timed])
    base = _variation(ablation.base, None, own, timed, names)
    others = tuple(_variation(name, base, own, timed, names) for name in ablation.others)
    return AblationPart(ablation.title, dataset_name(told[0]) if told else ablation.dataset, base, others)


def _is_on(variant: Variant, dataset: str) -> bool:
    return variant.shown.case.dataset_variant == dataset and variant.shown.quality.split == TEST


def _variation(
    name: str, base: Variation | None, evaluations: Sequence[Evaluation], timed: Sequence[Record], names: Names
) -> Variation:
    preset = None if base is None or base.weights is None else base.weights.settings.get("preset")
    shown = [seed for seed in evaluations if seed.case.variant == name]
    shown = sorted(shown, key=lambda seed: seed.weights.settings.get("preset") != preset)  # the base's before all
    evaluation = shown[0] if shown else None
    own = [record for record in timed if record.case.variant == name]
    if evaluation is not None:
        own = [record for record in own if same_weights(record, evaluation)]
    record = _beside(own, None if base is None else base.record)
    source = evaluation or record
    quality = source.quality if source is not None and isinstance(source.quality, Quality) else None
    change = ratio = None
    if base is not None and base.quality is not None and quality is not None:
        change = relative_change(quality, base.quality)
    if base is not None and base.record is not None and record is not None:
        ratio = ratio_of(record, base.record)
    if source is None:
        return Variation(name, quality, change, record, ratio, None, ())
    both = base is None or base.trained in ENDED
    other = base is not None and base.recommender != source.case.recommender
    cut = Ending.CUT_SHORT.value in (how_trained(source), "" if base is None else base.trained)
    comparable = not cut and (not other or (both and how_trained(source) in ENDED))
    return Variation(
        names.caption(source),
        quality,
        change,
        record,
        ratio,
        source.weights,
        tuple(source.labels),
        how_trained(source),
        comparable,
        source.case.recommender,
    )


def _beside(own: Sequence[Record], base: Record | None) -> Record | None:
    """Return the case of the smallest batch, or the one that was timed as the base was, in its run before others."""
    if base is None:
        return min(own, key=lambda record: record.case.batch_size, default=None)
    alike = [record for record in own if _setting(record) == _setting(base)]
    return min(alike, key=lambda record: record.provenance.started != base.provenance.started, default=None)


def _setting(record: Record) -> tuple[object, ...]:
    case = record.case
    return case.batch_size, case.device, case.dtype, case.threads, case.k, case.seen, machine_name(record)


def table(part: AblationPart) -> pd.DataFrame:
    """Return one row a variation, the base first."""
    frame = pd.DataFrame(
        [_cells(variation, is_base=variation is part.base) for variation in (part.base, *part.others)], dtype=object
    )
    return frame.drop(columns=[name for name in ("cautions",) if (frame[name] == NONE).all()])


def _cells(variation: Variation, *, is_base: bool) -> dict[str, str]:
    change, ratio, record = variation.change, variation.ratio, variation.record
    empty = "base" if is_base else NOT_AVAILABLE
    quality = {} if variation.quality is None else variation.quality.metrics
    time = None
    if record is not None:
        seconds = latency_of(record).p50_s
        time = Quantity(f"{milliseconds(seconds)} (batch {record.case.batch_size})", seconds)
    return {
        "recommender": variation.name,
        "NDCG@10": metric_of(quality, "NDCG@10"),
        "change of NDCG@10": _change(variation) if change is not None else empty if quality else NOT_AVAILABLE,
        "p50": time or NOT_AVAILABLE,
        "p50 over the base's": with_interval(ratio.value, ratio.low, ratio.high)
        if ratio is not None
        else empty
        if time
        else NOT_AVAILABLE,
        "trained to the end": variation.trained,
        "training": NOT_AVAILABLE if variation.weights is None else training_of(variation.weights),
        "cautions": "; ".join(variation.labels) or NONE,
    }


def _change(variation: Variation) -> str:
    """Write a change of quality, or why it is none of the variation."""
    if not variation.comparable:
        return f"not told: training {variation.trained}"
    return NOT_AVAILABLE if variation.change is None else percent(variation.change)


def percent(change: Interval) -> str:
    """Write a relative change with its interval, in percent."""
    value, low, high = (100 * share for share in (change.value, change.low, change.high))
    return Quantity(f"{value:+z.1f} % [{low:+z.1f}, {high:+z.1f}]", value)
