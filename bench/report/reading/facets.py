"""What readers choose by, and by which everything on a page is filtered: dataset, batch, device, dtype and decoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from bench.records.record import Record
from bench.report.reading.labels import case_labels, machine_name
from bench.report.reading.naming import Told, dataset_name

FACETS = ("dataset", "batch", "device", "dtype", "decoder")
"""In the order in which they are offered."""

Facets = dict[str, str]

ANY = ""
"""Stands for every decoder."""


def facets_of(told: Told, *, timed: bool = True) -> Facets:
    """Return what a case is chosen by; one pass has no decoder, and quality no batch and no device.

    Args:
        told: The case.
        timed: Whether it is about time, which batch and device change.

    """
    case = told.case
    facets = {"dataset": dataset_name(told), "dtype": case.dtype}
    if timed:
        facets |= {"batch": str(case.batch_size), "device": device_name(told)}
    return facets | ({"decoder": case.decoder} if case.decoder else {})


def device_name(told: Told) -> str:
    """Name what a case ran on: the GPU, or the processor with the threads it was given."""
    case = told.case
    if case.device != "cpu":
        return machine_name(told)
    return f"{machine_name(told)}, {case.threads} thread{'s' if case.threads > 1 else ''}"


def short_dataset(name: str) -> str:
    """Return a dataset's name without what it was loaded with, where sentences say enough."""
    return name.partition(" (")[0]


def in_common(names: Sequence[str]) -> str:
    """Return what all datasets were loaded with, such as `` (min_count 5)``; empty where they differ."""
    endings = {name[len(short_dataset(name)) :] for name in names}
    distinct = len({short_dataset(name) for name in names}) == len(names)
    return endings.pop() if len(endings) == 1 and distinct else ""


class Chosen(str):
    """Words in a table that know what their row is chosen by.

    Attributes:
        facets: Values by facet; what a row does not have does not hide it.

    """

    __slots__ = ("facets",)
    facets: Facets

    def __new__(cls, text: str, facets: Facets) -> Self:
        """Write `text` for what is chosen by `facets`."""
        made = super().__new__(cls, text)
        made.facets = facets
        return made


def chosen_labels(records: Sequence[Record]) -> list[Chosen]:
    """Name each case as `case_labels` does, with what it is chosen by."""
    labels = case_labels(records)
    return [Chosen(label, facets_of(record)) for label, record in zip(labels, records, strict=True)]


def offered(records: Sequence[Told]) -> dict[str, list[str]]:
    """Return the values of each facet, those that came first before others; batches ascend."""
    choices: dict[str, list[str]] = {name: [] for name in FACETS}
    for record in records:
        for name, value in facets_of(record).items():
            if value not in choices[name]:
                choices[name].append(value)
    choices["batch"].sort(key=int)
    return choices
