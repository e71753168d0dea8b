"""A suite of seconds, recommenders of one's own, and what a run of them saved."""

import json
from pathlib import Path

import bench
from bench.records.record import Record

BENCH = Path(bench.__file__).parent

SUITE = """
description = "tiny"
datasets = ["synthetic"]
synthetic = { users = 40, items = 30, length = 8 }
batch_sizes = [4]
k = 5
beam_widths = [5]
train_minutes = 0.02
case_seconds = 0.05
min_rounds = 3

[[recommenders]]
name = "popularity"

[[recommenders]]
name = "sasrec"
"""

OURS = """
    import multiprocessing
    import os
    import time
    import torch
    from transformers import BatchFeature
    from models.ragged import pad
    from models.recommender import Recommender
    from models.serving import Recommendations
    from models.ranking.lists import top_items

    class Ours(Recommender):
        labels = ("one of our own",)

        def index(self, catalogue):
            self.items = len(catalogue)

        def prepare(self, histories):
            return BatchFeature({"seen": pad([history.items for history in histories])})

        def recommend(self, inputs, k):
            scores = -torch.arange(self.items + 1).float().expand(len(inputs["seen"]), -1).clone()
            return top_items(scores, k, inputs["seen"])

    class Greedy(Ours):
        def recommend(self, inputs, k):
            raise MemoryError

    class Slow(Ours):
        def index(self, catalogue):
            time.sleep(30)

    class Broken(Ours):
        def index(self, catalogue):
            raise ZeroDivisionError("no items per shelf")

    class Fickle(Ours):
        def recommend(self, inputs, k):
            found = super().recommend(inputs, k)
            if len(found.items) < 5:  # evaluation asks for more users at a time
                return Recommendations(found.items.roll(1, 1), found.scores)
            return found

    class Keeping(Ours):
        kept = {}

        def prepare(self, histories):
            key = tuple(history.user for history in histories)
            if key not in self.kept:
                time.sleep(0.003)
            self.kept[key] = True
            return super().prepare(histories)

    class Slowable(Ours):
        def recommend(self, inputs, k):
            time.sleep(0.02 if os.path.exists("slow") else 0.001)
            return super().recommend(inputs, k)

    class Counting(Ours):
        def index(self, catalogue):
            super().index(catalogue)
            if multiprocessing.parent_process() is None:
                with open("indexed.txt", "a") as file:
                    file.write("once ")
"""


def saved(home):
    """Return the one results file."""
    (path,) = [path for path in (home / "results").glob("*/*.json") if path.parent.name != "unfinished"]
    return json.loads(path.read_text())


def failures(home):
    return {record.case.recommender: record for record in map(Record.model_validate, saved(home)["failed_cases"])}


def ours(*names):
    return [f"--recommender=ours:{name}" for name in names]


def saved_last(home):
    return json.loads(max((home / "results").glob("*/*.json"), key=lambda path: path.stat().st_mtime_ns).read_text())
