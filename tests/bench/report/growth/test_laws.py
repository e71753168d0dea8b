"""The laws of sweeps: which lines have one, and what is said and drawn of them."""

import numpy as np
import pytest
from matplotlib import pyplot as plt

from bench.records.store import read
from bench.report.growth.laws import describe_residuals, draw_residuals, duration, growths, law_text, laws
from bench.report.growth.sweeps import sweeps
from bench.report.run.chapters import sections
from bench.report.run.page import write_report
from bench.statistics.growth import Form, Laws
from tests.bench.factories import make_case, make_latency, make_material, make_record, write_results

BATCHES = (1, 4, 16, 64)
BEYOND = (1, 4, 16, 64, 256, 1024, 4096)


def line(recommender, law, values=BATCHES, **changes):
    """Records of one recommender by batch size; each takes its own noise."""
    return [
        make_record(
            case=make_case(recommender, batch_size=size, **changes),
            latency=make_latency(law(size), seed=len(recommender) + size),
        )
        for size in values
    ]


SASREC = line("sasrec", lambda x: 0.001 + 0.0002 * x)
LITE = line("lite-llm4rec", lambda _: 0.004)


def grown(*records):
    return growths(sweeps([one for group in records for one in group]))


def without_noise(record):
    latency = make_latency(rounds=1, turns=1)
    return record.model_copy(update={"latency": latency.model_copy(update={"p50_s": latency.samples_s[0]})})


def test_each_line_has_a_row_with_its_law():
    frame = laws(grown(SASREC, LITE))
    assert frame["line"].tolist() == ["SASRec", "Lite-LLM4Rec"]
    assert set(frame["against"]) == {"batch size"}
    sasrec, lite = frame.to_dict("records")
    assert sasrec["law of the median"].endswith("ms · x")
    assert lite["law of the median"].endswith(" ms")
    assert lite["interval of b"] == lite["interval of c"] == sasrec["interval of c"] == "n/a"
    assert sasrec["measured range"] == "1 to 64, 4 points"
    assert sasrec["residuals"].count("%") == 4
    assert "noise of the median" in sasrec["largest residual"]
    assert sasrec["interval of b"].value > 0, "tables are sorted by the parameter itself"


def test_the_parameters_lie_in_their_intervals():
    ((sasrec,),) = (one.lines for one in grown(SASREC))
    for name in ("a", "b"):
        low, high = np.percentile(getattr(sasrec.laws, name), [2.5, 97.5])
        assert low <= getattr(sasrec.law, name)[0] <= high
    assert sasrec.law.a[0] == pytest.approx(0.001, rel=0.1)
    assert sasrec.law.b[0] == pytest.approx(0.0002, rel=0.1)


def test_the_exponent_has_an_interval_where_it_is_fitted():
    found = grown(line("sasrec", lambda x: 0.001 * x**0.5, BEYOND))
    (row,) = laws(found).to_dict("records")
    low, high = map(float, row["interval of c"].strip("[]").split(", "))
    exponent = float(row["law of the median"].partition("x^")[2])
    assert 0.48 < low <= exponent <= high < 0.52
    assert row["interval of a"] == "n/a"


def test_two_points_have_no_law_and_no_sweep():
    assert grown(SASREC[:2]) == []
    assert laws([]).empty


def test_a_time_of_nothing_is_left_out_without_a_crash():
    broken = make_latency().model_copy(update={"p50_s": 0.0, "samples_s": [0.0] * 120})
    lost = make_latency().model_copy(update={"p50_s": float("nan"), "samples_s": [float("nan")] * 120})
    for latency in (broken, lost):
        bad = SASREC[1].model_copy(update={"latency": latency})
        ((found,),) = (one.lines for one in grown([SASREC[0], bad, *SASREC[2:]]))
        assert found.x.tolist() == [1, 16, 64]
        assert grown([SASREC[0], bad, SASREC[2]]) == []


