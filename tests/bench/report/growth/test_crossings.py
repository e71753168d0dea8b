"""Where laws cross, how sure that is, and what is said and marked of it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib import pyplot as plt

from bench.report.growth.crossings import (
    crossings,
    describe_crossings,
    draw_laws,
    find,
    first_turn,
    log_ratio,
    overtaking,
)
from bench.report.growth.laws import growths
from bench.report.growth.sweeps import draw_latency, sweeps
from bench.statistics.growth import Form, Laws
from tests.bench.factories import make_case, make_latency, make_record

PLACES = np.geomspace(1, 10_000, 400)
BATCHES = (1, 4, 16, 64)


def law(a, b=0.0, c=1.0):
    return Laws(Form.FULL, *(np.atleast_1d(np.asarray(value, dtype=float)) for value in (a, b, c)))


def overtaken(first, second):
    """Where the first of each two laws becomes the slower, on a line between neighbouring places."""
    return first_turn(log_ratio(first, second, PLACES), PLACES)


def line(recommender, time_of, values=BATCHES, spread=1.0, **case):
    """Records by batch size; their samples spread by 5 % times `spread`."""
    records = []
    for size in values:
        latency = make_latency(1.0, seed=len(recommender) + size)
        samples = time_of(size) * np.array(latency.samples_s) ** spread
        latency = latency.model_copy(update={"samples_s": samples.tolist(), "p50_s": float(np.median(samples))})
        records.append(make_record(case=make_case(recommender, batch_size=size, **case), latency=latency))
    return records


def grown(*records):
    return growths(sweeps([one for group in records for one in group]))


GROWING = line("lite-llm4rec", lambda x: 0.001 + 0.0002 * x)
STEADY = line("tiger", lambda _: 0.005, decoder="exact", beam_width=20)


@given(st.floats(2, 5000), st.floats(0.2, 2.5), st.floats(0.1, 0.9))
@settings(max_examples=60, deadline=None)
def test_the_crossing_of_two_known_laws_is_found(at, c, share):
    """A constant 1 and a law that is 1 at `at`, whatever its parts."""
    rising = law(1 - share, share / at**c, c)
    assert overtaking(rising, law(1.0), PLACES) == pytest.approx(at, rel=1e-6)
    assert overtaken(rising, law(1.0))[0] == pytest.approx(at, rel=1e-3)
    assert overtaking(law(1.0), rising, PLACES) is None
    assert np.isnan(overtaken(law(1.0), rising)[0])


def test_laws_that_cross_twice_cross_once_in_each_direction():
    """A root is faster than a straight line at first and at last, and slower between."""
    straight, bent = law(2.0, 0.1, 1.0), law(0.0, 1.5, 0.5)
    first, second = overtaking(bent, straight, PLACES), overtaking(straight, bent, PLACES)
    assert first == pytest.approx(((1.5 - np.sqrt(1.5**2 - 0.8)) / 0.2) ** 2)
    assert second == pytest.approx(((1.5 + np.sqrt(1.5**2 - 0.8)) / 0.2) ** 2)


def test_a_crossing_on_a_place_is_found_once_and_equal_laws_never_cross():
    assert overtaking(law(0.0, 1.0), law(10.0), np.array([1.0, 10.0, 100.0])) == pytest.approx(10)
    assert overtaking(law(1.0, 1.0), law(1.0, 1.0), PLACES) is None
    assert np.isnan(overtaken(law(1.0, 1.0), law(1.0, 1.0))).all()


def test_many_pairs_are_crossed_at_once():
    rising = law([0.0, 0.0, 0.0], [1.0, 0.1, 1e-9], [1.0, 1.0, 1.0])
    assert overtaken(rising, law([50.0, 50.0, 50.0])) == pytest.approx([50, 500, np.nan], rel=1e-3, nan_ok=True)


def test_a_crossing_inside_the_measured_range_is_interpolated():
    (row,) = crossings(grown(GROWING, STEADY)).to_dict("records")
    assert (row["faster below"], row["faster beyond"]) == ("Lite-LLM4Rec", "TIGER, exact")
    assert float(row["they cross at"]) == pytest.approx(20, rel=0.05)
    low, high = map(float, row["95 % interval"].strip("[]").split(", "))
    assert low < 20 < high
    assert row["where"] == "interpolated"
    assert row["resamples that cross"] == "100.0%"
    assert row["both take"].startswith(("4.9", "5.0"))


def test_a_crossing_beyond_is_predicted_and_one_too_far_is_none():
    far = line("tiger", lambda _: 0.05, decoder="exact", beam_width=20)
    (found,) = find(grown(GROWING, far))
    assert found.at == pytest.approx(245, rel=0.05)
    assert not found.inside
    assert "predicted" in describe_crossings(grown(GROWING, far))
    farther = grown(GROWING, line("tiger", lambda _: 0.5, decoder="exact", beam_width=20))
    assert crossings(farther).empty
    assert "(1), 1 do not cross" in describe_crossings(farther)


def test_a_crossing_that_many_resamples_lack_may_not_be_one():
    """At the end of what is looked at, noise decides whether they cross."""
    edge = line("tiger", lambda _: 0.001 + 0.0002 * 640, spread=4.0, decoder="exact", beam_width=20)
    (found,) = find(grown(GROWING, edge))
    assert 0.05 < found.share < 0.95
    (row,) = crossings(grown(GROWING, edge)).to_dict("records")
    assert row["resamples that cross"].endswith("may not cross")
    assert found.high is not None
    assert found.high <= 640 * 1.001


def test_a_crossing_of_resamples_alone_is_told_with_its_share():
    edge = line("tiger", lambda _: 0.001 + 0.0002 * 650, spread=4.0, decoder="exact", beam_width=20)
    (row,) = crossings(grown(GROWING, edge)).to_dict("records")
    assert row["they cross at"] == "nowhere by the fitted laws"
    assert row["both take"] == row["where"] == "n/a"
    low, high = map(float, row["95 % interval"].strip("[]").split(", "))
    assert 500 < low < high <= 640
    assert row["resamples that cross"].endswith("may not cross")


def test_lines_of_one_recommender_are_not_held_against_each_other():
    reference = line("tiger", lambda x: 0.001 * x, decoder="reference", beam_width=20)
    alone = grown(reference, STEADY)
    assert crossings(alone).empty
    assert "two recommenders" in describe_crossings(alone)
    assert "two recommenders" in describe_crossings([])


def test_a_level_line_crosses_what_grows_with_beams():
    beams = [
        make_record(case=make_case("tiger", decoder="exact", beam_width=width), median_s=0.0001 * width)
        for width in (20, 50, 100, 500)
    ]
    (found,) = find(grown([*beams, make_record(median_s=0.02), make_record("sasrec", median_s=1.0)]))
    assert (found.below, found.beyond) == ("TIGER, exact", "Lite-LLM4Rec")
    assert found.at == pytest.approx(200, rel=0.05)
    assert found.inside


def test_laws_are_drawn_through_the_points_and_crossings_marked():
    found = grown(GROWING, STEADY)
    figure = draw_latency([one.sweep for one in found], lambda *panel: draw_laws(found, *panel))
    axis = figure.axes[0]
    drawn = [(line.get_xdata(), line.get_ydata(), line.get_linestyle()) for line in axis.get_lines()]
    texts = [text.get_text() for text in axis.texts]
    plt.close(figure)
    points, curves, marks = drawn[:2], drawn[2:4], drawn[4:]
    assert [style for _, _, style in points] == ["None", "None"]
    assert curves[0][1] == pytest.approx(found[0].lines[0].law.at(curves[0][0])[0] * 1e3)
    assert (curves[0][0][0], curves[0][0][-1]) == pytest.approx((1, 64))
    (crossing,) = find(found)
    assert marks[0][0] == pytest.approx([crossing.at])
    assert texts == [f"cross at {crossing.at:.1f}"]


def test_predicted_crossings_are_not_marked():
    found = grown(GROWING, line("tiger", lambda _: 0.05, decoder="exact", beam_width=20))
    figure = draw_latency([one.sweep for one in found], lambda *panel: draw_laws(found, *panel))
    texts = [text.get_text() for text in figure.axes[0].texts]
    plt.close(figure)
    assert texts == []
