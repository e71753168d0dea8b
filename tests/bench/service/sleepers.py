"""A recommender that takes as long as it is told, fails, stalls, hangs or ends its process on demand."""

import multiprocessing
import os
import time

import torch
from transformers import BatchFeature

from bench.measure.subject import Subject
from models.ragged import pad
from models.recommender import Recommender
from models.serving import Recommendations
from tests.tiny import catalogue, walks

CPU = torch.device("cpu")


class Sleeper(Recommender):
    """Sleeps, then lists the items 1..k; `acts` says what else happens at the so-manieth request of a worker."""

    def __init__(self, seconds=0.0, acts=None):
        super().__init__()
        self.seconds, self.acts, self.asked = seconds, acts or {}, 0

    def index(self, catalogue):
        pass

    def prepare(self, histories):
        return BatchFeature({"items": pad([history.items for history in histories])})

    def recommend(self, inputs, k):
        self.asked += multiprocessing.parent_process() is not None
        if self.asked in self.acts:
            self.acts[self.asked]()
        elif self.seconds:
            time.sleep(self.seconds)
        rows = len(inputs["items"])
        seen = [set(row.tolist()) for row in inputs["items"]]
        items = [[item for item in range(1, 41) if item not in one][:k] for one in seen]
        return Recommendations(torch.tensor(items), torch.arange(k, 0, -1.0).repeat(rows, 1))


def fail():
    raise ValueError("no such luck")


def end():
    os._exit(3)


def stall(seconds):
    return lambda: time.sleep(seconds)


def subject(recommender, *, users=16, k=3, name="sleeper"):
    recommender.index(catalogue())
    return Subject(name, recommender.eval(), [[history] for history in walks(users)], k, CPU, 40)
