"""Recommenders that go wrong, each in one way: `--recommender tests.breaking:Short`."""

import os
import signal
import sys
import time

import torch
from transformers import BatchFeature

from models.ragged import pad
from models.ranking.lists import top_items
from models.recommender import Recommender
from models.serving import Recommendations

ITEMS = 40


class Constant(Recommender):
    """Sound: every item has the same score."""

    def __init__(self, items):
        super().__init__()
        self.items = items
        self.register_buffer("score", torch.zeros(items + 1))

    @classmethod
    def build(cls, catalogue, histories, settings):
        return cls(len(catalogue))

    def index(self, catalogue):
        """Nothing to do."""

    def prepare(self, histories):
        return BatchFeature({"seen": pad([history.items for history in histories])})

    def scores(self, users):
        return self.score.expand(users, -1).clone()

    def recommend(self, inputs, k):
        return top_items(self.scores(len(inputs["seen"])), k, inputs["seen"])


class ByNumber(Constant):
    """Sound: the item with the highest number comes first."""

    def scores(self, users):
        return torch.arange(self.items + 1).float().expand(users, -1).clone()


class ByNumberBackwards(ByNumber):
    """Sound: the item with the lowest number comes first."""

    def scores(self, users):
        return -super().scores(users)


class NotANumber(Constant):
    """Every score is NaN."""

    def scores(self, users):
        return torch.full((users, self.items + 1), float("nan"))


class OutOfRange(Constant):
    """Names items that the catalogue does not have."""

    def recommend(self, inputs, k):
        users = len(inputs["seen"])
        items = (torch.arange(k) + self.items).expand(users, -1).clone()
        return Recommendations(items, -torch.arange(k).float().expand(users, -1).clone())


class Short(Constant):
    """Gives three items, whatever k."""

    def recommend(self, inputs, k):
        users = len(inputs["seen"])
        return Recommendations(torch.arange(1, 4).expand(users, -1).clone(), torch.zeros(users, 3))


class Repeats(Constant):
    """Gives one item k times, with equal scores."""

    def recommend(self, inputs, k):
        users = len(inputs["seen"])
        return Recommendations(torch.ones(users, k, dtype=torch.long), torch.zeros(users, k))


class Rising(Constant):
    """Puts the best item last."""

    def recommend(self, inputs, k):
        found = super().recommend(inputs, k)
        return Recommendations(found.items, torch.arange(k).float().expand(len(found.items), -1).clone())


class Exits(Constant):
    """Ends its process."""

    def recommend(self, inputs, k):
        os._exit(7)


class SystemExits(Constant):
    """Ends its process as a script would."""

    def recommend(self, inputs, k):
        sys.exit(0)


class Interrupts(Constant):
    """Raises what Ctrl-C raises."""

    def recommend(self, inputs, k):
        raise KeyboardInterrupt


class Segfaults(Constant):
    """Is killed by the system while it is indexed."""

    def index(self, catalogue):
        os.kill(os.getpid(), signal.SIGSEGV)


class Hangs(Constant):
    """Is never done building, and swallows every exception that should end it."""

    @classmethod
    def build(cls, catalogue, histories, settings):
        while True:
            try:
                time.sleep(60)
            except BaseException:  # noqa: BLE001 - what it is for
                continue


class Greedy(Constant):
    """Takes memory until there is none."""

    def recommend(self, inputs, k):
        kept = []
        while True:
            kept.append(torch.ones(1 << 26))
