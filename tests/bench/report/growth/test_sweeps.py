"""Which cases make a line, and what is drawn of them."""

import pytest
from matplotlib import pyplot as plt

from bench.records.cost import Memory
from bench.records.record import Weights
from bench.report.growth.sweeps import describe, draw_latency, draw_memory, has_memory, sweeps
from bench.report.run.chapters import sections
from tests.bench.factories import make_case, make_material, make_provenance, make_record


def tiger(decoder, beam_width, median_s, **changes):
    case = make_case("tiger", decoder=decoder, beam_width=beam_width, **changes.pop("case", {}))
    return make_record(case=case, median_s=median_s, **changes)


BEAMS = [
    tiger(decoder, width, step * width, memory=Memory(peak_bytes=2**30, request_bytes=width * 2**20))
    for decoder, step in (("reference", 0.01), ("exact", 0.001))
    for width in (20, 100, 500)
]
LITE = make_record(median_s=0.002)


def test_beam_widths_make_a_line_a_decoder_and_the_one_pass_is_level():
    (found,) = sweeps([*BEAMS, LITE])
    assert found.quantity == "beam width"
    assert list(found.lines) == ["TIGER, reference", "TIGER, exact"]
    assert [value for value, _ in found.lines["TIGER, exact"]] == [20, 100, 500]
    assert list(found.level) == ["Lite-LLM4Rec"]
    assert "TIGER, exact (synthetic, cpu, float32, batch 32, top 20" in describe([found])
    assert "25 times as long at beam width 500 as at 20" in describe([found])


def test_batches_histories_and_catalogues_make_lines():
    batches = [make_record(case=make_case(batch_size=size), median_s=size * 0.001) for size in (1, 8, 64)]
    histories = [
        make_record(
            case=make_case("sasrec", settings={"preset": "compact", "max_length": length}),
            weights=Weights(parameters=1, parameter_bytes=4, settings={"max_length": length}),
            median_s=length * 0.001,
        )
        for length in (5, 20, 50)
    ]
    catalogues = [
        make_record(
            case=make_case("popularity", dataset=f"synthetic-{items}"),
            provenance=make_provenance(dataset={"items": items, "synthetic": True}),
            median_s=items * 1e-6,
        )
        for items in (3000, 12000, 100000)
    ]
    found = {sweep.quantity: sweep for sweep in sweeps([*batches, *histories, *catalogues])}
    assert [value for value, _ in found["batch size"].lines["Lite-LLM4Rec"]] == [1, 8, 64]
    assert [value for value, _ in found["longest history, items"].lines["SASRec"]] == [5, 20, 50]
    assert [value for value, _ in found["catalogue, items"].lines["Popularity"]] == [3000, 12000, 100000]


def test_real_catalogues_make_no_line_since_their_histories_differ_too():
    real = [
        make_record(
            case=make_case(dataset=name), provenance=make_provenance(dataset={"items": items, "synthetic": False})
        )
        for name, items in (("ml-1m", 3416), ("beauty", 12101), ("sports", 18357))
    ]
    assert sweeps(real) == []


def test_what_is_compiled_is_a_line_of_its_own():
    cases = [make_case(batch_size=size, compiled=compiled) for compiled in (False, True) for size in (1, 8, 64)]
    (found,) = sweeps([make_record(case=case) for case in cases])
    assert list(found.lines) == ["Lite-LLM4Rec", "Lite-LLM4Rec, compiled"]


def test_lines_of_other_sizes_are_told_apart_and_none_is_lost():
    presets = [
        tiger("exact", 20, step * size, case={"batch_size": size, "settings": {"preset": preset}})
        for preset, step in (("compact", 0.001), ("t5-small", 0.01))
        for size in (1, 8, 32)
    ]
    beams = [tiger("exact", 50, size * 0.1, case={"batch_size": size}) for size in (1, 8, 32)]
    (found,) = sweeps([*presets, *beams])
    assert sorted(found.lines) == [
        "TIGER, exact, preset compact, beam 20",
        "TIGER, exact, preset compact, beam 50",
        "TIGER, exact, preset t5-small, beam 20",
    ]


def test_two_values_are_no_line():
    assert sweeps([one for one in BEAMS if one.case.beam_width != 100] + [LITE]) == []


def test_lines_are_drawn_at_their_values_with_what_is_level():
    figure = draw_latency(sweeps([*BEAMS, LITE]))
    (axis,) = [axis for axis in figure.axes if axis.get_visible()]
    drawn = [(line.get_xdata().tolist(), line.get_ydata().tolist()) for line in axis.get_lines()]
    plt.close(figure)
    assert [places for places, _ in drawn] == [[20, 100, 500]] * 3
    assert drawn[0][1] == pytest.approx([200, 1000, 5000], rel=0.05)
    assert drawn[2][1] == pytest.approx([2, 2, 2], rel=0.05)


def test_memory_is_drawn_where_it_was_measured():
    found = sweeps([*BEAMS, LITE])
    assert has_memory(found[0])
    figure = draw_memory(found)
    drawn = [line.get_ydata().tolist() for line in figure.axes[0].get_lines()]
    plt.close(figure)
    assert drawn[0] == [20, 100, 500]
    without = [one.model_copy(update={"memory": None}) for one in BEAMS]
    assert not has_memory(sweeps(without)[0])


def test_the_report_has_figures_of_each_quantity_where_there_are_lines():
    found = sections(make_material([*BEAMS, LITE]))
    (growth,) = (section for section in found if section.anchor == "growth")
    assert [drawing.name for drawing in growth.drawings] == [
        "scaling_beam_width",
        "memory_beam_width",
        "residuals_beam_width",
    ]
    assert "growth" not in [section.anchor for section in sections(make_material([LITE]))]
