"""A sweep of 12 cases that are quickly measured."""

from bench.cli.loading import Loading
from bench.fleet.launching import sweep_of
from bench.fleet.sweep import Sweep, fill

SUITE = """
description = "tiny"
datasets = ["synthetic"]
synthetic = { users = 40, items = 30, length = 8 }
batch_sizes = [1, 2, 3, 4, 5, 6]
k = 5
case_seconds = 0.2
min_rounds = 3
untrained = true
own_process = false
recommenders = [{ name = "tests.breaking:ByNumber" }, { name = "tests.breaking:ByNumberBackwards" }]
"""
CASES = 12


def write_suite(folder, text=SUITE):
    """Write the suite's file."""
    path = folder / "tiny.toml"
    path.write_text(text)
    return path


def filled(folder, *, text=SUITE, **changes):
    """Return a filled queue, and what stands in it."""
    options = {"size": None, "only": [], "sources": [], "loading": Loading(), "device": "cpu", "threads": 1}
    sweep = sweep_of(str(write_suite(folder, text)), **options | {"dead_after_s": 60.0} | changes)
    queue = fill(sweep, folder / "queue")
    return queue, Sweep.read(queue)
