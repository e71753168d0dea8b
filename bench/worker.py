"""A process that measures the cases of one checkout and does what it is told, line by line.

It reads JSON lines on standard input and answers each with one on standard output; whatever else
writes to standard output goes to standard error. It waits in a read, so it takes no time from what
another process measures meanwhile, and ends when its input does::

    gate                              worker
      {"do": "plan", "job": ...}   ─▶   loads data, lists cases
      {"do": "open", "case": name} ─▶   builds, indexes
      {"do": "warm"}               ─▶   warms up
      {"do": "turn", "rounds": 20} ─▶   times
      {"do": "facts"}              ─▶   counts, ranks
      {"do": "close"}              ─▶   lets go of the case
"""

from __future__ import annotations

import json
import os
import sys
from typing import TextIO

from bench.running.worker import Worker


def main() -> None:
    """Answer lines until there are no more."""
    answers: TextIO = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not stand between answers
    worker = Worker()
    for line in sys.stdin:
        answers.write(json.dumps(worker.answer(line)) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
