"""Which cases of two results files belong together: equal ones, or those that differ in one and the same thing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from bench.records.case import Case
from bench.records.decoders import FULL_VOCAB
from bench.records.record import Record
from bench.report.reading.labels import NONE
from bench.report.reading.naming import caption, dataset_name
from bench.report.reading.ratios import measured

Value = str | int | float | bool | None
Flat = dict[str, Value]

SETTINGS, LOADED = "settings.", "loaded_with."
"""Before the names of settings, so that each of them counts as a field of its own."""

SERVED = ("decoder", "beam_width", "scores", "ranker", "compiled")

CHANGED_TOGETHER = (
    SERVED,
    ("device", "threads"),
    ("device", "threads", "dtype"),
    ("dataset", LOADED),
    ("recommender", "weights", *SERVED),
    ("recommender", "weights", *SERVED, SETTINGS),
)
"""Fields that one choice decides together: another recommender brings its own decoder and settings along."""

WORDS = {"batch_size": "batch size", "beam_width": "beam width", "k": "length of lists", "seen": "seen items"}


@dataclass(frozen=True)
class Change:
    """One field in which two cases differ.

    Attributes:
        field: Its name, for readers.
        before: Its value in the base; None where it has none.
        after: Its value in the other file.

    """

    field: str
    before: Value
    after: Value

    def __str__(self) -> str:
        before, after = (NONE if value is None else value for value in (self.before, self.after))
        return f"{self.field} {before} → {after}"


@dataclass(frozen=True)
class Matching:
    """Cases of two files that differ in the same fields, or in none.

    Attributes:
        changes: In what all pairs differ; empty where their cases are equal.
        pairs: Pairs of base and other, in the base's order.

    """

    changes: tuple[Change, ...]
    pairs: tuple[tuple[Record, Record], ...]


def flat(case: Case) -> Flat:
    """Return a case's fields, settings one by one; what goes without saying is left out or said as new records do."""
    fields: Flat = case.model_dump(mode="json", exclude={"settings", "loaded_with", "search", "ranking", "load"})
    fields["load"] = None if case.load is None else case.load.words
    if case.decoder is not None and case.scores is None:
        fields["scores"] = FULL_VOCAB  # records made before there was a choice
    fields |= {LOADED + name: value for name, value in case.loaded_with.items()}
    fields |= {SETTINGS + name: value for name, value in case.settings.items() if (name, value) != ("seed", 0)}
    return {name: value for name, value in fields.items() if value is not None}


def case_key(case: Case) -> frozenset[tuple[str, Value]]:
    """Return what two cases have in common exactly where they can be compared."""
    return frozenset(flat(case).items())


def one_each(records: Sequence[Record]) -> list[Record]:
    """Return one record a case: the first that has numbers, or else the first."""
    by_case: dict[frozenset[tuple[str, Value]], Record] = {}
    for record in [*measured(records), *records]:
        by_case.setdefault(case_key(record.case), record)
    kept = {id(record) for record in by_case.values()}
    return [record for record in records if id(record) in kept]


def match(base: Sequence[Record], other: Sequence[Record]) -> list[Matching]:
    """Pair the cases of two files.

    Equal cases are pairs. Where fewer than half of the smaller file's cases are, those left are matched on all fields
    but one, or but those of `CHANGED_TOGETHER`: of all such changes the one that gives the most pairs, and among
    equals the one of the fewest fields.

    Args:
        base: A record a case.
        other: The same of the other file.

    Returns:
        What changes first, then equal cases; empty where nothing matches.

    """
    keys = {case_key(record.case): record for record in other}
    same = tuple((record, keys[case_key(record.case)]) for record in base if case_key(record.case) in keys)
    equal = [Matching((), same)] if same else []
    if 2 * len(same) >= min(len(base), len(other)):
        return equal
    taken = {id(record) for pair in same for record in pair}
    left = [record for record in base if id(record) not in taken]
    best = _best_change(left, [record for record in other if id(record) not in taken])
    return [best, *equal] if best is not None and len(best.pairs) > len(same) else equal


def _best_change(base: Sequence[Record], other: Sequence[Record]) -> Matching | None:
    flats = {id(record): flat(record.case) for record in (*base, *other)}
    single = sorted({name for fields in flats.values() for name in fields})
    best: Matching | None = None
    for facet in [*((name,) for name in single), *CHANGED_TOGETHER]:
        pairs: dict[tuple[Change, ...], list[tuple[Record, Record]]] = {}
        for first, second in _alike(base, other, flats, facet):
            changes = _changes(flats[id(first)], flats[id(second)])
            pairs.setdefault(changes, []).append((first, second))
        for changes, several in pairs.items():
            matching = Matching(changes, tuple(several))
            if best is None or _rank(matching) > _rank(best):
                best = matching
    return best


def _rank(matching: Matching) -> tuple[int, int]:
    return len(matching.pairs), -len(matching.changes)


def _alike(
    base: Sequence[Record], other: Sequence[Record], flats: dict[int, Flat], facet: Sequence[str]
) -> list[tuple[Record, Record]]:
    """Return all pairs that agree in every field outside a facet."""

    def rest(record: Record) -> frozenset[tuple[str, Value]]:
        return frozenset((name, value) for name, value in flats[id(record)].items() if not _within(name, facet))

    by_rest: dict[frozenset[tuple[str, Value]], list[Record]] = {}
    for record in other:
        by_rest.setdefault(rest(record), []).append(record)
    return [(first, second) for first in base for second in by_rest.get(rest(first), [])]


def _within(name: str, facet: Sequence[str]) -> bool:
    if name == SETTINGS + "preset" and "recommender" in facet:
        return False  # recommenders of different sizes are not compared as such
    return any(name == part or (part.endswith(".") and name.startswith(part)) for part in facet)


def _changes(before: Flat, after: Flat) -> tuple[Change, ...]:
    names = sorted(before.keys() | after.keys(), key=lambda name: (name != "recommender", name))
    return tuple(
        Change(_words(name), before.get(name), after.get(name)) for name in names if before.get(name) != after.get(name)
    )


def _words(name: str) -> str:
    return WORDS.get(name, name.removeprefix(SETTINGS).removeprefix(LOADED))


def holdings(records: Sequence[Record]) -> str:
    """Say in a few words what a file holds: recommenders, datasets, and the setting."""
    cases = [record.case for record in records]
    parts = [
        _several([caption(record) for record in records]),
        "on " + _several([dataset_name(record) for record in records]),
        _several([case.device for case in cases]),
        _several([case.dtype for case in cases]),
        "batch " + _several([str(case.batch_size) for case in cases]),
        "top " + _several([str(case.k) for case in cases]),
        "CPU threads " + _several([str(case.threads) for case in cases]),
    ]
    return f"{len(cases)} cases ({'; '.join(parts)})" if len(cases) > 1 else f"one case ({'; '.join(parts)})"


NAMED = 4
"""Values of one kind that a line names."""


def _several(values: Sequence[str]) -> str:
    names = list(Counter(values))
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
