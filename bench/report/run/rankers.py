"""The section about how one-pass recommenders are served: rankers, compiled or not."""

from __future__ import annotations

import pandas as pd

from bench.records.rankers import MOST_LOST
from bench.records.record import Record
from bench.report.drawing.section import Titled
from bench.report.reading.facets import Chosen, facets_of
from bench.report.reading.labels import NOT_AVAILABLE, Quantity, mebibytes, milliseconds, share
from bench.report.reading.naming import dataset_name, label_of
from bench.report.reading.rankers import Served, ways
from bench.report.reading.ratios import latency_of
from bench.report.reading.values import ratio_cell
from bench.report.run.chapter import Chapter, Content, Material

USUAL = "exact"
"""How a table calls what goes without saying in a case's name."""

NOTE = (
    "Ways to serve the same weights. Recall: mean share of the items of scoring every item that a list has, too; lost: "
    "share of the NDCG@10 of scoring every item. Proven: share of lists of which a bound says that they are exact. "
    f"Held against beams is the fastest that loses at most {MOST_LOST:.0%} of NDCG@10, and where quality was not "
    f"measured, of which recall is at least {1 - MOST_LOST:.0%}."
)


def _rankers(material: Material) -> Content:
    rows = [_cells(served) for several in ways(material.records) for served in several]
    return Content((Titled("", pd.DataFrame(rows, dtype=object)),), NOTE) if rows else Content()


def _cells(served: Served) -> dict[str, str]:
    record, ranked = served.record, served.record.ranked
    agreement = record.agreement
    return {
        "recommender and setting": Chosen(_setting(record), facets_of(record)),
        "served": ", ".join([record.case.ranker or USUAL, *(["compiled"] if record.case.compiled else [])]),
        "p50": milliseconds(latency_of(record).p50_s),
        "times as fast as exact": ratio_cell(served.to_usual),
        "recall": NOT_AVAILABLE if ranked is None else share(ranked.recall),
        "NDCG@10 lost": NOT_AVAILABLE
        if ranked is None or ranked.ndcg_lost is None
        else Quantity(f"{ranked.ndcg_lost:+.2%}", ranked.ndcg_lost),
        "identical lists": NOT_AVAILABLE
        if ranked is None or agreement is None
        else share(ranked.identical / max(1, agreement.users)),
        "proven": NOT_AVAILABLE if ranked is None or ranked.proven is None else share(ranked.proven),
        "built in": NOT_AVAILABLE if ranked is None else milliseconds(ranked.build_s),
        "holds": NOT_AVAILABLE if ranked is None else mebibytes(ranked.bytes),
        "built with": ranked.details if ranked is not None and ranked.details else NOT_AVAILABLE,
        "against beams": "strongest" if served.strongest else "" if served.counts else "loses too much",
    }


def _setting(record: Record) -> str:
    case = record.case
    words = [label_of(record), str(case.settings.get("preset", "")), dataset_name(record), case.device]
    words += [case.dtype, f"batch {case.batch_size}", f"top {case.k}"]
    words += [] if case.seen == "remove" else [f"seen items: {case.seen}"]
    return ", ".join(word for word in words if word)


RANKERS = Chapter(
    "rankers", "Rankers", _rankers, dropped=12, asks="what one pass saves and loses where not every item is scored"
)
"""Ways to serve one-pass recommenders."""
