"""How far datasets can be solved without training, and what recommenders make of the newest items alone."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from bench.records.studies import ShortcutProbe
from bench.report.reading.labels import NOT_AVAILABLE, Quantity, metric_of
from bench.report.reading.naming import generated

SHOWN = "NDCG@10"


def structures(probes: Sequence[ShortcutProbe]) -> pd.DataFrame:
    """Return what of each dataset invites shortcuts, one row a dataset."""
    return pd.DataFrame(
        [
            {
                "data": generated(probe.dataset, probe.provenance),
                "items that follow an item": Quantity(f"{probe.branching:.1f}", probe.branching),
                "targets that follow the last item": _share(probe.follows),
                "of its brand": _share(probe.same_brand),
                "of its category": _share(probe.same_category),
                "cosine of words": _number(probe.smoothness),
                "by chance": _number(probe.by_chance),
                "users": Quantity(f"{probe.users:,}", probe.users),
            }
            for probe in probes
        ]
    )


def limited(probes: Sequence[ShortcutProbe]) -> pd.DataFrame:
    """Return how well recommenders rank by the newest items alone, one row a dataset and recommender."""
    rows: dict[tuple[str, str], dict[str, object]] = {}
    counts = sorted({entry.last for probe in probes for entry in probe.limited if entry.last is not None})
    for probe in probes:
        data = generated(probe.dataset, probe.provenance)
        for ranking in probe.limited:
            name = ranking.label or ranking.recommender
            row = rows.setdefault((data, ranking.recommender), {"data": data, "recommender": name})
            row[_column(ranking.last)] = metric_of(ranking.metrics, SHOWN)
    columns = ["data", "recommender", *map(_column, [*counts, None])]
    return pd.DataFrame(list(rows.values()), columns=columns if rows else None).fillna(NOT_AVAILABLE)


def _column(last: int | None) -> str:
    return f"{SHOWN}, all items" if last is None else f"last {last}"


def _share(value: float | None) -> str:
    return NOT_AVAILABLE if value is None else Quantity(f"{value:.1%}", value)


def _number(value: float | None) -> str:
    return NOT_AVAILABLE if value is None else Quantity(f"{value:.3f}", value)
