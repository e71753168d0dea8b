"""The rows of the first screen: one a recommender and setting, under the decoder that serves its lists fastest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.records.case import WeightsKind
from bench.records.learning import Ending
from bench.records.record import Record
from bench.report.reading.facets import ANY, FACETS, Facets, facets_of
from bench.report.reading.families import Family, family_of
from bench.report.reading.labels import NONE, case_labels, milliseconds, one_pass_ways, significant
from bench.report.reading.ratios import latency_of, measured, metric
from bench.report.reading.trained import UNTOLD, how_trained
from bench.report.run.load import peak_rate

QUALITY = "NDCG@10"

COMBINED = (*FACETS[:-1], "asked")
"""Facets of which not every combination was measured; decoders are chosen within one."""

FEW_ROUNDS = 50
"""Fewer say nothing of a tail."""


@dataclass(frozen=True)
class FirstRow:
    """One row of the first screen.

    Attributes:
        record: What was measured.
        name: What recommends, with what tells it apart in its setting, the decoder left out.
        said: How it is served, and what the papers' decoder takes in its place.
        facets: What it is chosen by.
        under: Choices of a decoder that show it; `ANY` stands for the strongest of each.
        few: Whether it is among the few rows that stand there before others unfold.
        family: Its kind, which is its colour.

    """

    record: Record
    name: str
    said: str
    facets: Facets
    under: tuple[str, ...]
    few: bool
    family: Family


ASKED, ONE_CLIENT = "asked", "by one client"
"""A facet of the first screen alone: whether a case was asked by one client, or as a service, and how."""


def first_rows(records: Sequence[Record], served: Sequence[Record] = ()) -> list[FirstRow]:
    """Return the rows of every setting: in each the best first, without quality the fastest first.

    Args:
        records: Cases that one client asked.
        served: Cases that were asked as services.

    """
    settings: dict[tuple[str, ...], list[Record]] = {}
    for record in [*measured(records), *measured(served)]:
        settings.setdefault(tuple(first_facets(record)[name] for name in COMBINED), []).append(record)
    return [row for group in settings.values() for row in _rows(group)]


def first_facets(record: Record) -> Facets:
    """Return what a row is chosen by, and whether one client asked, or clients of a service."""
    load = record.case.load
    return facets_of(record) | {ASKED: ONE_CLIENT if load is None else f"as a service, {load.words}"}


def _rows(group: Sequence[Record]) -> list[FirstRow]:
    alike: dict[str, list[Record]] = {}
    for record in group:
        alike.setdefault(_served(record), []).append(record)
    decoders = tuple(dict.fromkeys(record.case.decoder for record in group if record.case.decoder))
    beamed = {record.case.recommender for record in group if record.case.search and record.case.search.has_beams}
    usual = [several for several in alike.values() if several[0].case.recommender not in beamed or _has_beams(several)]
    few = _few([several[0] for several in usual])
    names = case_labels([_undecoded(several[0]) for several in alike.values()])
    rows = []
    for name, several in zip(names, alike.values(), strict=True):
        best = _strongest(several)
        for record in several:
            own = (record.case.decoder,) if record.case.decoder else decoders
            fastest = record is _fastest([other for other in several if other.case.decoder == record.case.decoder])
            under = ((ANY,) if record is best and several in usual else ()) + (own if fastest else ())
            facets = first_facets(record)
            rows.append(
                FirstRow(record, name, _said(record, several), facets, under, several[0] in few, family_of(record))
            )
    return sorted(rows, key=_order)


def _has_beams(several: Sequence[Record]) -> bool:
    """Tell a beam search from what shows what it misses, or what was made before: these are for who asks for them."""
    return any(record.case.search is not None and record.case.search.has_beams for record in several)


def _order(row: FirstRow) -> tuple[float, float]:
    return -(metric(row.record, QUALITY) or 0.0), latency_of(row.record).p50_s


def _served(record: Record) -> str:
    """Return what all ways of serving the same lists have in common."""
    return record.case.model_dump_json(exclude={"decoder", "search", "ranker", "ranking", "compiled"})


def _undecoded(record: Record) -> Record:
    plain: dict[str, object] = {"decoder": None, "search": None, "ranker": None, "ranking": None, "compiled": False}
    plain["weights"] = WeightsKind.TRAINED  # said elsewhere
    bare = record.case.model_copy(update=plain)
    return record.model_copy(update={"case": bare})


def _strongest(several: Sequence[Record]) -> Record:
    """Return the fastest way of serving the papers' lists, or of one pass lists that lose little, or else any."""
    kept = [
        record for record in several if (record.loses_little if record.case.search is None else record.case.is_exact)
    ]
    return _fastest(kept or several)


def _fastest(records: Sequence[Record]) -> Record:
    """Return the one that answers in the shortest time, or of services the one that answers most users in time."""
    return min(records, key=lambda record: (-_rate(record), latency_of(record).p50_s))


def _rate(record: Record) -> float:
    return 0.0 if record.load is None else peak_rate(record)


def _few(records: Sequence[Record]) -> list[Record]:
    """Return of each recommender the best without cautions, and of claimants also their own settings.

    Further seeds are never chosen among: the best of them would be luck.
    """
    chosen: list[Record] = []
    for name in dict.fromkeys(record.case.recommender for record in records):
        own = [record for record in records if record.case.recommender == name]
        own = [record for record in own if not record.case.settings.get("seed")] or own
        sound = [record for record in own if not record.labels] or own
        chosen.append(max(sound, key=lambda record: (metric(record, QUALITY) or 0.0, -len(record.case.settings))))
        chosen += [min(sound, key=lambda record: len(record.case.settings))] * own[0].claims
    return chosen


def _said(record: Record, several: Sequence[Record]) -> str:
    """Say how a case is served, and how long the papers' own search takes where that is another."""
    case = record.case
    if case.search is None:
        return ", ".join(one_pass_ways(case))
    kind = "search" if case.search.has_beams else case.search.kind
    named = f"{case.decoder} search" if case.search.has_beams else f"{kind} ({case.decoder})"
    text = f"the papers' {kind}" if case.is_reference else named
    reference = next((other for other in several if other.case.is_reference and other is not record), None)
    if reference is None:
        return text
    rate = _rate(reference)
    papers = f"{significant(rate)} users/s" if rate else str(milliseconds(latency_of(reference).p50_s))
    return f"{text}; the papers': {papers}"


def training_told(record: Record) -> str:
    """Say in a few words whether more training would have helped."""
    if record.case.weights is WeightsKind.UNTRAINED:
        return "random weights"
    told = how_trained(record)
    if told == NONE:
        return "needs none"
    epochs = record.weights.training.get("epochs") if record.weights is not None else None
    seen = f", {significant(epochs, 2)} epochs" if isinstance(epochs, (int, float)) else ""
    words = {Ending.FINISHED.value: "to the end", UNTOLD: f"not known{seen}"}
    words |= {Ending.CUT_SHORT.value: f"cut short{seen}"}
    return words.get(told, told)


def notes(record: Record) -> list[str]:
    """Return what weakens a case without barring it from being chosen."""
    words = []
    if record.conditions is not None and record.conditions.unstable:
        words.append("unstable")
    if latency_of(record).rounds < FEW_ROUNDS:
        words.append(f"{latency_of(record).rounds} rounds")
    return words
