"""Whether each beam search that one pass is held against is a fair baseline: in time, and in quality."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pandas as pd

from bench.records.case import WeightsKind
from bench.records.learning import Ending
from bench.records.record import Record
from bench.records.studies import Evaluation
from bench.report.reading.facets import in_common, short_dataset
from bench.report.reading.labels import NONE, NOT_AVAILABLE, listed, significant
from bench.report.reading.ladder import ladders
from bench.report.reading.naming import Told, dataset_name, named
from bench.report.reading.ratios import measured
from bench.report.reading.trained import UNTOLD, how_trained
from bench.report.studies.leaks import worth
from bench.report.studies.published import nearest, ratio_to
from bench.report.studies.variants import Variant

LEAD = (
    "In time a baseline is fair where a faster search that makes the same lists was timed, too, not the papers' own "
    "alone. In quality it is fair where it was trained to its end, by item IDs that do not give the answer away."
)

RANDOM = "random"
VERDICTS = {
    Ending.CUT_SHORT.value: ("no", "training was cut short"),
    UNTOLD: ("nobody knows", "no learning curve was kept"),
    RANDOM: ("nothing can be said", "its weights are random"),
    Ending.FINISHED.value: ("yes", "trained to the end"),
}
"""What each verdict on a training says of quality, and why, the worst first."""


def fairness(
    records: Sequence[Record], evaluations: Sequence[Evaluation], evaluated: Sequence[Variant]
) -> pd.DataFrame:
    """Return what speaks for and against each beam search that one pass is held against, one row a recommender.

    Args:
        records: What was timed, or failed.
        evaluations: What was evaluated.
        evaluated: The same by variants.

    Returns:
        Texts; no rows where no case makes its lists in one pass, or none by beams.

    """
    timed = measured(records)
    searched = [record for record in timed if record.case.search is not None and record.case.search.has_beams]
    if not any(record.case.search is None for record in timed):
        return pd.DataFrame()
    sound: list[Told] = [record for record in searched if not record.labels]
    sound += [evaluation for evaluation in evaluations if not evaluation.labels]
    rows = []
    for name in dict.fromkeys(record.case.recommender for record in searched):
        own = [record for record in searched if record.case.recommender == name]
        rows.append(
            {
                "baseline": named(own[0]).name,
                "in time?": _search_verdict(own),
                "in quality?": _training_verdict([told for told in sound if told.case.recommender == name]),
                "the papers' search takes": _times_as_long(own),
                "our quality over the published": _published(name, evaluations),
                "leaky item IDs are worth": _leak(name, evaluated),
            }
        )
    return pd.DataFrame(rows, dtype=object)


def _search_verdict(own: Sequence[Record]) -> str:
    faster = [record for record in own if record.case.is_exact and not record.case.is_reference]
    return "yes: a faster search was timed" if faster else "no: the papers' search alone was timed"


def _times_as_long(own: Sequence[Record]) -> str:
    """Say how many times as long the papers' search takes as the fastest that makes its lists."""
    best = [
        max((rung.to_reference.value for rung in rungs if rung.to_reference and rung.record.case.is_exact), default=0.0)
        for rungs in ladders(own)
    ]
    return _span((factor for factor in best if factor), " times as long") or NOT_AVAILABLE


def _training_verdict(several: Sequence[Told]) -> str:
    """Say where a recommender was trained to its end, the worst verdict of each dataset and the worst first."""
    datasets = list(dict.fromkeys(map(dataset_name, several)))
    verdicts: dict[str, list[str]] = {}
    for dataset in datasets:
        here = [told for told in several if dataset_name(told) == dataset]
        told = {RANDOM if one.case.weights is WeightsKind.UNTRAINED else how_trained(one) for one in here}
        worst = next((verdict for verdict in VERDICTS if verdict in told), NONE)
        verdicts.setdefault(worst, []).append(dataset.removesuffix(in_common(datasets)))
    said = []
    for verdict, (text, why) in VERDICTS.items():
        places = verdicts.get(verdict, [])
        where = "" if len(places) == len(datasets) else f" on {listed(places)}"
        said += [f"{text}{where}: {why}"] * bool(places)
    return "; ".join(said) or NONE


def _published(name: str, evaluations: Sequence[Evaluation]) -> str:
    pairs = [(row, ours) for row, ours in nearest(evaluations) if ours.case.recommender == name and not row.misprint]
    ratios = [ratio for row, ours in pairs if (ratio := ratio_to(row, ours)) is not None]
    return _span(ratios, " times") or NOT_AVAILABLE


def _leak(name: str, evaluated: Sequence[Variant]) -> str:
    """Say which share of its NDCG@10 leaky numbers explain, where they do for sure."""
    shares = [(variant.dataset, share) for variant, share in worth(evaluated) if variant.shown.case.recommender == name]
    sure = [f"{100 * share.value:.0f} % of its NDCG@10 on {short_dataset(on)}" for on, share in shares if share.low > 0]
    return listed(sure) or ("nothing for sure" if shares else NOT_AVAILABLE)


def _span(values: Iterable[float], unit: str) -> str:
    """Write the least and the greatest of some values; nothing of none."""
    ordered = sorted(values)
    if not ordered:
        return ""
    ends = [significant(value, 2) for value in (ordered[0], ordered[-1])]
    return f"{' to '.join(dict.fromkeys(ends))}{unit}"
