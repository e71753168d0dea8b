"""Finished parts of a run that may yet be interrupted, so that the next run need not measure them again.

A run is known by what decides its numbers: the code, the suite, the options. Its parts are kept
below ``.bench/results/unfinished/`` until it ends, and taken from there when the same run starts again.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from zipfile import BadZipFile

import numpy as np
from pydantic import TypeAdapter, ValidationError

from bench.home import atomic, home
from bench.quality.evaluate import Lists
from bench.quality.ranks import Ranks
from bench.results.record import Record

_RECORDS = TypeAdapter(list[Record])


class Unfinished:
    """The kept parts of one run.

    Args:
        identity: Whatever decides the run's numbers, as JSON.

    """

    def __init__(self, identity: object) -> None:
        self._folder = home("results", "unfinished", _digest(identity))

    def records(self, group: object) -> list[Record] | None:
        """Return the records of a group of cases that was finished, or None."""
        path = self._folder / f"group-{_digest(group)}.json"
        try:
            return _RECORDS.validate_json(path.read_bytes())
        except (OSError, ValidationError):
            return None

    def keep_records(self, group: object, records: list[Record]) -> None:
        """Keep the records of a finished group."""
        with atomic(self._folder / f"group-{_digest(group)}.json") as path:
            path.write_bytes(_RECORDS.dump_json(records))

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

    def finish(self) -> None:
        """Forget the run: it ended."""
        shutil.rmtree(self._folder, ignore_errors=True)


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:16]
