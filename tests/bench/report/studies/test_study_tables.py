"""Beams, leaks and ablations: what their tables and figures show."""

import pytest
from matplotlib import pyplot as plt

from bench.records.model import Unavailable
from bench.records.studies import Ablation
from bench.report.studies import ablations, beams, leaks, tradeoff
from bench.report.studies.variants import variants
from tests.bench.factories import (
    LEAKY,
    make_ablated,
    make_beam_study,
    make_evaluation,
    make_leak_probe,
    make_provenance,
    make_quality,
    make_ranked_quality,
    make_timed,
)


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    plt.close("all")


def numbered(numbering, skill, *, seed=0, **changes):
    """An evaluation whose case names the numbering as users do, or leaves it to the recipe."""
    settings = changes.pop("settings", {"numbering": numbering})
    evaluation = make_evaluation("p5", skill, seed=seed, settings=settings, **changes)
    weights = evaluation.weights.model_copy(update={"settings": evaluation.weights.settings | {"numbering": numbering}})
    return evaluation.model_copy(update={"weights": weights})


def test_beams_stand_beside_all_items():
    rows = beams.table([make_beam_study(), make_beam_study("p5", labels=["odd"])]).to_dict("records")
    assert [row["recommender"] for row in rows] == ["TIGER (exact)"] * 3 + ["P5 (exact)"] * 3
    assert [row["beams"] for row in rows[:3]] == ["5", "20", "100"]
    assert rows[0]["true rank, mean"] == "n/a"
    assert rows[1] == {
        "recommender": "TIGER (exact)",
        "data": "books",
        "beams": "20",
        "HR@10": "0.0600 [0.0540, 0.0660]",
        "HR@10, all items": "0.0400 [0.0360, 0.0440]",
        "NDCG@10": "0.0330 [0.0297, 0.0363]",
        "NDCG@10, all items": "0.0200 [0.0180, 0.0220]",
        "targets found": "60",
        "true rank, mean": "167",
        "true rank, median": "41.8",
        "overlap": "60.0%",
        "coverage": "30.0%",
        "coverage, all items": "55.0%",
        "valid items": "100.0%",
        "duplicates": "0.0%",
        "users": "1,000 of 6,040",
        "cautions": "none",
    }
    assert rows[3]["cautions"] == "odd"


def test_beams_are_drawn_a_panel_a_dataset_with_all_items_dashed():
    studies = [make_beam_study(), make_beam_study("p5"), make_beam_study(case={"dataset": "films"})]
    figure = beams.draw(studies)
    books, films = [axis for axis in figure.axes if axis.get_visible()]
    assert (books.get_title(), films.get_title()) == ("books", "films")
    assert sum(line.get_linestyle() == "--" for line in books.lines) == 2
    assert [text.get_text() for text in figure.legends[0].texts] == ["TIGER (exact)", "P5 (exact)", beams.ALL_ITEMS]
    assert "TIGER (exact) on films: 0.0000 with 5, 0.0600 with 20, 0.0450 with 100; all items 0.0400" in (
        beams.describe(studies)
    )


def test_probes_name_the_numbering_and_its_cautions():
    synthetic = make_provenance(dataset={"synthetic": True})
    found = [make_leak_probe("sequential-leaky", 0.04), make_leak_probe("random", 0.0, provenance=synthetic)]
    first, second = leaks.probes(found).to_dict("records")
    assert (first["numbering"], first["HR@1"], first["cautions"]) == (
        "sequential-leaky",
        "0.0400 [0.0360, 0.0440]",
        LEAKY,
    )
    assert (second["data"], second["HR@10"], second["cautions"]) == (
        "books (synthetic)",
        "0.0000 [0.0000, 0.0000]",
        "none",
    )
    assert "cautions" not in leaks.probes([make_leak_probe("random", 0.0)])


def test_the_leak_explains_what_is_lost_without_it():
    leaky, repaired = numbered("sequential-leaky", 0.4), numbered("sequential", 0.2, settings={})
    (row,) = leaks.explained(variants([repaired, leaky, numbered("random", 0.1)])).to_dict("records")
    before, after = (one.quality.metrics["NDCG@10"].value for one in (leaky, repaired))
    assert row["recommender"] == "P5 (sequential IDs, leaky)"
    assert row["explained, NDCG@10"].startswith(f"{100 * (before - after) / before:.1f} % [")
    assert row["NDCG@10, sequential"].startswith(f"{after:.4f}")


@pytest.mark.parametrize(
    "repaired",
    [
        numbered("random", 0.2),
        numbered("sequential", 0.2, seed=1),
        numbered("sequential", 0.2, case={"dataset": "films"}),
        numbered("sequential", 0.2, case={"decoder": "exact", "beam_width": 20}),
        numbered("sequential", 0.2, settings={"preset": "t5-small"}),
    ],
    ids=["numbering", "seed", "dataset", "decoder", "preset"],
)
def test_only_what_differs_in_numbering_alone_is_compared(repaired):
    assert leaks.explained(variants([numbered("sequential-leaky", 0.4), repaired])).empty


def test_a_leak_between_other_users_is_not_available():
    sampled = numbered("sequential", 0.2, quality=make_ranked_quality(0.2, users=50))
    (row,) = leaks.explained(variants([numbered("sequential-leaky", 0.4), sampled])).to_dict("records")
    assert row["explained, NDCG@10"] == "n/a"


def ablated(records=None, evaluations=None):
    made, timed, parts = make_ablated("books")
    return ablations.parts(
        parts, variants(made if evaluations is None else evaluations), timed if records is None else records
    )


