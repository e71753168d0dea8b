"""What nothing else is both faster and better than, and what it is drawn and chosen from."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.records.case import Outcome
from bench.records.model import Unavailable
from bench.report.reading.findings import MOST_CLAIMANTS, claimants, comparisons
from bench.report.reading.labels import with_interval
from bench.report.run import bars, distributions, figures, fits, money
from bench.report.run.first_rows import first_rows
from bench.report.run.front import MIDDLE, TAIL, front, front_of, points, seconds_of, statistic
from bench.statistics.latency import latency_median
from tests.bench.factories import make_case, make_failure, make_latency, make_provenance, make_record, make_run
from tests.bench.report.test_report import HOSTILE

POINTS = st.lists(st.tuples(st.floats(1e-4, 10), st.floats(0, 1)), max_size=30)


@given(POINTS)
def test_the_front_is_what_nothing_beats(pairs):
    seconds, quality = [one for one, _ in pairs], [other for _, other in pairs]
    found = front(seconds, quality)

    def beaten(place):
        mine = (seconds[place], -quality[place])
        others = ((seconds[row], -quality[row]) for row in range(len(pairs)) if row != place)
        return any(a <= mine[0] and b <= mine[1] and (a, b) != mine for a, b in others)

    assert {pairs[place] for place in found} == {pairs[row] for row in range(len(pairs)) if not beaten(row)}
    assert [seconds[place] for place in found] == sorted(seconds[place] for place in found)
    assert len({pairs[place] for place in found}) == len(found)


def test_the_tail_stands_for_a_group_only_where_all_have_one():
    whole, few = make_record("sasrec"), make_record("p5", latency=make_latency(rounds=20))
    assert statistic([whole]) == TAIL
    assert statistic([whole, few]) == MIDDLE
    assert seconds_of(whole, TAIL) > seconds_of(whole, MIDDLE)
    assert seconds_of(few, TAIL) == seconds_of(few, MIDDLE)


def test_the_numbers_behind_the_front_say_who_is_on_it():
    group = [record for record in make_run() if record.case.batch_size == 1 and record.latency is not None]
    frame = points(group)
    assert frame.loc[frame["on_front"], "recommender"].tolist() == ["popularity", "sasrec"]
    assert [record.case.recommender for record in front_of(group, TAIL)] == ["popularity", "sasrec"]


def test_choices_hold_every_measured_case_and_only_numbers():
    records = [*make_run(), make_record(HOSTILE, case=make_case(HOSTILE), quality=Unavailable(unavailable="none"))]
    found = fits.choices(first_rows(records))
    assert len(found["cases"]) == sum(record.latency is not None for record in records)
    assert json.dumps(found, allow_nan=False)
    (unranked,) = (case for case in found["cases"] if case["name"] == HOSTILE)
    assert unranked["quality"] is None
    assert {case["facets"]["batch"] for case in found["cases"]} == {"1", "32"}
    assert found["offered"]["batch"] == ["1", "32"]


def test_what_is_chosen_at_first_was_measured():
    other = make_provenance(machine={"processor": "another", "cores": 8})
    records = [
        make_record("a", case=make_case("a", batch_size=8)),
        make_record("b", case=make_case("b", batch_size=8)),
        make_record("a", case=make_case("a", batch_size=1, dtype="int8"), provenance=other),
    ]
    found = fits.choices(first_rows(records))
    assert found["chosen"]["batch"] == "1"
    assert [found["chosen"][name] for name in fits.COMBINED] in found["combined"]
    assert fits.several(records) is True
    assert fits.several(records[1:]) is False


def test_a_median_has_the_interval_that_a_history_gives_it():
    latency = make_latency(rounds=200)
    found = latency_median(latency)
    shown = with_interval(1e3 * latency.p50_s, 1e3 * found.low_s, 1e3 * found.high_s, " ms")
    assert distributions.median_of(latency) == shown
    assert shown.value == 1e3 * latency.p50_s


@pytest.mark.drawn
def test_figures_have_room_for_a_number_of_cases_and_count_the_others():
    records = [
        make_record(case=make_case("sasrec", settings={"dropout": number / 100}), median_s=0.001 + number / 1e4)
        for number in range(figures.MOST_ROWS + 3)
    ]
    drawings = figures.draw_all(records)
    assert drawings["latency"].crowded_out == 3
    assert drawings["quality_latency"].crowded_out == len(records) - figures.MOST_LINES
    assert len(set(drawings["cost"].data.decode().splitlines())) == figures.MOST_ROWS + 1


def test_the_numbers_behind_bars_are_missing_where_they_were_not_measured():
    gone = Unavailable(unavailable="no such counter")
    frame = bars.costs([make_record("a"), make_record("b", memory=gone)])
    assert frame["peak_bytes"].isna().tolist() == [False, True]


def test_a_million_users_cost_hours_of_what_is_kept_busy():
    record = make_record(case=make_case(batch_size=4, threads=3), latency=make_latency(0.012))
    assert money.hours(record) == pytest.approx(3 * record.latency.p50_s / 4 / 3600 * 1e6)
    gpu = make_record(
        case=make_case(device="cuda:0", threads=8),
        provenance=make_provenance(machine={"GPU": "NVIDIA H200"}),
    )
    assert money.price_of(gpu, money.read_prices()).per_hour == 5.41
    assert money.units_of(gpu) == 1
    assert money.cell(make_record(case=make_case(device="mps")), money.read_prices()) == "n/a"


def test_very_many_cases_are_compared_with_what_counts():
    slow = [
        make_record(
            case=make_case("p5", settings={"dropout": number}, decoder=decoder, beam_width=20),
            median_s=(0.01 if decoder == "exact" else 0.02) * (1 + number),
        )
        for number in range(12)
        for decoder in ("reference", "exact")
    ]
    fast = [make_record(case=make_case(settings={"dropout": number}), ndcg=number / 100) for number in range(9)]
    assert [record.case.settings["dropout"] for record in claimants(fast)] == [5, 6, 7, 8]
    found = comparisons([*fast, *slow, make_failure("p5", Outcome.ERROR, "x")])
    assert len(found) == 2 * MOST_CLAIMANTS
    assert {(one.slow.case.decoder, one.slow.case.settings["dropout"]) for one in found} == {
        ("exact", 0),
        ("reference", 0),
    }
