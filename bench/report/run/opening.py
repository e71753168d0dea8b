"""The first words of a page: the question that it answers, and the answer in three sentences at most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.records.case import WeightsKind
from bench.records.record import Record
from bench.records.studies import Studies
from bench.report.growth import crossings, laws, sweeps
from bench.report.growth.crossings import SURE, Crossing
from bench.report.reading.distrust import Doubt
from bench.report.reading.facets import ANY, short_dataset
from bench.report.reading.labels import listed, milliseconds, significant
from bench.report.reading.ladder import ladders
from bench.report.reading.ratios import latency_of, measured, metric
from bench.report.run import load
from bench.report.run.answers import gained, leads_of
from bench.report.run.first_rows import QUALITY, FirstRow
from bench.report.studies.ablations import AblationPart, percent
from bench.report.studies.variants import Standing

NOTHING_TOLD = "No case was timed and none evaluated; what was studied stands below."

WITHIN = 0.02
"""Share of the best quality that may be given up for speed."""

MOST_NAMED = 3
"""Names that a sentence can hold."""


@dataclass(frozen=True)
class Opening:
    """What stands above everything else.

    Attributes:
        question: The title.
        serve: What to serve, or what was found.
        others: What the alternatives cost; empty where there is nothing to say.
        trust: What not to trust; empty where nothing is known against it.
        further: How many more cautions there are.

    """

    question: str
    serve: str
    others: str
    trust: str
    further: int

    @property
    def sentences(self) -> list[str]:
        """All that is said, in order."""
        more = f" {self.further} further cautions stand below." if self.further else ""
        return [text for text in (self.serve, self.others, self.trust + more if self.trust else "") if text]


def opening(
    records: Sequence[Record],
    rows: Sequence[FirstRow],
    studies: Studies,
    places: dict[str, list[Standing]],
    parts: Sequence[AblationPart],
    doubts: Sequence[Doubt],
) -> Opening:
    """Find the question of a page, and answer it.

    Args:
        records: What was timed, or failed.
        rows: Rows of the first screen.
        studies: What was studied.
        places: What was evaluated, by dataset, best first.
        parts: Parts of an ablation.
        doubts: What to distrust, the gravest first.

    """
    timed = measured(records)
    grown = laws.growths(sweeps.few(sweeps.sweeps(timed)))  # what the page draws, too
    question, serve = _found(timed, rows, studies, places, parts, grown)
    if records and not (timed or places):
        question, serve = "What failed?", "No case could be measured."
    leads = leads_of(timed)
    others = f"{gained(leads)}." if leads else ""
    labels = tuple(f": {label}." for record in records for label in record.labels)
    graver = [doubt for doubt in doubts if not (labels and doubt.endswith(labels))]  # rows show their labels themselves
    first = str((graver or list(doubts))[0]) if doubts else ""
    return Opening(question, serve, others, first, max(len(doubts) - 1, 0))


def _found(
    timed: Sequence[Record],
    rows: Sequence[FirstRow],
    studies: Studies,
    places: dict[str, list[Standing]],
    parts: Sequence[AblationPart],
    grown: Sequence[laws.Growth],
) -> tuple[str, str]:
    """Return the question, and what was found."""
    if parts:
        return "What does each part of the recommender give, and cost?", _ablated(parts)
    if grown and (told := crossing_told(crossings.find(grown))):
        return "How does cost grow, and where do one pass and beams cross?", told
    if not timed:
        return _untimed(rows, studies, places)
    if any(lead.ratio.value for lead in leads_of(timed)):
        return "Is beam search needed?", _served(rows)
    if all(record.case.search is not None for record in timed if record.case.weights is not WeightsKind.AS_BUILT):
        return "What does the search itself cost?", _searched(timed)
    return "What to serve?", _served(rows)


def _untimed(rows: Sequence[FirstRow], studies: Studies, places: dict[str, list[Standing]]) -> tuple[str, str]:
    """Return what was asked where no single requests were timed: of services, or of quality alone."""
    if told := load.headline([row.record for row in rows if row.record.case.load is not None]):
        return "How many users a second, within the limit?", told
    question = "How far is it solved without training?" if studies.shortcuts else "Who ranks best?"
    return question, _ranked(places)


def _served(rows: Sequence[FirstRow]) -> str:
    """Say what to serve on every dataset, by quality, and what is faster within a share of the best."""
    best = best_of(rows)
    if not best:
        return _fastest(rows)
    names: dict[str, list[FirstRow]] = {}
    for first, _ in best.values():
        names.setdefault(first.name, []).append(first)
    near = [other for first, other in best.values() if other is not first]
    if not near:
        return f"{_best(names)}."
    faster = listed(list(dict.fromkeys(other.name for other in near)))
    where = "" if len(best) == 1 else " everywhere" if len(near) == len(best) else f" on {_on(near)}"
    time = _time(near[0]) if len(near) == 1 else ""
    return f"{_best(names)}; {faster} comes within {100 * WITHIN:g} % of it{where}, faster{time}."


def _best(names: dict[str, list[FirstRow]]) -> str:
    """Say who ranks best on which datasets."""
    if len(names) == 1:
        ((name, best_rows),) = names.items()
        where = _on(best_rows) if len(best_rows) == 1 else f"all {len(best_rows)} datasets"
        return f"Serve {name}: of what was timed, the best {QUALITY} on {where}{_numbers(best_rows)}"
    if len(names) <= MOST_NAMED:
        told = (f"{name} on {_on(rows)}" for name, rows in names.items())
        return f"No one recommender ranks best everywhere: {'; '.join(told)}"
    return f"No one recommender ranks best: each of {len(names)} does somewhere"


def _on(rows: Sequence[FirstRow]) -> str:
    return listed([short_dataset(row.facets["dataset"]) for row in rows])


def best_of(rows: Sequence[FirstRow]) -> dict[str, tuple[FirstRow, FirstRow]]:
    """Return for each dataset, at its smallest batch, the best row without cautions and the fastest one near it."""
    by_dataset: dict[str, tuple[FirstRow, FirstRow]] = {}
    for dataset in dict.fromkeys(row.facets["dataset"] for row in rows):
        here = [row for row in rows if row.facets["dataset"] == dataset and ANY in row.under]
        here = [row for row in here if row.record.case.load is None]
        least = min((row.record.case.batch_size for row in here), default=0)
        sound = [row for row in here if row.record.case.batch_size == least and not row.record.labels]
        ranked = [row for row in sound if metric(row.record, QUALITY)]
        if not ranked or all(row.record.case.weights is WeightsKind.AS_BUILT for row in ranked):
            continue
        best = max(ranked, key=_quality)
        near = [row for row in ranked if _quality(row) >= (1 - WITHIN) * _quality(best)]
        by_dataset[dataset] = (best, min(near, key=lambda row: latency_of(row.record).p50_s))
    return by_dataset


def _quality(row: FirstRow) -> float:
    return metric(row.record, QUALITY) or 0.0


def _numbers(rows: Sequence[FirstRow]) -> str:
    values = sorted(map(_quality, rows))
    ends = " to ".join(dict.fromkeys(significant(value) for value in (values[0], values[-1])))
    return f", {ends}{_time(rows[0]) if len(rows) == 1 else ''}"


def _time(row: FirstRow) -> str:
    return f", {milliseconds(latency_of(row.record).p50_s)} a request"


def _fastest(rows: Sequence[FirstRow]) -> str:
    """Say which trained kind of recommender answers fastest where nothing was ranked."""
    shown = [row for row in rows if ANY in row.under and not row.record.labels]
    shown = [row for row in shown if row.record.case.weights is not WeightsKind.AS_BUILT] or shown
    if not shown:
        return "No case could be measured; see what failed."
    least = min(row.record.case.batch_size for row in shown)
    fastest = min(
        (row for row in shown if row.record.case.batch_size == least), key=lambda row: latency_of(row.record).p50_s
    )
    return f"Cost alone was measured: {fastest.name} answers fastest{_time(fastest)} of {_users(least)}."


def _users(count: int) -> str:
    return "1 user" if count == 1 else f"{count} users"


def crossing_told(every_crossing: Sequence[Crossing]) -> str:
    """Say where the lines of two recommenders cross for sure, the strongest search first; empty where nowhere."""
    sure = [candidate for candidate in every_crossing if candidate.at is not None and candidate.share >= SURE]
    sure = sorted(sure, key=lambda candidate: (not candidate.inside, candidate.growth.against, candidate.time_s or 0.0))
    if not sure:
        return ""
    crossing = sure[0]
    assert crossing.at is not None
    how = "" if crossing.inside else ", by laws that were not measured there"
    against = crossing.growth.against.replace("catalogue, items", "items in the catalogue")
    at = significant(crossing.at, 2)
    below, beyond = _line(crossing.below), _line(crossing.beyond)
    return f"{below} is faster than {beyond} up to some {at} {against}, and slower beyond{how}."


def _line(name: str) -> str:
    """Write the name of a line, such as ``tiger, exact``, so that a sentence can hold it."""
    recommender, _, how = name.partition(", ")
    return f"{recommender} ({how})" if how else recommender


def _searched(timed: Sequence[Record]) -> str:
    """Say how much faster the same lists come under the fastest exact decoder than under the papers'."""
    best = [
        max((rung.to_reference.value for rung in rungs if rung.to_reference and rung.record.case.is_exact), default=0.0)
        for rungs in ladders(timed)
    ]
    factors = sorted(value for value in best if value > 1)
    if not factors:
        return "No decoder gives the papers' lists in less time than their own."
    ends = " to ".join(dict.fromkeys(significant(value, 2) for value in (factors[0], factors[-1])))
    return f"The same lists come {ends} times as fast as by the papers' own search."


