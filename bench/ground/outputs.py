"""Where results are written to: looked at before the work, written whole, and never over somebody else's files.

A folder that we write several files to holds a manifest that names them. Only what it names is ever replaced or
deleted.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path, PurePosixPath

from pydantic import BaseModel, ConfigDict, ValidationError

from bench.ground.home import atomic, home
from bench.ground.textfiles import packed, read_text
from models.errors import UserError

MANIFEST = ".bench-files.json"
"""Name of a folder's manifest."""

MARKS = ('"lite-llm4rec-bench"', '"lite-llm4rec-studies"', '"lite-llm4rec-bench-gate"')
"""What our own JSON files say of themselves."""

KEPT = "kept"
"""Folder below our home for results that could not be written where they were wanted."""


class Manifest(BaseModel):
    """Which files of a folder are ours.

    Attributes:
        made_by: The command that wrote them.
        files: Their names, relative to the folder.

    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    made_by: str
    files: tuple[str, ...]


def check_out_file(path: Path | None) -> None:
    """See that a file can be written at a path, before anything is computed for it.

    Args:
        path: Path of the file; None, where nothing is to be written, is passed over.

    Raises:
        UserError: It is a folder, a file that is not ours, or cannot be written.

    """
    if path is None:
        return
    if path.is_dir():
        raise UserError(f"--out {path}: is a folder; give the path of a file")
    if path.exists() and not path.is_file():
        raise UserError(f"--out {path}: is a pipe, a socket or a device; give the path of a file")
    if path.is_file() and path.stat().st_size and not _holds_mark(path):
        raise UserError(f"--out {path}: exists and holds no results of ours; give another path, or delete it")
    _probe(path.parent)


def check_out_folder(folder: Path, names: Collection[str] = ()) -> None:
    """See that files can be written into a folder, before anything is computed for them.

    Args:
        folder: Where to.
        names: Files that are going to be written; one that is there must be ours.

    Raises:
        UserError: It is no folder, cannot be written to, or holds somebody else's file under one of the names.

    """
    _probe(folder)
    _refuse_foreign(folder, names, manifest_of(folder))


def write_file(path: Path, text: str) -> None:
    """Write a result; where that fails, keep it below our home.

    Args:
        path: Where to; packed where its name ends in ``.gz``.
        text: The result.

    Raises:
        UserError: It could not be written there; the message says where it is kept.

    """
    try:
        with atomic(path) as temporary:
            temporary.write_bytes(packed(path, text))
    except OSError as error:
        raise _kept(path.parent, {path.name: packed(path, text)}, error) from error


def write_folder(folder: Path, made: Mapping[str, bytes], *, made_by: str, keep: bool = True) -> list[Path]:
    """Write files into a folder, each whole, and take away what an earlier call left there and this one lacks.

    Args:
        folder: Where to; made if need be.
        made: Contents by name.
        made_by: The command, such as ``bench.report``.
        keep: Whether to keep below our home what cannot be written; what is written again soon need not be.

    Returns:
        The files written, without the manifest.

    Raises:
        UserError: A file of somebody else's is in the way, or the folder cannot be written to; in that case what was
            made is kept below our home, and the message says where.

    """
    earlier = manifest_of(folder)
    _refuse_foreign(folder, made, earlier, made)
    names = sorted(made)
    try:
        _write_manifest(folder, made_by, sorted({*names, *earlier}))  # before the first file: none is ever unnamed
        for name in names:
            with atomic(folder / name) as path:
                path.write_bytes(made[name])
        for name in set(earlier) - set(names):
            (folder / name).unlink(missing_ok=True)
        _write_manifest(folder, made_by, names)
    except OSError as error:
        if not keep:
            raise UserError(f"{error.filename or folder}: {error.strerror}") from error
        raise _kept(folder, made, error) from error
    return [folder / name for name in made]


def _holds_mark(path: Path) -> bool:
    try:
        text = read_text(path)
    except UserError:
        return False
    return any(mark in text for mark in MARKS)


def manifest_of(folder: Path) -> tuple[str, ...]:
    """Return the names of our files in a folder; none where there is no manifest.

    Raises:
        UserError: The manifest is damaged, or names a file outside of its folder.

    """
    path = folder / MANIFEST
    if not path.is_file():
        return ()
    try:
        names = Manifest.model_validate_json(path.read_bytes()).files
    except (OSError, ValidationError) as error:
        raise UserError(f"{path}: is no list of our files; delete it, or give another folder") from error
    for name in names:
        parts = PurePosixPath(name).parts
        if not parts or parts[0] == "/" or ".." in parts:
            raise UserError(f"{path}: names {name!r}, which lies outside of its folder; delete the list")
    return names


def _write_manifest(folder: Path, made_by: str, names: list[str]) -> None:
    with atomic(folder / MANIFEST) as path:
        path.write_text(Manifest(made_by=made_by, files=tuple(names)).model_dump_json(indent=1) + "\n")


def _refuse_foreign(
    folder: Path, names: Collection[str], ours: Collection[str], made: Mapping[str, bytes] | None = None
) -> None:
    for name in names:
        path = folder / name
        if name in ours or not path.exists():
            continue
        if made is not None and path.is_file() and path.read_bytes() == made[name]:
            continue
        raise UserError(f"{path}: exists and was not written by this command; give another folder, or delete it")


def _probe(folder: Path) -> None:
    """Write a file that vanishes at once into a folder, or into the one above it that is there."""
    if "\0" in str(folder):
        raise UserError(
            f"--out {str(folder)!r}: holds a null character, so that nothing can be written into it; give another path"
        )
    try:
        there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
        with tempfile.TemporaryFile(dir=there) as probe:
            probe.write(b"\0")
            probe.flush()
    except OSError as error:
        raise UserError(f"--out: nothing can be written into {folder} ({error.strerror}); give another path") from error


def _kept(folder: Path, made: Mapping[str, bytes], error: OSError) -> UserError:
    """Keep what was made below our home, and return the error that says so."""
    said = f"{error.filename or folder}: {error.strerror}"
    try:
        place = Path(tempfile.mkdtemp(prefix="", dir=home(KEPT)))
        for name, content in made.items():
            with atomic(place / name) as path:
                path.write_bytes(content)
    except (OSError, UserError):
        return UserError(f"{said}; what was computed could not be kept anywhere")
    return UserError(f"{said}; what was computed is kept in {place}")
