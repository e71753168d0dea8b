"""How every command of the harness ends: 0 done, 2 something the user can put right, 130 interrupted."""

from __future__ import annotations

import errno
import sys

import typer

from models.errors import UserError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS}
"""What a disk may say that the user can put right."""


def run(app: typer.Typer) -> None:
    """Run a command line; a `UserError` is one line on standard error and exit status 2, not a traceback."""
    try:
        app()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - rich would fold the line
        raise SystemExit(2) from None
    except OSError as error:
        if error.errno not in _FULL:
            raise
        print(f"error: {error.filename or 'the disk'}: {error.strerror}", file=sys.stderr)  # noqa: T201 - as above
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)  # noqa: T201 - as above
        raise SystemExit(130) from None
