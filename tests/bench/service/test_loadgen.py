"""LoadGen as second opinion: it asks the same service, and whatever it does ends as a line."""

import pytest

from bench.measure.outcome import unwatched
from bench.records.load import Offered, Peak
from bench.service import second_opinion as opinions
from bench.service.loadgen_client import read_log
from bench.service.peak import Batching
from bench.service.second_opinion import second_opinion
from bench.service.service import Service
from bench.service.session import Session
from tests.bench.service.sleepers import Sleeper, stall, subject

WARMED = 20


def session(service, **offered):
    asked = Offered(seconds=0.5, **offered)
    return Session(service, asked, unwatched, lambda _: None, lambda _, __: None, lambda _: None, 0.005)


@pytest.mark.minutes
def test_both_ask_the_same_service_and_say_how_far_they_are_apart():
    pytest.importorskip("mlperf_loadgen")
    with Service(subject(Sleeper(0.005)), workers=1) as service:
        peak = Peak(rate=60, low=60, high=60, window_ms=0, largest_batch=1)
        found = second_opinion(session(service, slo="2000ms@p90"), Batching(0.0, 1), 40.0, peak)
    for name in ("p99_s", "our_p99_s", "offline", "our_offline", "peak", "our_peak"):
        assert getattr(found, name) is None or getattr(found, name) > 0, name
    assert found.offline > 0
    assert found.p99_s > 0.005
    assert found.peak >= 60, "a limit this generous is kept at more than that"
    assert found.disagreement is not None
    assert ("differs from ours" in found.why) == (found.disagreement > 0.05)


def test_a_loadgen_that_waits_for_an_answer_for_ever_is_ended(monkeypatch):
    pytest.importorskip("mlperf_loadgen")
    monkeypatch.setattr(opinions, "START_S", 8.0)
    sleeper = Sleeper(0.0, {WARMED + 40: stall(600)})  # after the first 32 of ours
    with Service(subject(sleeper), workers=1) as service:
        found = second_opinion(session(service, slo="80ms@p50"), Batching(0.0, 1), 32.0, None)
    assert "LoadGen hung for" in found.why
    assert found.p99_s is None


def test_turns_begin_with_the_other_one_each_time_and_medians_are_told():
    asked = []

    def asker(name, values):
        return lambda turn: asked.append(name) or values[turn]

    found = opinions._in_turns(asker("ours", [3.0, 1.0, 2.0]), asker("theirs", [None, 5.0, None]))
    assert found == [2.0, 5.0]
    assert asked == ["ours", "theirs", "theirs", "ours", "ours", "theirs"]
    assert opinions._in_turns(asker("ours", [None] * 3)) == [None]


def test_a_machine_without_loadgen_is_told(monkeypatch, tmp_path):
    (tmp_path / "mlperf_loadgen.py").write_text("raise ImportError('none here')")
    monkeypatch.syspath_prepend(tmp_path)
    with Service(subject(Sleeper()), workers=1) as service:
        found = second_opinion(session(service, slo="80ms@p50"), Batching(0.0, 1), 32.0, None)
    assert "pip install mlcommons-loadgen" in found.why


def test_results_are_read_from_its_log(tmp_path):
    (tmp_path / "log").write_text(
        ':::MLLOG {"key": "result_validity", "value": "INVALID"}\nnoise\n'
        ':::MLLOG {"key": "result_99.00_percentile_latency_ns", "value": 5000000}\n'
        ':::MLLOG {"key": "result_invalid_reason", "value": "too slow"}\n'
    )
    found = read_log(tmp_path / "log")
    assert (found.valid, found.p99_s, found.completed, found.reason) == (False, 0.005, None, "too slow")
