"""Where data lies: a folder, a zip that stands for one, or one file in a folder."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Self

from bench.data.reading import Reading
from bench.ground.textfiles import check_regular
from models.errors import UserError

ZIP_MAGIC = b"PK\x03\x04"
LITTER = ("._", "__MACOSX", ".DS_Store")
"""What archivers leave among the members of a zip."""


@dataclass(frozen=True)
class DataPlace:
    """The plain files of one place, by name.

    A zip stands for a folder: a member's path is that of the zip with the member's name behind it.

    Attributes:
        path: As given.
        reading: What the user said of the files.
        names: Each file by its name, without folders.
        chosen: The file that was given, where it was one; the other files lie beside it.

    """

    path: Path
    reading: Reading
    names: Mapping[str, Path]
    chosen: Path | None = None

    @classmethod
    def at(cls, path: Path, reading: Reading) -> Self:
        """Look at what lies behind a path; nothing but the list of a zip's members is read.

        Raises:
            UserError: There is nothing, a pipe or a device, a folder that cannot be listed, or a zip that is none.

        """
        if path.is_dir():
            return cls(path, reading, _listed(path))
        check_regular(path)
        if is_zip(path):
            return cls(path, reading, _members(path))
        return cls(path, reading, _listed(path.parent), path)

    def beside(self, name: str) -> Path | None:
        """Return the file of that name, compressed or not, or None."""
        return self.names.get(name) or self.names.get(f"{name}.gz")

    def only(self, kept: Mapping[str, Path]) -> DataPlace:
        """Return the place as if it held only some of its files."""
        return replace(self, names={path.name: path for path in kept.values()})

    def matching(self, pattern: re.Pattern[str]) -> dict[str, Path]:
        """Return the files whose whole name, without ``.gz``, a pattern matches, by what its group NAME holds.

        Where a file was given, only that one.
        """
        paths = {}
        for name, path in self.names.items():
            if self.chosen is None or name == self.chosen.name:
                match = pattern.fullmatch(name.removesuffix(".gz"))
                if match is not None:
                    paths[match["NAME"]] = path
        return paths

    def one(self, pattern: re.Pattern[str], what: str) -> tuple[str, Path] | None:
        """Return the one file that `matching` finds, and what its group NAME holds; None where it finds none.

        Of several, the one that is called like the folder is taken.

        Raises:
            UserError: There are several, and none is called like the folder.

        """
        paths = self.matching(pattern)
        own = paths.get(self.path.stem if is_zip(self.path) else self.path.name)
        if own is not None:
            return next((name, path) for name, path in paths.items() if path == own)
        if len(paths) > 1:
            names = ", ".join(path.name for path in paths.values())
            raise UserError(f"{self.path}: several {what} ({names}); give the path of one of them")
        return next(iter(paths.items()), None)

    def zips(self) -> list[Path]:
        """Return the zips of a folder."""
        if not self.path.is_dir():
            return []
        return [path for name, path in self.names.items() if name.endswith(".zip")]


def is_zip(path: Path) -> bool:
    """Say whether a path is that of a zip, by its name or its first bytes."""
    if not path.is_file():
        return False
    if path.suffix == ".zip":
        return True
    try:
        with path.open("rb") as file:
            return file.read(len(ZIP_MAGIC)) == ZIP_MAGIC
    except OSError:
        return False


def archive_of(path: Path) -> Path:
    """Return the file on the disk that holds a path: the zip of a member, else the path itself."""
    if path.exists():
        return path
    return next((parent for parent in path.parents if parent.is_file()), path)


def _listed(folder: Path) -> dict[str, Path]:
    try:
        return {path.name: path for path in sorted(folder.iterdir()) if path.is_file()}
    except OSError as error:
        raise UserError(f"{folder}: cannot be listed ({error.strerror}); check its permissions") from error


def _members(path: Path) -> dict[str, Path]:
    """Return the files of a zip. Nothing is unpacked, and still no member may climb out."""
    paths: dict[str, Path] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError, OSError) as error:
        raise UserError(f"{path}: no whole zip file ({error}); delete it and fetch it anew") from error
    for name in sorted(names, key=lambda name: (name.count("/"), name)):
        member = PurePosixPath(name.replace("\\", "/"))
        if member.is_absolute() or ".." in member.parts or ":" in "".join(member.parts[:1]):
            raise UserError(f"{path}: member {name!r} climbs out of its folder; do not trust this file, fetch it anew")
        if not name.endswith("/") and not any(part.startswith(LITTER) for part in member.parts):
            paths.setdefault(member.name, path / name)
    return paths
