"""The section "Under load": a sentence, a table at the limit, four charts, and LoadGen beside ours."""

import pytest

from bench.records.case import Outcome
from bench.records.learning import Ending
from bench.records.load import ColdStart, Offered, Peak, Refresh, SecondOpinion
from bench.records.store import Run
from bench.records.studies import Studies
from bench.report.reading.distrust import distrust
from bench.report.reading.facets import ANY
from bench.report.run.chapters import sections
from bench.report.run.first_rows import first_rows
from bench.report.run.first_table import columns_of, further_of, shown_rows
from bench.report.run.fits import first_choice
from bench.report.run.load import answer, at_the_limit, batchings, by_rate, headline, services
from bench.report.run.money import Price
from bench.report.run.opening import opening
from bench.report.run.page import write_report
from tests.bench.factories import make_case, make_material, make_record, make_served, make_trial

ONE, P5, NEVER = make_served(peak=400.0), make_served("p5", peak=60.0), make_served("tiger", peak=0.0)


def section(*records):
    return next((one for one in sections(make_material(records)) if one.anchor == "load"), None)


def test_the_sentence_ranks_services_by_the_users_they_answer_within_the_limit():
    (told,) = answer([P5, NEVER, ONE])
    assert told == (
        "Under load, synthetic, on 2 cores at p99 ≤ 80 ms: Lite-LLM4Rec 400 [364, 440] users/s, "
        "P5 60.0 [54.5, 66.0] users/s and TIGER none."
    )


def test_services_that_were_asked_at_one_rate_say_what_was_in_time_there():
    case = make_case("sasrec", batch_size=1, scenario="open", load=Offered(workers=2, rate=100.0))
    searched = make_served(case=case, trials=[make_trial(100.0, within=0.997, p99_s=0.05)])
    asked = searched.model_copy(update={"load": searched.load.model_copy(update={"peak": None})})
    (told,) = answer([asked])
    assert told == "Under load, synthetic, on 2 cores, at 100 a second: SASRec 99.7% within 80 ms (p99 50.0 ms)."


def test_a_page_of_services_asks_how_many_users_and_answers_first():
    begun = opening([], first_rows([], [P5, ONE]), Studies(), {}, [], [])
    assert begun.question == "How many users a second, within the limit?"
    assert begun.serve == ("On synthetic Lite-LLM4Rec answers most, 400 [364, 440] users/s on 2 cores at p99 ≤ 80 ms.")


def test_the_headline_names_claimants_the_strongest_beams_and_the_papers():
    def beams(decoder, peak):
        load = Offered(workers=2)
        case = make_case("tiger", decoder=decoder, beam_width=20, batch_size=1, scenario="open", load=load)
        return make_served(case=case, peak=peak)

    ours = ONE.model_copy(update={"claims": True})
    served = [ours, make_served("sasrec", peak=900.0), beams("exact", 90.0), beams("reference", 9.0)]
    told = headline(served)
    assert told == (
        "On synthetic SASRec answers most, 900 [818, 990] users/s on 2 cores at p99 ≤ 80 ms; Lite-LLM4Rec 400 "
        "[364, 440] users/s; the strongest beam search, TIGER (exact, beam 20), 90.0 [81.8, 99.0] users/s; the papers' "
        "own 9.00 [8.18, 9.90] users/s."
    )
    tiger = [row for row in first_rows([], served) if row.record.case.recommender == "tiger" and ANY in row.under]
    assert [(row.record.case.decoder, row.said) for row in tiger] == [
        ("exact", "exact search; the papers': 9.00 users/s")
    ]


def test_first_rows_of_services_say_at_which_rate_their_median_is_and_that_training_was_cut_short():
    rows = first_rows([], [ONE])
    (shown,) = shown_rows(rows, first_choice([ONE]), [])
    assert shown.cells["latency, p50"].endswith(" ms"), "its rate stands beside"
    assert columns_of(rows) == ("users/s", "latency, p50", "trained to the end?")
    assert further_of(rows)[0] == "USD per million users"
    assert shown.cells["users/s"] == "400"
    mixed = shown_rows([*rows, *first_rows([make_record()], [])], first_choice([ONE]), [])
    assert mixed[0].cells["latency, p50"].endswith(" ms at 400/s")
    weights = ONE.weights.model_copy(update={"ending": Ending.CUT_SHORT})
    told = distrust([], [ONE.model_copy(update={"weights": weights})])
    assert "Training was cut short, more of it would rank better: Lite-LLM4Rec." in told


