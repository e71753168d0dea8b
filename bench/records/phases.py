"""The steps of a request by kind: a search's attention is one kind, however many steps it takes."""

from __future__ import annotations

import re

from bench.records.record import Record

KINDS = (
    "prepare", "encode", "cross K/V", "attention", "feed-forward", "head", "trie + top-k", "trie", "decode steps",
    "compiled search", "rank",
)  # fmt: skip
"""The kinds that have a colour of their own, in the order in which they are drawn."""


def kind_of(phase: str) -> str:
    """Return what a phase is a part of: ``decode step 2: head`` of ``head``, ``decode step 2`` of ``decode steps``."""
    _, colon, part = phase.partition(": ")
    return part if colon else re.sub(r" \d+$", "s", phase)


def seconds_by_kind(record: Record) -> dict[str, float]:
    """Add up a record's phases by kind, in the order of `KINDS`; unknown ones stand before ``rank``."""
    assert isinstance(record.phases, list)
    seconds: dict[str, float] = {}
    for phase in record.phases:
        kind = kind_of(phase.name)
        seconds[kind] = seconds.get(kind, 0.0) + phase.seconds
    return {kind: seconds[kind] for kind in sorted(seconds, key=place_of)}


def place_of(kind: str) -> float:
    """Return where a kind stands in the order of a request."""
    return KINDS.index(kind) if kind in KINDS else len(KINDS) - 1.5
