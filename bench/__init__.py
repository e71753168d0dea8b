"""The harness: what is measured, how, and how it is told."""

import sys

from bench.ground import interrupts

if sys.argv[:1] == ["-m"]:  # as in `python -m bench.train`, whose own imports take seconds
    interrupts.quit_quietly()
