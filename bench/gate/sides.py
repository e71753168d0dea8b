"""The two sides of a gate: the working folder, and a revision, another checkout, or a results file."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

from bench.home import home
from models.errors import UserError


@dataclass(frozen=True)
class Side:
    """Code that can be measured.

    Attributes:
        name: As messages call it.
        folder: Where its processes run.

    """

    name: str
    folder: Path


def head_side() -> Side:
    """Return the working folder as it is, uncommitted changes included."""
    folder = Path.cwd()
    revision = _git("rev-parse", "--short", "HEAD")
    if revision is None:
        return Side(str(folder), folder)
    changed = ", with uncommitted changes" if _git("status", "--porcelain") else ""
    return Side(f"working folder ({revision}{changed})", folder)


def base_side(against: str) -> Side | Path:
    """Find what head is compared with.

    Args:
        against: A git revision, the folder of another checkout, or a results file.

    Returns:
        A side, or the path of a results file.

    Raises:
        UserError: It is none of these.

    """
    path = Path(against)
    if path.is_file():
        return path
    if path.is_dir():
        return Side(f"checkout {against}", path.resolve())
    revision = _git("rev-parse", "--verify", "--quiet", f"{against}^{{commit}}")
    if revision is None:
        raise UserError(
            f"--against {against}: no such file, folder or git revision; in CI, fetch it first "
            "(actions/checkout with fetch-depth: 0)"
        )
    prefix = _git("rev-parse", "--show-prefix") or ""
    name = against if revision.startswith(against) else f"{against} ({revision[:7]})"
    return Side(name, _unpacked(revision) / prefix)


def _unpacked(revision: str) -> Path:
    """Return a folder with the tree of a commit; it is made once and appears whole or not at all."""
    folder = home("gate", "checkouts").resolve() / revision
    if not folder.exists():
        top = _git("rev-parse", "--show-toplevel")
        packed = subprocess.run(  # noqa: S603 - a commit's hash
            ["git", "-C", str(top), "archive", "--format=tar", revision],  # noqa: S607
            capture_output=True,
            check=True,
        )
        unfinished = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{revision}."))
        try:
            with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
                archive.extractall(unfinished, filter="data")
            unfinished.replace(folder)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    return folder


def _git(*words: str) -> str | None:
    """Return what git prints here, or None where it fails."""
    try:
        done = subprocess.run(["git", *words], capture_output=True, text=True, check=True)  # noqa: S603, S607
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
