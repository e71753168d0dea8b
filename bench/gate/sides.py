"""The two sides of a gate: the working folder, and a revision, another checkout, or a results file."""

from __future__ import annotations

import hashlib
import io
import shutil
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

from bench.home import home
from models.errors import UserError

CODE = ("*.py", "*.toml")
"""What of files that git does not follow is code; the rest may be anybody's output."""


@dataclass(frozen=True)
class Side:
    """Code that can be measured.

    Attributes:
        name: As messages call it.
        folder: Where its processes run.
        top: The checkout that the folder lies in; the folder itself where there is no git.

    """

    name: str
    folder: Path
    top: Path


def head_side() -> Side:
    """Return the working folder as it is, uncommitted changes included."""
    folder = Path.cwd()
    revision = _git("rev-parse", "--short", "HEAD")
    if revision is None:
        return Side(str(folder), folder, folder)
    changed = ", with uncommitted changes" if _git("status", "--porcelain") else ""
    return Side(f"working folder ({revision}{changed})", folder, Path(_git("rev-parse", "--show-toplevel") or folder))


def fingerprint(side: Side) -> str | None:
    """Return what changes when the code of a working folder does; None outside of git."""
    revision = _git("rev-parse", "HEAD", folder=side.top)
    if revision is None:
        return None
    changes = _git("diff", "HEAD", folder=side.top) or ""
    names = (_git("ls-files", "--others", "--exclude-standard", "--", *CODE, folder=side.top) or "").splitlines()
    files = [(name, (side.top / name).stat().st_mtime_ns) for name in names if (side.top / name).is_file()]
    return hashlib.sha256(repr((revision, changes, files)).encode()).hexdigest()


def base_side(against: str) -> Side | Path:
    """Find what head is compared with.

    Args:
        against: A git revision, the folder of another checkout, or a results file.

    Returns:
        A side, or the path of a results file.

    Raises:
        UserError: It is none of these, or cannot be unpacked.

    """
    path = Path(against)
    if path.is_file():
        return path
    if path.is_dir():
        folder = path.resolve()
        top = Path(_git("rev-parse", "--show-toplevel", folder=folder) or folder)
        if Path.cwd().is_relative_to(top):  # a folder within our own repository is no checkout of git's
            top = folder
        return Side(f"checkout {against}", folder, top)
    revision = _git("rev-parse", "--verify", "--quiet", f"{against}^{{commit}}")
    if revision is None:
        raise UserError(
            f"--against {against}: no such file, folder or git revision; in CI, fetch it first "
            "(actions/checkout with fetch-depth: 0)"
        )
    prefix = _git("rev-parse", "--show-prefix") or ""
    name = against if revision.startswith(against) else f"{against} ({revision[:7]})"
    top = _unpacked(revision)
    if not (top / prefix).is_dir():
        raise UserError(f"--against {against}: there is no {prefix} in it; run the gate from a folder that both have")
    return Side(name, top / prefix, top)


def _unpacked(revision: str) -> Path:
    """Return a folder with the tree of a commit; it is made once and appears whole or not at all."""
    folder = home("gate", "checkouts").resolve() / revision
    if folder.exists():
        return folder
    unfinished = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{revision}."))
    try:
        packed = subprocess.run(  # noqa: S603 - a commit's hash
            ["git", "-C", str(_git("rev-parse", "--show-toplevel")), "archive", "--format=tar", revision],  # noqa: S607
            capture_output=True,
            check=True,
        )
        with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
            archive.extractall(unfinished, filter="data")
        unfinished.replace(folder)
    except (subprocess.CalledProcessError, tarfile.TarError, OSError) as error:
        if folder.exists():  # another gate was quicker
            return folder
        said = error.stderr.decode(errors="replace").strip() if isinstance(error, subprocess.CalledProcessError) else ""
        raise UserError(f"commit {revision} cannot be unpacked into {folder.parent}: {said or error}") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return folder


def _git(*words: str, folder: Path | None = None) -> str | None:
    """Return what git prints there, or None where it fails."""
    try:
        done = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=True)  # noqa: S603, S607
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