def _ablated(parts: Sequence[AblationPart]) -> str:
    """Say which variation lost the most quality for sure, and which gained it."""
    told = [
        (part, varied) for part in parts for varied in part.others if varied.comparable and varied.change is not None
    ]
    lost = [(part, varied) for part, varied in told if varied.change is not None and varied.change.high < 0]
    won = [(part, varied) for part, varied in told if varied.change is not None and varied.change.low > 0]
    said = []
    if lost:
        part, variation = min(lost, key=lambda pair: pair[1].change.value if pair[1].change else 0.0)
        assert variation.change is not None
        said.append(f"{variation.name} loses most, {percent(variation.change)} NDCG@10 on {part.dataset}")
    if won:
        part, variation = max(won, key=lambda pair: pair[1].change.value if pair[1].change else 0.0)
        assert variation.change is not None
        said.append(f"{variation.name} wins most, {percent(variation.change)} on {part.dataset}")
    sure = len(lost) + len(won)
    count = f"Of {len(told)} variations {sure} change quality for sure"
    return f"{count}: {'; '.join(said)}." if said else f"{count}."


def _ranked(places: dict[str, list[Standing]]) -> str:
    """Say who ranks best on each dataset, where nothing was timed."""
    if not places:
        return NOTHING_TOLD
    best = {dataset: group[0].variant for dataset, group in places.items()}
    told = [
        f"{variant.name} on {dataset} ({significant(variant.shown.quality.metrics[QUALITY].value)})"
        for dataset, variant in list(best.items())[: 2 * MOST_NAMED]
        if QUALITY in variant.shown.quality.metrics
    ]
    return f"Best {QUALITY}: {listed(told)}." if told else "What was studied stands below."
