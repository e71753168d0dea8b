"""Interactive figures of growth: what is drawn, and what it is chosen by."""

import pytest

from bench.report.growth.laws import growths
from bench.report.growth.live import live_latency, live_memory, live_residuals
from bench.report.growth.sweeps import sweeps
from tests.bench.report.growth.test_crossings import GROWING, STEADY, line
from tests.bench.report.growth.test_sweeps import BEAMS, LITE


def drawn(records):
    swept = sweeps(records)
    return live_latency(swept, growths(swept)).rows


def named(rows, name):
    return [row for row in rows if row["name"] == name]


def test_what_is_swept_is_not_what_a_mark_is_chosen_by():
    rows = drawn([*GROWING, *STEADY])
    assert all("batch" not in row for row in rows)
    assert {row["dataset"] for row in rows} == {"synthetic"}
    assert {row.get("decoder") for row in rows} == {None, "exact"}
    assert [row["x"] for row in named(rows, "Lite-LLM4Rec") if row.get("marked")] == [1, 4, 16, 64]


def test_a_law_is_drawn_as_a_curve_and_without_one_points_are_joined():
    rows = named(drawn([*GROWING, *STEADY]), "Lite-LLM4Rec")
    assert not any(row["line"] for row in rows if row.get("marked"))
    curve = [row["y"] for row in rows if not row.get("marked")]
    assert curve == sorted(curve)
    assert curve[0] == pytest.approx(1.2, rel=0.05)
    short = named(drawn([*GROWING[:3], *STEADY]), "Lite-LLM4Rec")
    assert len(short) == 3
    assert all(row["line"] for row in short)


def test_where_laws_cross_stands_a_soft_ring_that_every_decoder_keeps():
    (ring,) = [row for row in drawn([*GROWING, *STEADY]) if row.get("backdrop")]
    assert ring["name"].startswith("cross at 2")
    assert ring["hollow"]
    assert not ring.keys() & {"kind", "decoder", "batch"}
    assert ring["told"].startswith("Lite-LLM4Rec is faster up to")


def test_what_has_no_beams_is_a_dashed_line_over_all_widths():
    rows = named(drawn([*BEAMS, LITE]), "Lite-LLM4Rec")
    assert [(row["x"], row["y"], row["dashed"]) for row in rows] == [
        (20, pytest.approx(2, rel=0.05), True),
        (500, pytest.approx(2, rel=0.05), True),
    ]
    assert rows[-1]["few"]
    memory = live_memory(sweeps([*BEAMS, LITE])).rows
    assert [row["y"] for row in named(memory, "TIGER, exact")] == [20, 100, 500]


def test_sweeps_that_cannot_be_chosen_apart_say_in_their_names_what_they_are():
    longer = line("lite-llm4rec", lambda x: 0.002 * x, k=100)
    names = {row["name"] for row in drawn([*GROWING, *longer])}
    assert names == {"Lite-LLM4Rec, top 20", "Lite-LLM4Rec, top 100"}
    halves = line("lite-llm4rec", lambda x: 0.002 * x, dtype="bfloat16")
    assert {row["name"] for row in drawn([*GROWING, *halves])} == {"Lite-LLM4Rec"}


def test_residuals_are_drawn_around_nothing_with_their_intervals():
    figure = live_residuals(growths(sweeps([*GROWING, *STEADY])))
    rows = named(figure.rows, "Lite-LLM4Rec")
    assert [row["x"] for row in rows] == [1, 4, 16, 64]
    assert all(row["low"] <= row["y"] <= row["high"] and abs(row["y"]) < 10 for row in rows)
    assert figure.spec["layer"][0]["encoding"]["y"]["datum"] == 0


def test_samples_that_are_all_alike_have_no_bar():
    alike = [
        record.model_copy(
            update={"latency": LITE.latency.model_copy(update={"samples_s": [0.002] * LITE.latency.rounds})}
        )
        for record in GROWING
    ]
    assert not any("low" in row for row in live_latency(sweeps(alike), []).rows)
