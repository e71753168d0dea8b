"""Records from the files that pytest-benchmark saved, and studies from files of their own."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from bench.ground.bounds import fault
from bench.ground.home import home
from bench.ground.textfiles import read_json, read_text
from bench.records.model import Model
from bench.records.record import SCHEMA_VERSION, Record
from bench.records.studies import KIND as STUDIES
from bench.records.studies import Studies
from models.errors import UserError

Stored = TypeVar("Stored", bound=Model)

KIND = "lite-llm4rec-bench"

LAID_OUT = "*/*.json*"
"""Results below our home: one folder a machine, as pytest-benchmark lays it out."""

ENDINGS = (".json", ".json.gz")
"""What names of results files end in."""

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


@dataclass(frozen=True)
class StudyFile:
    """One file of studies.

    Attributes:
        path: Where it was read from.
        studies: What it holds.

    """

    path: Path
    studies: Studies


def latest() -> Path:
    """Return the newest results file below our home.

    Raises:
        UserError: There is none.

    """
    paths = [path for path in home("results").glob(LAID_OUT) if path.name.endswith(ENDINGS) and path.is_file()]
    newest = sorted(paths, key=lambda path: (path.stat().st_mtime_ns, path.name), reverse=True)
    for path in newest:
        if _is_ours(path) and _if_sound(path) is not None:
            return path
    raise UserError(f"no results below {home('results')}: run pytest bench/ --benchmark-only first")


def stored(paths: Sequence[Path] = ()) -> list[Run]:
    """Read the results files among files and folders, in order of their names within a folder.

    Args:
        paths: Files, which are taken as they are, and folders, of which all that hold our benchmarks are, however
            deep; without any, all results files below our home.

    Raises:
        UserError: One does not exist or is damaged, or nothing is found. A damaged file of a folder is passed over,
            with a line.

    """
    runs: list[Run] = []
    for path in paths:
        if not path.exists():
            raise UserError(f"{path}: no such results file or folder; `ls {home('results')}` shows what there is")
        runs += _ours_below(path, "**/*.json*") if path.is_dir() else [read(path)]
    runs += [] if paths else _ours_below(home("results"), LAID_OUT)
    if not runs:
        where = ", ".join(map(str, paths)) or home("results")
        raise UserError(f"no stored runs below {where}: run pytest bench/ --benchmark-only first")
    return list({run.path: run for run in runs}.values())


def folders_below(root: Path) -> dict[Path, tuple[list[Run], list[StudyFile]]]:
    """Return what each folder below a root holds of runs and studies, in order of their names.

    Files of others are left alone; damaged ones are passed over, with a line.

    Raises:
        UserError: There is no such folder, or nothing of ours in it.

    """
    if not root.is_dir():
        raise UserError(f"{root}: no such folder; give the one that holds results, such as reports/")
    by_folder: dict[Path, tuple[list[Run], list[StudyFile]]] = {}
    for path in sorted(root.glob("**/*.json*")):
        if not (path.name.endswith(ENDINGS) and path.is_file() and _is_of_kind(path, (KIND, STUDIES))):
            continue
        try:
            runs, studies = read_all([path])
        except UserError as error:
            print(f"note: passed over: {error}", file=sys.stderr)  # noqa: T201 - rich would fold the line
            continue
        here = by_folder.setdefault(path.parent, ([], []))
        here[0].extend(runs)
        here[1].extend(studies)
    if not by_folder:
        raise UserError(
            f"{root} holds no results that can be read: measure first, and put the files below it, one folder a run"
        )
    return by_folder


def past() -> list[Run]:
    """Return all sound runs below our home, in order of their names; damaged ones are passed over, with a line."""
    return _ours_below(home("results"), LAID_OUT)


def _ours_below(folder: Path, pattern: str) -> list[Run]:
    files = (path for path in sorted(folder.glob(pattern)) if path.name.endswith(ENDINGS) and path.is_file())
    ours = (path for path in files if _is_ours(path))
    return [run for path in ours if (run := _if_sound(path)) is not None]


def _if_sound(path: Path) -> Run | None:
    """Read a file among many; say on standard error which is passed over, and why."""
    try:
        return read(path)
    except UserError as error:
        print(f"note: passed over: {error}", file=sys.stderr)  # noqa: T201 - rich would fold the line
        return None


def _is_ours(path: Path) -> bool:
    """Tell whether a file holds benchmarks of requests: those of parts, such as training, lie beside them."""
    return _is_of_kind(path, (KIND,))


def _is_of_kind(path: Path, kinds: Sequence[str]) -> bool:
    """Tell whether a file says of itself that it is of one of some kinds."""
    try:
        text = read_text(path)
        return any(f'"{kind}"' in text for kind in kinds)
    except UserError as error:
        print(f"note: passed over: {error}", file=sys.stderr)  # noqa: T201 - as above
        return False


def read_all(paths: Iterable[Path]) -> tuple[list[Run], list[StudyFile]]:
    """Read results files and files of studies, told apart by what they hold; see `read` and `read_studies`.

    Raises:
        UserError: One is neither, or cannot be read.

    """
    runs, studies = [], []
    for path in paths:
        content = _content(path)
        if isinstance(content, dict) and content.get("kind") == STUDIES:
            studies.append(_studies(content, path))
        elif _is_run(content):
            runs.append(_run(content, path))
        else:
            raise UserError(f"{path} is not a results file of pytest-benchmark, nor a file of studies")
    return runs, studies


def read(path: Path) -> Run:
    """Read a results file.

    Raises:
        UserError: It is missing, damaged, empty, somebody else's, or written by a newer version.

    """
    content = _content(path)
    if not _is_run(content):
        raise UserError(f"{path} is not a results file of pytest-benchmark")
    return _run(content, path)


def read_studies(path: Path) -> StudyFile:
    """Read a file that `bench.evaluate`, `bench.beams`, `bench.leaks` or `bench.reproduce` wrote.

    Raises:
        UserError: It is missing, damaged, empty, somebody else's, or written by a newer version.

    """
    content = _content(path)
    if not isinstance(content, dict) or content.get("kind") != STUDIES:
        raise UserError(f"{path} is not a file of studies")
    return _studies(content, path)


def _content(path: Path) -> Any:
    if not path.exists():
        raise UserError(f"{path}: no such results file; `ls {home('results')}` shows what there is")
    return read_json(path)


def _is_run(content: Any) -> bool:
    return isinstance(content, dict) and isinstance(content.get("benchmarks"), list)


def _run(content: dict[str, Any], path: Path) -> Run:
    entries = [benchmark.get("extra_info") for benchmark in content["benchmarks"] if isinstance(benchmark, dict)]
    failed = content.get(FAILED)
    entries += failed if isinstance(failed, list) else []
    ours = [values for values in entries if isinstance(values, dict) and values.get("kind") == KIND]
    if not ours:
        raise UserError(f"{path} holds no recommender benchmarks: it was written by another project, or by no case")
    records = tuple(_validated(Record, values, path) for values in ours)
    return Run(path, str(content.get("datetime", "")), records)


def _studies(content: dict[str, Any], path: Path) -> StudyFile:
    studies = _validated(Studies, content, path)
    if not any((studies.evaluations, studies.beams, studies.leaks, studies.shortcuts, studies.ablations)):
        raise UserError(f"{path} holds no studies: the command that wrote it found nothing to study")
    return StudyFile(path, studies)


def _validated(kind: type[Stored], values: dict[str, Any], path: Path) -> Stored:
    version = values.get("schema_version")
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise UserError(
            f"{path} was written by a newer version (schema {version}, this one reads {SCHEMA_VERSION}): upgrade"
        )
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise UserError(f"{path}: {fault(error, 'the record')}: the file is damaged") from error
