"""How every command of the harness ends: 0 done, 2 something the user can put right, 130 interrupted."""

from __future__ import annotations

import errno
import sys
from typing import Any

import typer

from bench.ground import interrupts
from models.errors import UserError

USAGE = 2

UsageError: Any = typer.BadParameter.__bases__[0]
"""What typer raises for every kind of wrong option; by this way its name is the same in all versions of typer."""

_PUT_RIGHT = frozenset(
    {
        errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EPERM, errno.EROFS, errno.EISDIR, errno.ENOTDIR,
        errno.ENAMETOOLONG, errno.ELOOP, errno.EMFILE, errno.ENFILE, errno.ETXTBSY,
    }
)  # fmt: skip
"""What the system may say of a file that the user can put right."""


def run(app: typer.Typer) -> None:
    """Run a command line; what the user can put right is one line on standard error, not a traceback.

    Args:
        app: The command.

    Raises:
        SystemExit: In any case, with the status.

    """
    interrupts.hand_back()
    try:
        status = app(standalone_mode=False)
    except UserError as error:
        status = _refused(str(error))
    except UsageError as error:
        status = _refused(f"{error.format_message()} (--help lists the options)")
    except MemoryError as error:
        said = f" ({error})" if str(error) else ""
        status = _refused(f"not enough memory{said}: give a smaller dataset, catalogue or batch")
    except OSError as error:
        if error.errno not in _PUT_RIGHT:
            raise
        status = _refused(f"{error.filename or 'the disk'}: {error.strerror}")
    except (KeyboardInterrupt, typer.Abort):
        status = interrupts.STATUS
    if status == interrupts.STATUS:
        interrupts.ignore()
        _say(interrupts.LINE)
    raise SystemExit(status if isinstance(status, int) else 0)


def _refused(line: str) -> int:
    _say(f"error: {' '.join(line.split())}")
    return USAGE


def _say(line: str) -> None:
    print(line, file=sys.stderr)  # noqa: T201 - rich would fold the line