def test_variations_are_held_against_the_base():
    hierarchy, items = ablated()
    assert (hierarchy.title, items.title) == ("hierarchy", "item LLM")
    base, flattened = ablations.table(hierarchy).to_dict("records")
    assert (base["change of NDCG@10"], base["p50"], base["p50 over the base's"]) == (
        "base",
        "2.01 ms (batch 1)",
        "base",
    )
    assert flattened["change of NDCG@10"].startswith("-24.8 % [-")
    assert flattened["p50 over the base's"].startswith("3.05 [")
    assert flattened["training"] == "10.0 min"
    assert "cautions" not in base


def test_the_smallest_batch_of_the_base_is_compared_as_it_was_timed():
    made, timed, _ = make_ablated("books")
    elsewhere = make_provenance(machine={"processor": "another", "cores": 64})
    later = make_provenance(started="2026-01-03T00:00:00+00:00")
    base, flattened = made[0], made[1]
    others = [
        make_timed(base, 0.5, batch_size=8),
        make_timed(flattened, 0.6, batch_size=8),
        make_timed(flattened, 0.7, provenance=elsewhere),
        make_timed(flattened, 0.8, provenance=later),
    ]
    part, _ = ablated([*others, *timed])
    assert part.others[0].record == timed[1]
    assert part.base.record == timed[0]


def test_of_several_presets_that_of_the_base_is_compared():
    made, _, _ = make_ablated("books")
    small = make_evaluation(skill=0.1, settings={"preset": "t5-small", "hierarchy": "flattened"})
    part, _ = ablated(evaluations=[small, *made])
    assert part.others[0].quality == made[1].quality


def test_what_is_missing_is_not_available():
    made, timed, _ = make_ablated("books")
    hierarchy, items = ablated(evaluations=[made[0], *made[2:]], records=[timed[1], timed[2]])
    base, flattened = ablations.table(hierarchy).to_dict("records")
    assert (base["p50"], base["p50 over the base's"]) == ("n/a", "n/a")
    assert flattened["change of NDCG@10"] == "n/a"
    assert flattened["NDCG@10"] == "0.200 [0.180, 0.220]"  # of the timed case, of which no places are known
    assert (flattened["p50"], flattened["p50 over the base's"]) == ("6.13 ms (batch 1)", "n/a")
    assert tradeoff.left_out([hierarchy, items]) == [
        "hierarchy: Lite-LLM4Rec, flattened on books",
        "item LLM: Lite-LLM4Rec, item LLM ids on books",
        "item LLM: Lite-LLM4Rec, item LLM frozen on books",
    ]


def test_timed_cases_lend_their_quality_where_nothing_was_evaluated():
    made, _, _ = make_ablated("books")
    timed = [make_timed(one, quality=one.quality) for one in made[:2]]
    hidden = [make_timed(one, quality=Unavailable(unavailable="nobody was ranked")) for one in made[2:]]
    hierarchy, items = ablated(evaluations=[], records=[*timed, *hidden])
    assert hierarchy.others[0].change.value == pytest.approx(-0.248, abs=1e-3)
    assert items.others[0].change is None
    assert ablations.table(items)["NDCG@10"].tolist()[1:] == ["n/a", "n/a"]


def test_quality_without_places_is_shown_and_not_compared():
    made, _, _ = make_ablated("books")
    blurred = made[1].model_copy(update={"quality": make_quality(0.1)})
    part, _ = ablated(evaluations=[made[0], blurred])
    _, row = ablations.table(part).to_dict("records")
    assert row["NDCG@10"] == "0.100 [0.090, 0.110]"
    assert row["change of NDCG@10"] == "n/a"


def test_an_ablation_of_nothing_known_is_a_table_of_gaps():
    (part,) = ablations.parts([Ablation(title="x", dataset="nowhere", base="a", others=["b"])], [], [])
    assert part.dataset == "nowhere"
    frame = ablations.table(part).set_index("recommender")
    assert frame.pop("trained to the end").tolist() == ["none"] * len(frame)
    assert (frame == "n/a").all(axis=None)


def test_ablations_are_drawn_against_the_base():
    parts = [*ablated(), *ablations.parts([Ablation(title="x", dataset="nowhere", base="a", others=["b"])], [], [])]
    figure = tradeoff.draw(parts)
    (axis,) = [axis for axis in figure.axes if axis.get_visible()]
    assert axis.get_xscale() == "log"
    ticks = [tick for tick in axis.get_xticks() if axis.get_xlim()[0] <= tick <= axis.get_xlim()[1]]
    assert 1 in ticks
    assert 2 <= len(ticks) <= tradeoff.FEW
    assert [text.get_text() for text in figure.legends[0].texts] == [
        "hierarchy: Lite-LLM4Rec, flattened",
        "item LLM: Lite-LLM4Rec, item LLM ids",
        "item LLM: Lite-LLM4Rec, item LLM frozen",
        "base: Lite-LLM4Rec",
    ]
    assert "hierarchy, Lite-LLM4Rec, flattened on books: -24.8 %" in tradeoff.describe(parts)


@pytest.mark.parametrize("median_s", [0.00201, 0.0024, 0.005, 0.05, 5.0, 0.00002])
def test_ticks_can_be_read_at_every_ratio(median_s):
    made, timed, _ = make_ablated("books")
    part, _ = ablated([timed[0], make_timed(made[1], median_s)])
    (axis,) = [axis for axis in tradeoff.draw([part]).axes if axis.get_visible()]
    ticks = [tick for tick in axis.get_xticks() if axis.get_xlim()[0] <= tick <= axis.get_xlim()[1]]
    assert 2 <= len(ticks) <= tradeoff.FEW
