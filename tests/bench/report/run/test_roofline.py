"""What the report says of the machine's limits."""

import pytest

from bench.records.conditions import Conditions, Energy, MachineState, Overhead, Repeats, Roofline
from bench.records.cost import Memory
from bench.records.model import Unavailable
from bench.report.run.money import read_prices
from bench.report.run.roofline import attained, describe, limits, live_roofline
from bench.report.run.tables import costs
from tests.bench.factories import make_latency, make_record
from tests.bench.report.test_report import render

WORK = Roofline(flops_per_s=1e11, bytes_per_s=2e10, flops=4e7, bytes=2e7, touched_bytes=1e7, bound_s=0.0005)
BOUND = {"roofline": WORK, "latency": make_latency(0.002)}


def test_what_is_attained_is_the_bound_over_the_median():
    assert attained(make_record(**BOUND)) == pytest.approx(0.25, rel=0.05)
    assert attained(make_record(roofline=Unavailable(unavailable="no peak"))) is None


def test_every_measured_limit_has_its_column():
    record = make_record(
        **BOUND,
        memory=Memory(
            peak_bytes=2**22, request_bytes=2**20, process_bytes=2**29, parts={"weights": 2**21, "trie": 2**20}
        ),
        energy=Energy(source="NVML", joules_per_1000_users=9.0, power_w=200, idle_power_w=60, window_s=3, updates=30),
        overhead=Overhead(seconds=4e-6, low=1e-6, high=7e-6, allowed_s=4e-5),
        repeats=Repeats(pairs=20, ratio=1.01, low=0.97, high=1.05),
    )
    (row,) = limits([record]).to_dict("records")
    assert row["share of p50"].startswith("2")
    assert row["FLOP/B"] == "2.00"
    assert row["timing adds"] == "4.0 µs [1.0, 7.0]"
    assert row["asked again"] == "1.01 [0.97, 1.05]"
    (spent,) = costs([record], read_prices()).to_dict("records")
    assert spent["made of"] == "weights 2.00 MiB, trie 1.00 MiB"
    assert spent["process memory"] == "512 MiB"
    assert spent["power"] == "200 W (60 W idle)"


def test_the_figure_that_answers_has_each_case_below_the_roof_of_its_machine():
    rows = live_roofline([make_record(**BOUND)]).rows
    (case,), roof = ([row for row in rows if row.get("line") is line] for line in (None, True))
    assert case["x"] == pytest.approx(2)
    assert case["dataset"] == "synthetic"
    assert [row["y"] for row in roof] == pytest.approx([100 / 3, 100, 100])
    assert "dataset" not in roof[0]
    assert {row["device"] for row in rows} == {case["device"]}


def test_limits_know_what_they_are_chosen_by():
    assert limits([make_record(**BOUND)])["case"][0].facets["batch"] == "32"


def test_old_records_have_no_such_table(tmp_path):
    assert list(limits([make_record()]).columns) == ["case"]
    out = render(tmp_path, [make_record()])
    assert "Against the machine's limits" not in (out / "report.md").read_text()
    assert not (out / "figures" / "roofline.png").exists()


def test_the_figure_is_drawn_and_told(tmp_path):
    out = render(tmp_path, [make_record(**BOUND), make_record("sasrec", **BOUND)])
    assert (out / "figures" / "roofline.png").exists()
    assert (
        "Against the machine&#39;s limits" in (out / "index.html").read_text()
        or "limits</h2>" in (out / "index.html").read_text()
    )
    assert "25" in describe([make_record(**BOUND)]) or "24" in describe([make_record(**BOUND)])


def test_an_unstable_case_and_costly_timing_are_to_be_distrusted(tmp_path):
    state = MachineState()
    record = make_record(
        conditions=Conditions(before=state, after=state, threads=1, unstable="4 of 10 turns were disturbed: by others"),
        overhead=Overhead(seconds=9e-5, low=8e-5, high=1e-4, allowed_s=4e-5),
        flops={"per_user": 4e6, "forward_per_user": 2e6, "fvcore_per_user": 2e6, "closed_form_per_user": 2.1e6},
    )
    text = (render(tmp_path, [record]) / "report.md").read_text()
    assert "Unstable, 4 of 10 turns were disturbed: by others: Lite-LLM4Rec." in text
    assert "Timing adds 90 µs to a call, more than the 40 µs that it may" in text
    assert "The closed formula gives +5.0% against FlopCounterMode" in text
