"""Cases are called alike in all of a page, and no two settings by one name."""

from hypothesis import given
from hypothesis import strategies as st

from bench.records.naming import Named
from bench.records.quality import Agreement
from bench.records.studies import Limited, ShortcutProbe, Studies
from bench.report.reading.labels import case_labels
from bench.report.reading.naming import base_of, caption, dataset_name, page_names, with_names
from bench.report.reading.values import all_values
from tests.bench.factories import make_case, make_leak_probe, make_provenance, make_record


def record(recommender="sasrec", label="", said=None, **settings):
    named = Named(name=label, label=label, said=said or {}) if label else None
    return make_record(case=make_case(recommender, settings={"preset": "compact"} | settings), named=named)


VALUES = st.dictionaries(
    st.sampled_from(["max_length", "loss", "dropout", "head"]),
    st.sampled_from([1, 2, "1", "ce", True, None, 0.5]),
    max_size=3,
)


@given(st.lists(st.tuples(st.sampled_from(["sasrec", "p5", "a:B", "c:B"]), VALUES), min_size=1, max_size=8))
def test_cases_that_differ_in_a_setting_never_share_a_name(made):
    """Whatever a suite or an older record calls them."""
    records = with_names(
        [record(name, "One name for all" if row % 2 else "", **settings) for row, (name, settings) in enumerate(made)]
    )
    by_label = {}
    for each in records:
        key = each.case.recommender, frozenset(each.case.changed.items())
        assert by_label.setdefault(caption(each), key) == key
    assert [caption(each) for each in with_names(records)] == [caption(each) for each in records]


def test_equal_names_say_the_settings_in_which_they_differ_and_no_others():
    said = {"max_length": "200 items", "dropout": "dropout 0.5"}
    records = [record(dropout=0.5), record(said=said, max_length=200, dropout=0.5)]
    assert [caption(each) for each in with_names(records)] == ["SASRec", "SASRec, 200 items"]
    assert case_labels(records) == ["SASRec", "SASRec, 200 items"]
    assert base_of(with_names(records)[1]) == "SASRec"
    assert caption(records[1]) == "SASRec"  # alone nothing needs to be said


def test_a_preset_is_said_where_it_is_not_the_usual_one():
    records = [record("sasrec"), record("p5"), record("setrec"), record("setrec", preset="compact-causal")]
    assert case_labels(with_names(records)) == ["SASRec", "P5", "setrec", "setrec, compact-causal"]
    assert case_labels(with_names(with_names(records)[2:])) == ["setrec", "setrec, compact-causal"]
    assert case_labels(with_names(records[2:])) == ["setrec, compact", "setrec, compact-causal"]


def test_other_recommenders_of_the_same_name_say_what_is_typed():
    records = [record(), record("mine:SASRec", "SASRec")]
    assert [caption(each) for each in with_names(records)] == ["SASRec [sasrec]", "SASRec [mine:SASRec]"]


def test_how_a_case_is_served_stands_behind_its_name():
    served = {"decoder": "exact", "beam_width": 20, "scores": "renormalised"}
    searched = make_record(case=make_case("openp5-llama", **served))
    assert caption(searched) == "OpenP5 (Llama; exact, renormalised, beam 20)"
    assert caption(make_record(case=make_case("tiger", **served))) == "TIGER (exact, renormalised, beam 20)"
    assert caption(make_record(case=make_case(ranker="ivf", compiled=True))) == "Lite-LLM4Rec (ivf, compiled)"


def test_what_all_data_were_loaded_with_is_said_once_and_else_beside_each():
    core = [make_record(case=make_case(dataset=name, loaded_with={"min_count": 5})) for name in ("beauty", "toys")]
    other = make_record(case=make_case(dataset="toys", loaded_with={"min_count": 10}))
    assert [dataset_name(each).removesuffix(" (synthetic)") for each in with_names(core)] == ["beauty", "toys"]
    names = [dataset_name(each).removesuffix(" (synthetic)") for each in with_names([*core, other])]
    assert names == ["beauty (5-core)", "toys (5-core)", "toys (10-core)"]


def test_what_was_written_as_a_variant_is_said_in_the_names_of_the_page():
    case = make_case("tiger", decoder="exact", beam_width=20, loaded_with={"min_count": 5})
    agreement = Agreement(
        compared_with=f"{case.variant}, float32", users=1, identical=1, ties=0, different=0, overlap=1
    )
    probe = make_leak_probe("random", 0.0).model_copy(update={"dataset": case.dataset_variant})
    (shown,), studies = page_names([make_record(case=case, agreement=agreement)], Studies(leaks=[probe]))
    assert shown.agreement.compared_with == "TIGER (exact, beam 20), float32"
    assert studies.leaks[0].dataset == "synthetic"


def test_what_ranked_by_the_newest_items_is_named_in_older_studies_too():
    older = Limited(recommender="shortcut (graph 2)", metrics={})
    probe = ShortcutProbe(
        dataset="books", users=1, branching=1, follows=0, same_brand=None, same_category=None, smoothness=None,
        by_chance=None, limited=[older, Limited(recommender="mine", label="Mine", metrics={})],
        provenance=make_provenance(),
    )  # fmt: skip
    _, studies = page_names([], Studies(shortcuts=[probe]))
    assert [ranking.label for ranking in studies.shortcuts[0].limited] == ["Shortcut (no training)", "Mine"]


def test_tables_for_programs_keep_what_is_typed_beside_the_name():
    (row,) = all_values(with_names([record("lite-llm4rec", item_ids=True)])).to_dict("records")
    assert (row["recommender"], row["variant"]) == ("lite-llm4rec", "lite-llm4rec (item_ids True)")
    assert row["label"] == "Lite-LLM4Rec, text + IDs"
    assert row["case"].startswith("lite-llm4rec (item_ids True) | synthetic | compact")
