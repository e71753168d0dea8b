"""Scenarios that ask a service: what a case gets, what an interruption spares, and failures as rows."""

import pytest
import torch

from bench.measure.clock import Clock
from bench.measure.latency import TimingPlan, summarise
from bench.measure.outcome import Failure
from bench.records.case import Outcome
from bench.records.load import Offered
from bench.scenarios.scenarios import SCENARIOS
from bench.scenarios.served import Served
from models.errors import UserError
from tests.bench.service.sleepers import Sleeper, end, stall, subject

CPU = torch.device("cpu")
WARMED = 20
"""Requests that a worker makes before it says that it is ready."""


def serve(name, *subjects, kept=None, timeout_s=None, **offered):
    kept = {} if kept is None else kept
    plan = TimingPlan(
        offered=Offered(workers=1, **offered),
        timeout_s=timeout_s,
        recall=lambda key: kept.get(repr(key)),
        keep=lambda key, value: kept.update({repr(key): value}),
    )
    return SCENARIOS[name].time(subjects, plan, Clock(CPU))


def test_an_open_loop_at_a_rate_tries_each_draw_of_arrivals_and_keeps_the_samples_of_the_first():
    found = serve("open", subject(Sleeper(0.001)), rate=100, seconds=0.5, seeds=2, slo="80ms@p50")["sleeper"]
    first, second = found.load.trials
    assert (first.seed, second.seed, found.load.peak) == (0, 1, None)
    latency = summarise(found, 1, Clock(CPU))
    assert latency.rounds == first.answered == first.sent
    assert latency.p50_s == pytest.approx(first.latency.p50_s)
    assert latency.users_per_second == pytest.approx(first.achieved)
    assert len(found.answers) == 16


def test_offline_sends_all_at_once_and_tells_the_batch_that_answers_most():
    found = serve("offline", subject(Sleeper(0.01)), seconds=1.0, largest_batches=[1, 8])["sleeper"]
    rates = {trial.largest_batch: trial.achieved for trial in found.load.trials}
    assert all(trial.rate is None for trial in found.load.trials)
    assert rates[8] > 3 * rates[1]
    assert found.users_per_second == rates[8]


def test_a_trace_is_replayed(tmp_path):
    (tmp_path / "trace").write_text("\n".join(str(3 + place / 50) for place in range(26)))
    asked = SCENARIOS["trace"].offered(Offered(trace=str(tmp_path / "trace")), CPU)
    assert asked.rate == pytest.approx(52)
    found = serve("trace", subject(Sleeper()), trace=str(tmp_path / "trace"))["sleeper"]
    assert [trial.sent for trial in found.load.trials] == [26]


def test_a_search_that_was_interrupted_goes_on_with_the_trials_it_had(monkeypatch):
    kept, asked = {}, {"slo": "20ms@p50", "seconds": 0.5, "seeds": 1, "windows_ms": [0.0], "largest_batches": [1]}
    first = serve("open", subject(Sleeper(0.004)), kept=kept, **asked)["sleeper"].load
    assert first.peak.rate > 0
    assert [trial.rate for trial in first.trials] == sorted(trial.rate for trial in first.trials)
    known = dict(kept)
    again = serve("open", subject(Sleeper(0.004)), kept=kept, **asked)["sleeper"].load
    assert kept == known, "no rate was tried that was not tried before"
    assert (again.searched, again.peak) == (first.searched, first.peak)


def test_a_worker_that_ends_and_one_that_hangs_are_rows_and_the_next_case_is_served():
    found = serve(
        "open",
        subject(Sleeper(0.0, {WARMED + 7: end}), name="ends"),
        subject(Sleeper(0.0, {WARMED + 7: stall(600)}), name="hangs"),
        subject(Sleeper(), name="answers"),
        rate=100, seconds=1, seeds=1, slo="80ms@p50", timeout_s=1.0,
    )  # fmt: skip
    assert isinstance(found["ends"], Failure)
    assert found["ends"].outcome is Outcome.CRASHED
    assert found["hangs"].outcome is Outcome.TIMED_OUT
    assert found["answers"].load.trials[0].answered > 50


def test_a_trace_without_a_file_is_refused_and_workers_leave_a_core_to_the_client(monkeypatch):
    with pytest.raises(UserError, match="--arrivals FILE"):
        SCENARIOS["trace"].offered(Offered(), CPU)
    monkeypatch.setattr("os.cpu_count", lambda: 6)
    workers = {device: SCENARIOS["open"].offered(Offered(), torch.device(device)).workers for device in ("cpu", "cuda")}
    assert workers == {"cpu": 5, "cuda": 1}
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    assert SCENARIOS["open"].offered(Offered(), CPU).workers == 1
    assert SCENARIOS["closed"].offered(Offered(), CPU) is None
    assert issubclass(type(SCENARIOS["open"]), Served)
