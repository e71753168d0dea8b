"""Interactive figures: they compile, hold every case with what it is chosen by, and tell kinds and decoders apart."""

import json
import re

import pytest

from bench.records.case import WeightsKind
from bench.records.learning import Ending
from bench.report.drawing.live import ROWS, compiled
from bench.report.drawing.palette import FAMILIES, is_hollow, looks, mark_of, on_both, on_dark
from bench.report.reading.families import Family, family_of
from bench.report.run.first_rows import first_rows
from bench.report.run.live import live_cost, live_distributions, live_latency, live_phases
from bench.report.run.scatter import scatter
from tests.bench.factories import make_case, make_record, make_run

DRAWN = (
    live_latency,
    live_cost,
    live_phases,
    live_distributions,
    lambda records: scatter(first_rows(records)),
)

TIMED = [record for record in make_run() if record.latency is not None]


@pytest.mark.parametrize("draw", DRAWN)
def test_a_figure_compiles_and_every_case_knows_what_it_is_chosen_by(draw):
    live = draw(TIMED)
    assert compiled(live)["marks"]
    json.dumps(live.rows, allow_nan=False)
    assert {(row["dataset"], row["batch"]) for row in live.rows} == {("synthetic", "1"), ("synthetic", "32")}
    assert {row["name"].partition(" (")[0] for row in live.rows} == {"Popularity", "SASRec", "Lite-LLM4Rec", "P5"}


@pytest.mark.parametrize("draw", DRAWN)
def test_a_compiled_figure_waits_for_its_rows_and_takes_the_colours_of_the_page(draw):
    """A page carries no compiler, fills in what is chosen, and may turn dark at any time."""
    made = compiled(draw(TIMED))
    assert not made["data"][0].get("values")
    assert made["data"][0]["name"] == ROWS
    assert "var(--ink)" in json.dumps(made)
    assert not re.findall(r"#[0-9a-f]{6}", json.dumps(made["config"]))


def test_marks_are_named_beside_them():
    names = [mark for mark in compiled(live_distributions(TIMED))["marks"] if mark["type"] == "text"]
    assert [(mark["from"], mark["transform"][0]["type"]) for mark in names] == [({"data": "points_marks"}, "label")]


def test_more_cases_than_a_printed_figure_has_room_for_are_all_there():
    records = [make_record(case=make_case("sasrec", settings={"dropout": number / 100})) for number in range(60)]
    assert len(live_latency(records).rows) == len(live_cost(records).rows) == 60


def test_without_quality_there_is_nothing_to_hold_against_latency():
    assert scatter(first_rows([make_record(quality=None)])) is None


def test_each_kind_of_recommender_has_a_colour_of_its_own_on_either_paper():
    light, dark = ([colours[place] for colours in FAMILIES.values()] for place in (0, 1))
    assert len(set(light)) == len(set(dark)) == len(Family)


def test_the_kind_is_read_from_the_record_alone():
    text = make_record()
    text = text.model_copy(update={"weights": text.weights.model_copy(update={"tokenizer": "trained here"})})
    found = [
        text,
        make_record("sasrec"),
        make_record(case=make_case("popularity", weights=WeightsKind.AS_BUILT)),
        make_record(case=make_case("p5", decoder="exact", beam_width=20)),
    ]
    assert [family_of(one) for one in found] == [Family.TEXT, Family.IDS, Family.COUNTED, Family.BEAMS]
    assert found[0].weights.ending is Ending.FINISHED


def test_decoders_of_one_recommender_share_a_colour_and_differ_in_their_mark():
    cases = [make_case("p5", decoder=name, beam_width=20) for name in ("reference", "exact", "compiled")]
    found = looks([(case.variant, make_record(case=case)) for case in cases])
    assert len({look.colour for look in found.values()}) == 1
    assert [look.hollow for look in found.values()] == [True, False, False]
    assert len({(mark_of(case), is_hollow(case)) for case in cases}) == 3


def test_a_figure_has_colours_of_its_own_on_dark_paper():
    assert on_both('style="fill: #ffffff; stroke: #0b6e99"') == (
        'style="fill: light-dark(#ffffff,#16181d); stroke: light-dark(#0b6e99,#58b7e3)"'
    )
    assert on_both('<use xlink:href="#ab12cd"/>') == '<use xlink:href="#ab12cd"/>'
    assert on_dark("#102030") != "#102030"
