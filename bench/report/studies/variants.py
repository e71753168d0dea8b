"""Evaluations by what they evaluate: one variant may have been trained with several seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from bench.records.studies import Evaluation
from bench.report.reading.joining import TEST
from bench.report.reading.labels import case_labels
from bench.report.reading.naming import dataset_name
from bench.statistics.process_pairs import holm
from bench.statistics.quality import Difference, quality_difference

SORTED_BY = "NDCG@10"

UNTOLD = ("dataset", "batch", "threads", "device", "machine")
"""What does not change lists, and the dataset, which stands above a table or in a column of its own."""


@dataclass(frozen=True)
class Variant:
    """One recommender with its settings, served in one way.

    Attributes:
        name: Within its dataset.
        dataset: Its dataset's name, and which targets were ranked where these are not the test's.
        shown: The evaluation of its first seed.
        seeds: One a seed, ascending, `shown` first.

    """

    name: str
    dataset: str
    shown: Evaluation
    seeds: tuple[Evaluation, ...]


@dataclass(frozen=True)
class Standing:
    """A variant's place among those of its dataset, best first.

    Attributes:
        variant: Which one.
        to_next: How much better it ranks than the one below; None for the last, and where users cannot be compared.
        p_value: p-value of that difference, corrected for all comparisons of the dataset (Holm 1979).

    """

    variant: Variant
    to_next: Difference | None
    p_value: float | None


def variants(evaluations: Sequence[Evaluation]) -> list[Variant]:
    """Return what was evaluated, by dataset and in the order given; of the same weights the largest evaluation counts.

    Weights of one seed that are not the same, such as those of longer training, are variants of their own.
    """
    alike: dict[str, dict[int, list[Evaluation]]] = {}
    for evaluation in evaluations:
        seeds = alike.setdefault(repr(variant_key(evaluation)), {})
        seeds[evaluation.seed] = _with(seeds.get(evaluation.seed, []), evaluation)
    by_dataset: dict[str, list[tuple[Evaluation, ...]]] = {}
    for seeds in alike.values():
        ordered = [seeds[seed] for seed in sorted(seeds)]
        several = tuple(same_seed[0] for same_seed in ordered)
        alone = [(evaluation,) for same_seed in ordered for evaluation in same_seed[1:]]
        by_dataset.setdefault(_ranked_on(several[0]), []).extend([several, *alone])
    return [
        Variant(name, dataset, group[0], group)
        for dataset, groups in by_dataset.items()
        for name, group in zip(case_labels([group[0] for group in groups], UNTOLD), groups, strict=True)
    ]


def _with(kept: list[Evaluation], evaluation: Evaluation) -> list[Evaluation]:
    """Add an evaluation, or put it in the place of one of the same weights that ranked no more users."""
    for row, other in enumerate(kept):
        if other.weights.sha256 == evaluation.weights.sha256:
            larger = evaluation.quality.users >= other.quality.users
            return [*kept[:row], evaluation if larger else other, *kept[row + 1 :]]
    return [*kept, evaluation]


def _ranked_on(evaluation: Evaluation) -> str:
    name, split = dataset_name(evaluation), evaluation.quality.split
    return name if split == TEST else f"{name}, {split}"


def variant_key(evaluation: Evaluation) -> dict[str, Any]:
    """Return what all seeds of a variant have in common."""
    case = evaluation.case.model_dump(mode="json", exclude={"batch_size", "threads", "device", "search"})
    settings = {name: value for name, value in sorted(case["settings"].items()) if name != "seed"}
    return case | {"settings": settings, "split": evaluation.quality.split}


def ranked(evaluated: Sequence[Variant]) -> dict[str, list[Standing]]:
    """Order the variants of each dataset by NDCG@10, best first, and compare each with the next."""
    datasets: dict[str, list[Variant]] = {}
    for variant in sorted(evaluated, key=lambda variant: -_value(variant)):
        datasets.setdefault(variant.dataset, []).append(variant)
    order = dict.fromkeys(variant.dataset for variant in evaluated)
    return {dataset: _places(datasets[dataset]) for dataset in order}


def _value(variant: Variant) -> float:
    metric = variant.shown.quality.metrics.get(SORTED_BY)
    return -math.inf if metric is None or math.isnan(metric.value) else metric.value


def _places(group: list[Variant]) -> list[Standing]:
    differences = [quality_difference(above.shown.quality, below.shown.quality) for above, below in pairwise(group)]
    adjusted = iter(holm([difference.p_value for difference in differences if difference is not None]))
    return [
        Standing(variant, difference, None if difference is None else next(adjusted))
        for variant, difference in zip(group, [*differences, None], strict=True)
    ]
