"""What is kept of users who come back: hits, bytes, and the share from which keeping pays."""

import pytest
import torch

from bench.measure.clock import Clock
from bench.measure.instrument import Request
from bench.measure.returning import BreakEvenMeter, HitMeter, UserBytesMeter
from bench.measure.subject import Subject
from bench.records.cost import FurtherMeasure
from bench.records.model import Unavailable
from models.catalogue import History
from tests.tiny import build, catalogue, walks

CPU = torch.device("cpu")
METERS = (HitMeter(), UserBytesMeter(), BreakEvenMeter())


def request(name):
    recommender = build(name)
    recommender.index(catalogue())
    subject = Subject(name, recommender, [walks(4, shortest=4), walks(4, shortest=4, seed=1)], 3, CPU)
    return Request(subject, Clock(CPU), "float32", 1, 0)


@pytest.mark.parametrize("name", ["popularity", "sasrec"])
def test_where_nothing_is_kept_that_is_said(name):
    asked = request(name)
    for meter in METERS:
        assert meter.measure(asked) == Unavailable(unavailable="nothing is kept of users")


def test_hits_and_bytes_are_those_of_the_requests():
    asked = request("sasrec")
    model, (first, second) = asked.subject.recommender, asked.subject.batches
    model.remember([History(one.user, one.items[:-1]) for one in first])
    assert METERS[0].measure(asked) == Unavailable(unavailable="nobody asked yet")
    for number in range(2):
        asked.subject.request(number)
    known = {one.items[:-1] for one in first}
    expected = 100 * (len(first) + sum(one.items[:-1] in known for one in second)) / (len(first) + len(second))
    assert METERS[0].measure(asked).value == pytest.approx(expected)
    sizes = model.backbone.config
    assert METERS[1].measure(asked).value * 1024 == 2 * 4 * sizes.n_layer * sizes.n_embd * sizes.n_positions


class Ticks:
    """A clock by which each request takes what it is told."""

    def __init__(self, seconds):
        self.seconds = iter(seconds)

    def time(self, call):
        class Timed:
            wall_s = next(self.seconds)

        return call(), Timed


@pytest.mark.parametrize(
    ("known", "unknown", "whole", "expected"), [(1, 5, 3, 50), (1, 3, 3, 0), (1, 2, 3, 0), (4, 5, 3, None)]
)
def test_break_even_follows_from_what_requests_take(known, unknown, whole, expected):
    asked = request("sasrec")
    asked.subject.recommender.remember([])
    ticking = Request(asked.subject, Ticks([known] * 2 + [unknown] * 2 + [whole] * 2), "float32", 1, 0)
    found = METERS[2].measure(ticking)
    assert asked.subject.recommender.kept is None
    if expected is None:
        assert isinstance(found, Unavailable)
    else:
        assert isinstance(found, FurtherMeasure)
        assert found.value == pytest.approx(expected)
