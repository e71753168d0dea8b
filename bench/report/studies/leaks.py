"""What leaky item numbers give away: without any model, and with one."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from bench.records.studies import Evaluation, LeakProbe
from bench.report.reading.labels import NONE, NOT_AVAILABLE, metric_of
from bench.report.reading.naming import generated
from bench.report.studies.variants import Variant, variant_key
from bench.statistics.intervals import Interval
from bench.statistics.quality import relative_change

LEAKY, REPAIRED = "sequential-leaky", "sequential"
"""Numberings that count whole sequences, test targets included, and the training part alone."""

PROBED = ("HR@1", "HR@5", "HR@10")
COMPARED = ("NDCG@10", "HR@10")


def probes(leak_probes: Sequence[LeakProbe]) -> pd.DataFrame:
    """Return what "the highest number of the history plus one" finds, one row a dataset and numbering."""
    frame = pd.DataFrame(
        [
            {
                "data": generated(probe.dataset, probe.provenance),
                "numbering": probe.numbering,
                **{name: metric_of(probe.metrics, name) for name in PROBED},
                "users": f"{probe.users:,}",
                "cautions": "; ".join(probe.labels) or NONE,
            }
            for probe in leak_probes
        ]
    )
    return frame.drop(columns=[name for name in ("cautions",) if name in frame and (frame[name] == NONE).all()])


def explained(evaluated: Sequence[Variant]) -> pd.DataFrame:
    """Return the quality of variants under leaky and under repaired numbers, and which share the leak explains.

    That is (leaky - repaired) / leaky, over the users of both.
    """
    rows = []
    for variant, leaky, other in _pairs(evaluated):
        row = {"recommender": variant.name, "data": variant.dataset}
        for name in COMPARED:
            row[f"{name}, {LEAKY}"] = metric_of(leaky.quality.metrics, name)
            row[f"{name}, {REPAIRED}"] = metric_of(other.quality.metrics, name)
            row[f"explained, {name}"] = _share(leaky, other, name)
        rows.append(row)
    return pd.DataFrame(rows, dtype=object)


def worth(evaluated: Sequence[Variant]) -> list[tuple[Variant, Interval]]:
    """Return of each variant under leaky numbers which share of its NDCG@10 the leak explains, as `explained`."""
    shares = ((variant, _explained(leaky, repaired, COMPARED[0])) for variant, leaky, repaired in _pairs(evaluated))
    return [(variant, share) for variant, share in shares if share is not None]


def _pairs(evaluated: Sequence[Variant]) -> list[tuple[Variant, Evaluation, Evaluation]]:
    """Return each variant under leaky numbers, its evaluation, and the one of its twin under repaired numbers."""
    seeds = [evaluation for variant in evaluated for evaluation in variant.seeds]
    repaired = {_key(evaluation): evaluation for evaluation in seeds if _numbering(evaluation) == REPAIRED}
    pairs = []
    for variant in evaluated:
        leaky = [seed for seed in variant.seeds if _numbering(seed) == LEAKY and _key(seed) in repaired]
        pairs += [(variant, seed, repaired[_key(seed)]) for seed in leaky[:1]]
    return pairs


def _numbering(evaluation: Evaluation) -> object:
    return evaluation.weights.settings.get("numbering", evaluation.case.settings.get("numbering"))


def _key(evaluation: Evaluation) -> str:
    key = variant_key(evaluation)
    settings = {name: value for name, value in key["settings"].items() if name != "numbering"}
    return repr(key | {"settings": settings, "seed": evaluation.seed})


def _share(leaky: Evaluation, repaired: Evaluation, name: str) -> str:
    share = _explained(leaky, repaired, name)
    if share is None:
        return NOT_AVAILABLE
    value, low, high = 100 * share.value, 100 * share.low, 100 * share.high
    return f"{value:z.1f} % [{low:z.1f}, {high:z.1f}]"


def _explained(leaky: Evaluation, repaired: Evaluation, name: str) -> Interval | None:
    change = relative_change(repaired.quality, leaky.quality, name)
    return None if change is None else Interval(-change.value, -change.high, -change.low)
