"""The two sides of a gate: the working folder, and a revision, another checkout, or a results file."""

from __future__ import annotations

import hashlib
import io
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.ground.home import home
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
    if not against.strip():
        raise UserError(
            "--against: names nothing (a variable that is not set?); give a git revision, a folder or a results file"
        )
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


def code_of(origins: Mapping[str, str]) -> str:
    """Return the SHA-256 of the code that a worker runs: all modules and TOMLs of the packages that it imported.

    Args:
        origins: Files by module, as the worker says where it imported them from.

    """
    digest = hashlib.sha256()
    for top in sorted({_top(name, Path(file)) for name, file in origins.items()}, key=lambda path: path.name):
        files = sorted(path for pattern in CODE for path in top.rglob(pattern)) if top.is_dir() else [top]
        for path in files:
            digest.update(path.relative_to(top.parent).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()


def _top(module: str, file: Path) -> Path:
    """Return the folder of a module's top package; the file itself where it is in none."""
    top = file.parent if file.stem == "__init__" else file
    for _ in module.split(".")[1:]:
        top = top.parent
    return top


def check_origins(side: Side, origins: Mapping[str, str]) -> None:
    """See that what a side's worker runs is the side's own code, at least in part.

    Args:
        side: Whose worker.
        origins: Files by module, as the worker says where it imported them from.

    Raises:
        UserError: None of them lies in the side's tree: what ran is an installed copy, or another checkout.

    """
    if not any(Path(file).is_relative_to(side.top.resolve()) for file in origins.values()):
        ran = ", ".join(sorted({str(Path(file).parent) for file in origins.values()}))
        raise UserError(
            f"{side.name}: holds no code that is measured; what would run lies in {ran}; name a git revision, or the "
            "folder of a checkout"
        )


def check_different(base: Mapping[str, str], head: Mapping[str, str]) -> None:
    """See that two sides do not run the very same files.

    Raises:
        UserError: They do, so that a verdict would say nothing.

    """
    if set(base.values()) == set(head.values()):
        raise UserError(
            "--against: base and head run the same files, so that there is nothing to compare; name a git revision or "
            "another checkout"
        )


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
