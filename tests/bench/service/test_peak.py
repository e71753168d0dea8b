"""The search for the highest rate, on services whose highest rate is known."""

import numpy as np
import pytest

from bench.records.load import Offered, Slo, Verdict
from bench.service.asked import Heard
from bench.service.peak import FINE, ROUGH, Batching, Search
from bench.service.trial import summarise

SLO = Slo()


def queued(rate, seed, *, service_s, count=2000):
    """Simulate one server with a fixed service time, by Lindley's recursion."""
    arrivals = np.cumsum(np.random.default_rng(seed).exponential(1 / rate, count))
    done, taken = 0.0, np.zeros(count)
    for place, arrival in enumerate(arrivals):
        taken[place] = max(arrival, done)
        done = taken[place] + service_s
    received, ones = taken + service_s, np.ones(count, int)
    heard = Heard(arrivals, arrivals, taken, received, ones, ones, ended=float(received[-1]))
    return summarise(heard, SLO, rate=rate, seed=seed, window_s=0.0, largest=1)


def search(service_s, *, start=20.0, ticks=1000, **offered):
    """Search a server whose service time depends on the batching."""
    left = iter(range(ticks))

    def run(rate, seed, batching):
        return queued(rate, seed, service_s=service_s(batching))

    asked = Offered(slo=SLO, seeds=3, **offered)
    return Search(run, asked, start, lambda: next(left, None) is None)


def kept_on_average(rate, service_s):
    return np.mean([queued(rate, seed, service_s=service_s, count=20_000).within for seed in range(8)])


@pytest.mark.parametrize("start", [2.0, 60.0, 3000.0])
def test_the_highest_rate_is_found_from_wherever_the_search_starts(start):
    peak = search(lambda _: 0.01, start=start, windows_ms=[0.0], largest_batches=[1]).find()
    assert peak.low <= peak.rate <= peak.high
    assert len(set(peak.by_seed)) == 3
    assert kept_on_average(peak.rate / 1.2, 0.01) >= 0.99
    assert kept_on_average(peak.rate * 1.2, 0.01) < 0.99


def test_the_window_and_the_batch_that_carry_most_are_chosen():
    def service_s(batching):
        return 0.01 / {1: 1, 8: 2, 32: 1.5}[batching.largest] / {0.0: 1, 2.0: 1.4, 5.0: 1}[batching.window_ms]

    peak = search(service_s, windows_ms=[0.0, 2.0, 5.0], largest_batches=[1, 8, 32]).find()
    assert (peak.window_ms, peak.largest_batch) == (2.0, 8)
    assert peak.rate > 1.6 * search(lambda _: 0.01, windows_ms=[0.0], largest_batches=[1]).find().rate


def test_a_service_too_slow_for_one_user_has_no_rate_and_says_so():
    peak = search(lambda _: 0.2, windows_ms=[0.0], largest_batches=[1], start=5.0).find()
    assert (peak.rate, peak.low, peak.high, peak.by_seed) == (0, 0, 0, [])
    assert "does not keep 80ms@p99" in peak.why


def test_a_search_without_time_says_how_far_it_came():
    peak = search(lambda _: 0.01, windows_ms=[0.0], largest_batches=[1], ticks=3).find()
    assert "ran out of time" in peak.why
    assert peak.low == peak.rate > 0
    assert peak.high >= peak.rate


def test_without_time_a_rate_lies_below_the_least_that_was_missed_or_nothing_was_missed():
    def found(start, ticks):
        return search(lambda _: 0.01, windows_ms=[0.0], largest_batches=[1], start=start, ticks=ticks).find()

    early = found(2.0, ticks=2)
    assert (early.rate, early.high) == (early.low, early.low)
    assert early.why == "the search ran out of time: no higher rate was missed"
    later = found(20.0, ticks=3)
    assert later.rate < later.high <= 80
    assert later.why == "the search ran out of time"


def test_each_draw_of_arrivals_ends_within_the_step_that_it_promises():
    hunt = search(lambda _: 0.01, windows_ms=[0.0], largest_batches=[1])
    peak = hunt.find()
    for seed, rate in enumerate(peak.by_seed):
        missed = [one.rate for one in hunt.trials if one.seed == seed and one.verdict is not Verdict.MET]
        above = min(other for other in missed if other > rate)
        assert above / rate <= (FINE if seed else ROUGH) * 1.0001
    assert Batching(0.0, 1) == Batching(0.0, 1)
