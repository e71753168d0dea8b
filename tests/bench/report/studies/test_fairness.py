"""Whether baselines are fair: in time by their search, in quality by their training, and what leaks and papers say."""

import pandas as pd

from bench.records.case import WeightsKind
from bench.records.learning import Ending
from bench.report.studies.fairness import fairness
from bench.report.studies.variants import variants
from tests.bench.factories import make_case, make_latency, make_record, make_studies


def timed(name, seconds, **case):
    return make_record(case=make_case(name, **case), latency=make_latency(seconds))


def searched(seconds, decoder, **case):
    return timed("p5", seconds, decoder=decoder, beam_width=20, **case)


def only_row(records):
    (row,) = fairness(records, (), ()).to_dict("records")
    return row


ONE_PASS = timed("lite-llm4rec", 0.001)


def test_a_faster_search_of_the_same_lists_makes_it_fair_in_time():
    row = only_row([ONE_PASS, searched(0.012, "reference"), searched(0.004, "exact")])
    assert row["in time?"] == "yes: a faster search was timed"
    assert row["the papers' search takes"].endswith("times as long")
    assert float(row["the papers' search takes"].split()[0]) == 3.0


def test_the_papers_search_alone_is_not_fair_in_time():
    row = only_row([ONE_PASS, searched(0.012, "reference")])
    assert row["in time?"] == "no: the papers' search alone was timed"
    assert row["the papers' search takes"] == "n/a"


def test_training_is_judged_by_its_worst_on_each_dataset():
    def ended(record, ending):
        training = record.weights.model_copy(update={"ending": ending})
        return record.model_copy(update={"weights": training})

    records = [ONE_PASS]
    for dataset, endings in (("a", [Ending.FINISHED, Ending.CUT_SHORT]), ("b", [Ending.FINISHED] * 2)):
        for decoder, ending in zip(("reference", "exact"), endings, strict=True):
            records.append(ended(searched(0.01, decoder, dataset=dataset), ending))
    assert only_row(records)["in quality?"] == "no on a: training was cut short; yes on b: trained to the end"


def test_random_weights_say_nothing_of_quality():
    row = only_row([ONE_PASS, searched(0.01, "exact", weights=WeightsKind.UNTRAINED)])
    assert row["in quality?"] == "nothing can be said: its weights are random"


def test_a_leak_counts_where_it_is_sure():
    studies, records = make_studies()
    frame = fairness([*records, ONE_PASS, searched(0.01, "exact")], studies.evaluations, variants(studies.evaluations))
    row = frame.set_index("baseline").loc["P5"]
    assert row["leaky item IDs are worth"].endswith("% of its NDCG@10 on books")
    assert row["our quality over the published"] == "n/a"


def test_without_one_pass_there_is_no_baseline():
    assert fairness([searched(0.01, "exact")], (), ()).equals(pd.DataFrame())
    assert fairness([ONE_PASS], (), ()).empty