def test_a_figure_of_a_late_client_is_called_not_valid_wherever_it_stands(tmp_path):
    late = make_served(trials=[make_trial(400.0, invalid="the client sent 9 ms late")])
    assert "(not valid: the client was late)" in answer([late])[0]
    write_report([Run(tmp_path / "run.json", "2026", (late,))], tmp_path / "page")
    assert "Not valid under load: Lite-LLM4Rec" in (tmp_path / "page" / "report.md").read_text()


def test_the_table_at_the_limit_has_cost_and_energy_there_and_not_at_saturation():
    with_joules = make_served(trials=[make_trial(400.0, joules=50.0, answered=1000)])
    frame = at_the_limit([with_joules, NEVER], [Price(device="cpu", per_hour=0.36, of="core", source="nobody")])
    row = frame.iloc[0]
    assert (row["users/s within"], row["per core"]) == ("400 [364, 440]", "200")
    assert row["per million"] == "0.50 USD"
    assert row["J per 1,000 users"] == "50.0"
    assert (row["queue p50"], row["service p50"], row["batch, mean"]) == ("4.00 ms", "6.00 ms", "1.33")
    assert frame.iloc[1][["users/s within", "per core", "per million"]].tolist() == ["none", "n/a", "n/a"]


def test_each_rate_has_a_row_and_what_cannot_be_told_is_not_zero():
    few = make_served(trials=[make_trial(2.0, p99_s=None, answered=20, within=None)], peak=0.0)
    row = by_rate([few]).iloc[0]
    assert (row["p99"], row["within the limit"], row["goodput/s"]) == ("n/a", "n/a", "n/a")
    assert len(by_rate([ONE])) == 3


def test_services_of_another_limit_or_another_number_of_workers_are_not_compared():
    case = make_case("p5", batch_size=1, scenario="open", load=Offered(workers=2, slo="10ms"))
    assert len(services([ONE, make_served(case=case)])) == 2
    assert len(services([ONE, make_served("p5", workers=1)])) == 2
    assert len(services([ONE, P5, NEVER])) == 1


def test_there_are_four_charts_with_a_point_a_rate():
    found = section(ONE, P5)
    names = [drawing.name for drawing in found.drawings]
    assert names == ["load_latency", "load_throughput", "load_goodput", "load_knee"]
    assert all(drawing.data.decode().count("\n") == 7 for drawing in found.drawings)
    assert "Lite-LLM4Rec: 30.0 at 200 to 400 at 520" in found.drawings[0].text


def test_charts_follow_the_choice_with_a_line_a_service_and_the_limit():
    latency, throughput = (drawing.live.rows for drawing in section(ONE, P5).drawings[:2])
    assert [row["x"] for row in latency if row["name"] == "Lite-LLM4Rec"] == [200, 400, 520]
    assert {row["y"] for row in latency if row["name"] == "limit: 80 ms"} == {80}
    assert all(row["x"] == row["y"] for row in throughput if row["name"] == "all that is offered")
    assert not any("batch" in row for row in latency)


def test_services_that_cannot_be_chosen_apart_say_what_they_are():
    tight = make_served(case=make_case(batch_size=1, scenario="open", load=Offered(workers=2, slo="10ms")))
    rows = section(ONE, tight).drawings[0].live.rows
    assert {row["name"].partition(", synthetic, ")[0] for row in rows if not row.get("backdrop")} == {"Lite-LLM4Rec"}
    assert len({row["name"] for row in rows if not row.get("backdrop")}) == 2


