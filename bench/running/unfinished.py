"""Finished parts of a run that may yet be interrupted, so that the next run need not measure them again.

A run is known by what decides its numbers: the code, the suite, the options. Its parts are kept below
``.bench/results/unfinished/`` until it ends, and taken from there when the same run starts again. Cases that crashed,
hung or took all memory are remembered beyond the end, below ``.bench/results/failed/``: the same run does not meet
them again unless it is asked to.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from pydantic import ValidationError

from bench.ground.home import atomic, home
from bench.quality.evaluate import Lists
from bench.records.case import Case, Outcome
from bench.records.record import Record
from bench.statistics.ranks import Ranks

HAZARDS = (Outcome.CRASHED, Outcome.TIMED_OUT, Outcome.OUT_OF_MEMORY)
"""Ways to end that cost a run much, and that the same code would take again."""

NOT_AGAIN = "not tried again since an earlier run; --retry-failed does"


class Unfinished:
    """The kept parts of one run.

    Args:
        identity: Whatever decides the run's numbers, as JSON.

    """

    def __init__(self, identity: object) -> None:
        self._digest = _digest(identity)
        self._folder = home("results", "unfinished", self._digest)

    def record(self, case: Case) -> Record | None:
        """Return the record of a case that was finished, one that failed included; None where there is none."""
        return _read(self._folder / f"case-{_digest(_values(case))}.json")

    def keep_record(self, record: Record) -> None:
        """Keep the record of a finished case; one that is hazardous to measure is remembered beyond the run."""
        name = f"case-{_digest(_values(record.case))}.json"
        _write(self._folder / name, record)
        if record.outcome in HAZARDS:
            _write(home("results", "failed", self._digest) / name, record)

    def hazard(self, case: Case) -> Record | None:
        """Return how a case ended when an earlier run of the same code met it and could not go on; None if not so."""
        record = _read(home("results", "failed", self._digest) / f"case-{_digest(_values(case))}.json")
        if record is None or NOT_AGAIN in record.detail:
            return record
        return record.model_copy(update={"detail": f"{record.detail} ({NOT_AGAIN})"})

    def forget_failures(self) -> None:
        """Forget what failed, so that it is tried again."""
        shutil.rmtree(home("results", "failed", self._digest), ignore_errors=True)
        for path in self._folder.glob("case-*.json"):
            record = _read(path)
            if record is None or record.outcome is not Outcome.OK:
                path.unlink(missing_ok=True)

    def timed(self, case: Case) -> Record | None:
        """Return what is known of a case whose timing was finished but not all the rest; None where there is none."""
        return _read(self._folder / f"timed-{_digest(_values(case))}.json")

    def keep_timed(self, record: Record) -> None:
        """Keep the timing of a case, before what else a request costs is measured."""
        _write(self._folder / f"timed-{_digest(_values(record.case))}.json", record)

    def lists(self, key: object) -> Lists | None:
        """Return ranked lists that were finished, or None."""
        path = self._folder / f"lists-{_digest(key)}.npz"
        try:
            with path.open("rb") as file, np.load(file) as stored:
                return Lists(
                    stored["users"], stored["items"], stored["scores"], Ranks(stored["better"], stored["tied"])
                )
        except (OSError, ValueError, KeyError, EOFError, BadZipFile):
            return None

    def keep_lists(self, key: object, lists: Lists) -> None:
        """Keep ranked lists."""
        with atomic(self._folder / f"lists-{_digest(key)}.npz") as path:
            ranks = lists.ranks
            np.savez(
                path, users=lists.users, items=lists.items, scores=lists.scores, better=ranks.better, tied=ranks.tied
            )

    def keep_answers(self, case: Case, users: Any, items: Any, scores: Any) -> None:
        """Keep the lists by which a decoder's answers are compared with those of others: users [U], the rest [U, K]."""
        with atomic(self._folder / f"answers-{_digest(_values(case))}.npz") as path:
            np.savez(path, users=users, items=items, scores=scores, case=np.array(case.model_dump_json()))

    def answers(self) -> Iterator[tuple[Case, Any, Any, Any]]:
        """Yield all that `keep_answers` kept."""
        for path in sorted(self._folder.glob("answers-*.npz")):
            try:
                with path.open("rb") as file, np.load(file) as stored:
                    case = Case.model_validate_json(str(stored["case"]))
                    yield case, stored["users"], stored["items"], stored["scores"]
            except (OSError, ValueError, KeyError, EOFError, BadZipFile):
                continue

    def value(self, key: object) -> Any:
        """Return a value that `keep_value` kept under a key; None where there is none."""
        try:
            return json.loads((self._folder / f"value-{_digest(key)}.json").read_bytes())
        except (OSError, ValueError):
            return None

    def keep_value(self, key: object, value: Any) -> None:
        """Keep a value of JSON, such as a trial of a search, under a key."""
        with atomic(self._folder / f"value-{_digest(key)}.json") as path:
            path.write_text(json.dumps(value))

    def finish(self) -> None:
        """Forget the run, but for what failed: it ended."""
        shutil.rmtree(self._folder, ignore_errors=True)


def _values(case: Case) -> dict[str, Any]:
    return case.model_dump(mode="json")


def _read(path: Path) -> Record | None:
    try:
        return Record.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


def _write(path: Path, record: Record) -> None:
    with atomic(path) as temporary:
        temporary.write_text(record.model_dump_json())


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:16]
