"""Evaluations in order: variants, seeds, differences, what they cost."""

from itertools import pairwise

import pytest

from bench.records.learning import Ending
from bench.report.studies.quality import LARGEST, SMALLEST, answer_of, beside_cost, over_seeds, p_value
from bench.report.studies.variants import ranked, variants
from bench.statistics.quality import quality_difference
from tests.bench.factories import (
    make_evaluation,
    make_provenance,
    make_quality,
    make_ranked_quality,
    make_record,
    make_timed,
)

SKILLS = {"popularity": 0.1, "p5": 0.3, "sasrec": 0.5, "lite-llm4rec": 0.5}


def table(*evaluations, records=()):
    (places,) = ranked(variants(evaluations)).values()
    return beside_cost(places, records).set_index("recommender")


def test_seeds_of_one_recommender_are_one_variant_told_by_its_first():
    seeds = [make_evaluation("sasrec", 0.5 + seed / 100, seed=seed) for seed in (2, 0, 1)]
    (variant,) = variants(seeds)
    assert variant.name == "SASRec"
    assert variant.shown is seeds[1]
    assert [one.seed for one in variant.seeds] == [0, 1, 2]
    assert table(*seeds)["seed"].tolist() == ["0 of 3"]


def test_settings_presets_and_servings_are_variants_of_their_own():
    beams = [make_evaluation("p5", case={"decoder": "exact", "beam_width": width}) for width in (20, 50)]
    presets = [make_evaluation("p5", settings={"preset": preset}) for preset in ("compact", "t5-small")]
    found = variants([*beams, *presets, make_evaluation("p5", settings={"numbering": "random"})])
    assert [one.name for one in found] == [
        "P5 (exact, beam 20), compact",
        "P5 (exact, beam 50), compact",
        "P5, compact",
        "P5, t5-small",
        "P5 (random IDs), compact",
    ]


def test_of_the_same_weights_the_larger_evaluation_counts_and_other_weights_stay():
    whole = make_evaluation("sasrec")
    sampled = make_evaluation("sasrec", quality=make_ranked_quality(0.9, users=50))
    longer = make_evaluation("sasrec", weights=whole.weights.model_copy(update={"sha256": "longer training"}))
    found = variants([whole, sampled, longer])
    assert [one.shown for one in found] == [whole, longer]
    assert len(over_seeds(found)) == 0


def test_validation_is_told_apart():
    validation = make_evaluation("sasrec", quality=make_ranked_quality(0.6, split="validation"))
    found = ranked(variants([make_evaluation("sasrec"), validation]))
    assert {name: [place.variant.name for place in places] for name, places in found.items()} == {
        "books": ["SASRec"],
        "books, validation": ["SASRec"],
    }


def test_datasets_are_apart_and_the_best_comes_first():
    evaluations = [make_evaluation(name, skill) for name, skill in SKILLS.items()]
    other = make_evaluation("p5", case={"dataset": "films"})
    found = ranked(variants([*evaluations, other]))
    assert list(found) == ["books", "films"]
    assert [place.variant.name for place in found["books"]] == ["SASRec", "Lite-LLM4Rec", "P5", "Popularity"]
    assert [place.to_next for place in found["films"]] == [None]


def test_p_values_are_corrected_for_all_comparisons_of_a_table():
    """Holm's: the least of three p-values times 3, the next times 2, and none below the one before."""
    evaluations = [make_evaluation(name, skill, seed=seed) for seed, (name, skill) in enumerate(SKILLS.items())]
    (places,) = ranked(variants(evaluations)).values()
    order = [place.variant.shown.quality for place in places]
    raw = [quality_difference(*pair).p_value for pair in pairwise(order)]
    expected, highest = {}, 0.0
    for rank, value in enumerate(sorted(raw)):
        highest = max(highest, min(1.0, (3 - rank) * value))
        expected[value] = highest
    assert [place.p_value for place in places] == [*(pytest.approx(expected[value]) for value in raw), None]
    assert len(set(raw)) == 3


def test_what_is_told_apart_is_marked():
    assert [p_value(value) for value in (0.0001, 0.0499, 0.05, 1.0, None)] == [
        "< 0.001 *",
        "0.050 *",
        "0.050",
        "1.000",
        "n/a",
    ]