def test_one_sample_a_case_has_a_law_and_no_intervals():
    (row,) = laws(grown([without_noise(one) for one in SASREC])).to_dict("records")
    assert row["interval of a"] == row["interval of b"] == row["interval of c"] == "n/a"
    assert "noise" not in row["largest residual"]


def test_what_the_quantity_does_not_touch_is_level_and_has_no_row():
    beams = [
        make_record(case=make_case("tiger", decoder="exact", beam_width=width), median_s=0.001 * width)
        for width in (20, 100, 500)
    ]
    (found,) = grown([*beams, make_record(median_s=0.002)])
    assert [one.name for one in found.lines if one.level] == ["Lite-LLM4Rec"]
    assert laws([found])["line"].tolist() == ["TIGER, exact"]


def test_laws_are_written_in_units_that_can_be_read():
    one = np.array([1.0])
    assert law_text(Laws(Form.FULL, 0.0012 * one, 0.000031 * one, 0.98 * one)) == "1.20 ms + 0.0310 ms · x^0.980"
    assert law_text(Laws(Form.LINEAR, 0.0 * one, 5.44e-8 * one, one)) == "54.4 ns · x"
    assert law_text(Laws(Form.POWER, 0.0 * one, 3e-13 * one, 2 * one)) == "0.300 ps · x^2.00"
    assert law_text(Laws(Form.LINEAR, 2.0 * one, 0.0 * one, 0.0 * one)) == "2,000 ms"
    assert [duration(value) for value in (0.0, 2e-6)] == ["0 ms", "2.00 µs"]


def test_residuals_are_drawn_about_zero_and_told():
    found = grown(SASREC, LITE)
    figure = draw_residuals(found)
    (axis,) = [axis for axis in figure.axes if axis.get_visible()]
    heights = [container.lines[0].get_ydata() for container in axis.containers]
    places = [container.lines[0].get_xdata() for container in axis.containers]
    plt.close(figure)
    assert heights[0] == pytest.approx(100 * found[0].lines[0].residuals)
    assert places[0] == pytest.approx(BATCHES, rel=0.1)
    assert (places[0] < places[1]).all(), "lines stand beside each other"
    text = describe_residuals(found)
    assert f"SASRec against batch size: {found[0].lines[0].residuals[0]:+.1%} at 1, " in text


def test_other_sweeps_of_a_quantity_are_told_apart():
    halves = line("sasrec", lambda x: 0.001 * x, dtype="bfloat16")
    found = grown(SASREC, halves)
    assert {one.against for one in found} == {"batch size (float32)", "batch size (bfloat16)"}
    figure = draw_residuals(found)
    titles = [axis.get_title(loc="left") or axis.get_title() for axis in figure.axes]
    plt.close(figure)
    assert titles == ["float32", "bfloat16"]


def test_the_page_has_the_section_where_there_are_sweeps(tmp_path):
    hostile = '<script>alert("x")</script>'
    records = [*SASREC, *LITE, *line(hostile, lambda x: 0.002 * x)]
    write_report([read(write_results(tmp_path / "run.json", records))], tmp_path / "report")
    page, text = ((tmp_path / "report" / name).read_text() for name in ("index.html", "report.md"))
    assert '<details class="chapter" id="growth">' in page
    assert "## How cost grows" in text
    assert "### Where laws cross" in text
    assert hostile not in page
    assert hostile not in text
    assert (tmp_path / "report" / "figures" / "residuals_batch_size.png").exists()


@pytest.mark.drawn
def test_the_same_records_give_the_same_bytes():
    first, second = (growth([*SASREC, *LITE]).drawings for _ in range(2))
    assert [one.svg for one in first] == [one.svg for one in second]
    assert "scaling_batch_size" in [one.name for one in first]


def growth(records):
    found = sections(make_material(records))
    return next(section for section in found if section.anchor == "growth")
