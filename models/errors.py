"""The one error that users see as a line instead of a traceback."""


class UserError(Exception):
    """Something the user can put right: the message says what is wrong, where, and what to do.

    Commands print it as one line and exit with status 2 (see `bench.cli.ending.run`).
    """