def test_loadgen_stands_beside_ours_and_what_differs_is_said():
    both = SecondOpinion(rate=280, p99_s=0.033, our_p99_s=0.03, peak=390, our_peak=400, why="differs: p99 +10.0%")
    frame = section(make_served(loadgen=both), P5).tables[-1].frame
    assert frame["recommender"].tolist() == ["Lite-LLM4Rec"]
    assert frame.iloc[0][["p99, ours", "p99, LoadGen", "why they differ"]].tolist() == [
        "30.0 ms", "33.0 ms", "differs: p99 +10.0%",
    ]  # fmt: skip
    assert both.disagreement == pytest.approx(0.1)


def test_services_stay_out_of_what_one_client_measured_and_a_failed_one_is_a_row(tmp_path):
    case = make_case("sasrec", batch_size=1, scenario="open", load=Offered(workers=2))
    failed = make_record(case=case, outcome=Outcome.CRASHED, detail="worker 1 of 2 was ended by SIGKILL", latency=None)
    found = {one.anchor: one for one in sections(make_material([make_record(), ONE, failed]))}
    assert len(found["results"].tables[0].frame) == 1
    assert found["failed"].tables[0].frame["detail"].tolist() == ["worker 1 of 2 was ended by SIGKILL"]
    write_report([Run(tmp_path / "run.json", "2026", (ONE, P5, failed))], tmp_path / "page")
    page = (tmp_path / "page" / "index.html").read_text()
    assert "Under load, synthetic, on 2 cores" in page
    assert (tmp_path / "page" / "figures" / "load_knee.svg").exists()


def test_a_run_without_services_has_no_such_section():
    assert section(make_record()) is None


def test_cold_starts_and_new_catalogues_are_told_part_by_part_and_what_cannot_be_has_its_reason():
    parts = {"imports_s": 3, "data_s": 0.5, "weights_s": 0.25, "index_s": 0.125, "first_answer_s": 0.125}
    cold = ColdStart(**parts, next_answer_s=0.01)
    taken = Refresh(new=0.1, rate=200, seconds=0.5, bytes=2**20, p99_before_s=0.01, p99_meanwhile_s=0.02)
    refused = Refresh(new=1.0, rate=200, why="knows no new items")
    found = section(make_served(cold=cold, refreshes=[taken, refused]), make_served("p5", cold="it took over 600 s"))
    starts, new = (one.frame for one in found.tables[-2:])
    assert starts["to the first answer"].tolist() == ["4.00 s", "n/a"]
    assert starts["what to know"].tolist() == ["none", "it took over 600 s"]
    assert new["new items"].tolist() == ["10.0%", "100.0%"]
    assert new.iloc[0][["takes", "holds", "p99 before", "p99 meanwhile"]].tolist() == [
        "0.500 s", "1.00 MiB", "10.0 ms", "20.0 ms",
    ]  # fmt: skip
    assert new.iloc[1]["what to know"] == "knows no new items"


def test_a_search_without_time_is_no_none():
    peak = Peak(rate=None, low=0, high=50, window_ms=0, largest_batch=8, why="the search ran out of time")
    slow = make_served(peak=0.0).model_copy()
    slow = slow.model_copy(update={"load": slow.load.model_copy(update={"peak": peak})})
    assert "Lite-LLM4Rec below 50.0 users/s" in answer([slow])[0]
    assert at_the_limit([slow], []).iloc[0]["users/s within"] == "below 50.0"


def test_windows_and_batches_that_were_tried_say_what_each_kept_and_missed():
    searched = [
        make_trial(100.0), make_trial(200.0, p99_s=0.4), make_trial(150.0),
        make_trial(220.0, window_ms=0.0, p99_s=0.4), make_trial(210.0, window_ms=0.0, largest_batch=32, p99_s=0.4),
    ]  # fmt: skip
    frame = batchings([make_served(searched=searched)])
    assert frame["window"].tolist() == ["0 ms", "0 ms", "2.00 ms"]
    assert frame["kept at most, users/s"].tolist() == ["none", "none", "150"]
    assert frame["missed at least, users/s"].tolist() == ["220", "210", "200"]
    assert frame["trials"].tolist() == ["1", "1", "3"]
