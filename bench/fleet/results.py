"""What came of a queue: what workers handed in, and one results file a machine, as pytest-benchmark would write it."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any, Self

from pydantic import Field, ValidationError
from pytest_benchmark import __version__ as plugin_version
from pytest_benchmark.plugin import pytest_benchmark_generate_machine_info
from pytest_benchmark.stats import Stats

from bench.fleet.folder import Attempt, QueueFolder
from bench.ground.bounds import fault
from bench.records import store
from bench.records.case import Outcome
from bench.records.model import Model
from bench.records.record import Record
from models.errors import UserError


class HandedIn(Model):
    """What a worker hands in for a ticket.

    Attributes:
        machine: What the worker's machine is called.
        facts: What pytest-benchmark says of the machine, without its name.
        started: When work began, ISO 8601.
        failure: Why weights could not be trained or evaluated; empty where they could.
        records: Records of the cases that were measured.

    """

    machine: str
    facts: dict[str, Any]
    started: str
    failure: str = ""
    records: list[Record] = Field(default=[])

    @classmethod
    def read(cls, folder: QueueFolder, closed: Attempt) -> Self:
        """Read what was handed in for a ticket that is done.

        Raises:
            UserError: It is missing or damaged.

        """
        try:
            return cls.model_validate_json(folder.results(closed))
        except ValidationError as error:
            raise _damaged(folder, closed, fault(error, "the results")) from error
        except (OSError, UnicodeDecodeError) as error:
            raise _damaged(folder, closed, str(error)) from error

    @property
    def failed(self) -> bool:
        """Whether something of it might be had by trying again."""
        return bool(self.failure) or any(record.outcome is not Outcome.OK for record in self.records)


def _damaged(folder: QueueFolder, closed: Attempt, why: str) -> UserError:
    place = f"{folder.root}/records/{closed.name}.json"
    return UserError(f"{place}: {why}; delete {folder.root}/done/{closed.name}, and fill the queue's rest into another")


@cache
def machine_facts() -> dict[str, Any]:
    """Return what pytest-benchmark tells of this machine, without its name."""
    facts: dict[str, Any] = pytest_benchmark_generate_machine_info()
    return facts | {"node": ""}


def by_machine(handed_in: Iterable[HandedIn]) -> dict[str, dict[str, Any]]:
    """Return the content of a results file for each machine, by its name; nothing of two machines is pooled."""
    grouped: dict[str, list[HandedIn]] = {}
    for part in handed_in:
        if part.records:
            grouped.setdefault(part.machine, []).append(part)
    return {machine: _run(parts) for machine, parts in sorted(grouped.items())}


def _run(parts: list[HandedIn]) -> dict[str, Any]:
    records = [record for part in parts for record in part.records]
    timed = [record for record in records if record.outcome is Outcome.OK]
    failed = [record for record in records if record.outcome is not Outcome.OK]
    return {
        "machine_info": parts[0].facts,
        "commit_info": {},
        "benchmarks": [_benchmark(record) for record in timed],
        "datetime": max(part.started for part in parts),
        "version": plugin_version,
        store.FAILED: [record.model_dump(mode="json") for record in failed],
    }


def _benchmark(record: Record) -> dict[str, Any]:
    """Return a record as one benchmark, with the statistics that pytest-benchmark makes of its samples."""
    case, latency = record.case, record.latency
    assert latency is not None
    stats = Stats()
    for sample in latency.samples_s:
        stats.update(sample)
    name = f"bench_request[{case.name}]"
    return {
        "group": f"{case.dataset}, {case.device}, {case.dtype}, batch {case.batch_size}, top {case.k}",
        "name": name,
        "fullname": f"bench/bench_serving.py::{name}",
        "params": None,
        "param": case.name,
        "extra_info": record.model_dump(mode="json"),
        "options": {"disable_gc": False, "min_rounds": latency.rounds, "warmup": False},
        "stats": stats.as_dict() | {"data": latency.samples_s, "iterations": 1},
    }
