"""Records from the files that pytest-benchmark saved."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bench.home import home
from bench.results.record import SCHEMA_VERSION, Record
from models.errors import UserError

KIND = "lite-llm4rec-bench"

FAILED = "failed_cases"
"""Key under which the records of failed cases stand, which are no benchmarks."""


@dataclass(frozen=True)
class Run:
    """One results file.

    Attributes:
        path: Where it was read from.
        taken: When the run ended, ISO 8601.
        records: One a case, failed ones last.

    """

    path: Path
    taken: str
    records: tuple[Record, ...]


def latest() -> Path:
    """Return the newest results file below our home.

    Raises:
        UserError: There is none.

    """
    found = list(home("results").glob("*/*.json"))  # one folder a machine, as pytest-benchmark lays it out
    if not found:
        raise UserError(f"no results below {home('results')}: run pytest bench/ --benchmark-only first")
    return max(found, key=lambda path: (path.stat().st_mtime_ns, path.name))


def read_all(paths: Iterable[Path]) -> list[Run]:
    """Read several files; see `read`."""
    return [read(path) for path in paths]


def read(path: Path) -> Run:
    """Read a results file.

    Raises:
        UserError: It is missing, damaged, empty, somebody else's, or written by a newer version.

    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such results file; `ls {home('results')}` shows what there is") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read: {error}") from error
    except ValueError as error:
        raise UserError(f"{path} is no valid JSON ({error}): the file is damaged, measure again") from error
    if not isinstance(content, dict) or not isinstance(content.get("benchmarks"), list):
        raise UserError(f"{path} is not a results file of pytest-benchmark")
    found = [benchmark.get("extra_info") for benchmark in content["benchmarks"] if isinstance(benchmark, dict)]
    failed = content.get(FAILED)
    found += failed if isinstance(failed, list) else []
    ours = [values for values in found if isinstance(values, dict) and values.get("kind") == KIND]
    if not ours:
        raise UserError(f"{path} holds no recommender benchmarks: it was written by another project, or by no case")
    return Run(path, str(content.get("datetime", "")), tuple(_record(values, path) for values in ours))


def _record(values: dict[str, Any], path: Path) -> Record:
    version = values.get("schema_version")
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise UserError(
            f"{path} was written by a newer version (schema {version}, this one reads {SCHEMA_VERSION}): upgrade"
        )
    try:
        return Record.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}: the file is damaged") from error
