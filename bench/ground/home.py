"""Where things live at run time: one folder, safe to delete."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from models.errors import UserError


def home(*parts: str) -> Path:
    """Return a folder of ours, made if need be: `.bench/` here, or below ``BENCH_HOME``.

    Raises:
        UserError: It cannot be made.

    """
    root = Path(os.environ.get("BENCH_HOME") or ".bench")
    folder = root.joinpath(*parts)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"{folder} cannot be made ({error.strerror}): set BENCH_HOME to a folder you may write"
        ) from error
    with suppress(OSError):  # a courtesy to repositories that do not ignore the folder
        if not (root / ".gitignore").exists():
            (root / ".gitignore").write_text("*\n")
    return folder


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` that replaces it on success and vanishes on failure."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
    os.close(descriptor)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