def test_records_without_places_cannot_be_compared():
    frame = table(make_evaluation("sasrec", quality=make_quality(0.3)), make_evaluation("p5", 0.3))
    assert frame["NDCG@10 over the next"].tolist() == ["n/a", "n/a"]
    assert frame.loc["SASRec", "HR@20"] == "n/a"


def test_costs_stand_beside_quality():
    sasrec, p5 = make_evaluation("sasrec"), make_evaluation("p5", 0.3, case={"decoder": "exact", "beam_width": 20})
    timed = [make_timed(sasrec, 0.001 * size, batch_size=size) for size in (32, 1, 8)]
    timed.append(make_timed(p5, 0.05, case={"decoder": "reference"}))
    frame = table(sasrec, p5, make_evaluation("popularity", 0.1), records=timed)
    assert frame.loc["SASRec", [SMALLEST, LARGEST]].tolist() == ["1.01 ms (batch 1)", "32.2 ms (batch 32)"]
    name = "P5 (exact, beam 20)"
    assert frame.loc[name, [SMALLEST, LARGEST]].tolist() == ["50.3 ms (batch 1, reference)", "n/a"]
    assert frame.loc[name, ["FLOPs/user", "peak memory", "training"]].tolist() == [
        "0.00400 GFLOP",
        "3.00 MiB",
        "10.0 min",
    ]
    assert frame.loc["Popularity", [SMALLEST, "FLOPs/user", "peak memory"]].tolist() == ["n/a"] * 3


def test_machines_are_named_where_there_are_several():
    sasrec = make_evaluation("sasrec")
    other = make_provenance(machine={"processor": "another", "cores": 64})
    timed = [make_timed(sasrec, 0.001), make_timed(sasrec, 0.0002, provenance=other)]
    assert table(sasrec, records=timed).loc["SASRec", SMALLEST] == (
        "1.01 ms (batch 1) (a processor (2 cores), 1 thread); 0.201 ms (batch 1) (another (64 cores), 1 thread)"
    )


def test_columns_that_say_nothing_are_left_out():
    plain = table(make_evaluation("sasrec"), records=[make_record()])
    assert {"seed", "cautions", LARGEST} & set(plain.columns) == set()
    assert SMALLEST in plain
    assert SMALLEST not in table(make_evaluation("sasrec"))
    assert table(make_evaluation("sasrec", labels=["leaky", "odd"]))["cautions"].tolist() == ["leaky; odd"]


def test_seeds_spread():
    skills = (0.4, 0.5, 0.6)
    seeds = [make_evaluation("sasrec", skill, seed=seed) for seed, skill in enumerate(skills)]
    sampled = make_evaluation("sasrec", quality=make_ranked_quality(0.9, users=50), seed=3)
    (row,) = over_seeds(variants([*seeds, sampled, make_evaluation("p5")])).to_dict("records")
    values = [one.quality.metrics["HR@10"].value for one in seeds]
    mean = sum(values) / 3
    deviation = (sum((value - mean) ** 2 for value in values) / 2) ** 0.5
    assert row["seeds"] == "3 (0, 1, 2)"
    assert row["HR@10 mean"] == f"{mean:.4f}"
    assert row["HR@10 SD"] == f"{deviation:.4f}"
    assert (row["HR@10 min"], row["HR@10 max"]) == (f"{min(values):.4f}", f"{max(values):.4f}")


def test_the_answer_says_whether_the_best_is_told_apart():
    same = make_evaluation("lite-llm4rec", labels=["leaky"]), make_evaluation("sasrec", 0.5)
    (line,) = answer_of(ranked(variants(same)))
    assert "which does not tell them apart. Caution: leaky." in line
    (line,) = answer_of(ranked(variants([make_evaluation("sasrec"), make_evaluation("p5", 0.2)])))
    assert "SASRec has the best NDCG@10" in line
    assert "below, which tells them apart." in line


def test_the_answer_does_not_compare_with_what_was_cut_short():
    shortened = make_evaluation("p5", 0.2)
    weights = shortened.weights.model_copy(update={"ending": Ending.CUT_SHORT})
    (line,) = answer_of(
        ranked(variants([make_evaluation("sasrec"), shortened.model_copy(update={"weights": weights})]))
    )
    assert line.endswith("; the next is P5, and the training of P5 was cut short.")
