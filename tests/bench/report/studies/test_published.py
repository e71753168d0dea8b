"""Published rows: the file is sound, and each row stands beside the evaluation that it should."""

import pytest

from bench.records.case import WeightsKind
from bench.records.quality import Metric, Quality
from bench.records.record import Weights
from bench.records.studies import Evaluation
from bench.report.studies.published import COLUMNS, published_beside, published_rows
from models.errors import UserError
from models.registry import REGISTRY
from tests.bench.factories import make_case, make_provenance

GENERATIVE = {"decoder": "exact", "beam_width": 20, "scores": "full-vocab"}


def evaluate(recommender, dataset="ml-1m", *, ndcg=0.1, items=3706, split="test", named=None, built=None, **case):
    """Make an evaluation up; `named` stands in the case, `built` among all settings of the weights."""
    metrics = {
        name: Metric(value=value, low=0.9 * value, high=1.1 * value)
        for name, value in (("HR@10", 2 * ndcg), ("NDCG@10", ndcg))
    }
    return Evaluation(
        case=make_case(recommender, dataset=dataset, settings={"preset": "compact"} | (named or {}), **case),
        weights=Weights(parameters=1, parameter_bytes=4, settings={"seed": 0} | (named or {}) | (built or {})),
        quality=Quality(split=split, users=100, cutoff=20, seen="remove", metrics=metrics, coverage=0.5, valid_rate=1),
        seconds=1.0,
        provenance=make_provenance(dataset={"items": items}),
    )


def row_of(frame, method, source=""):
    (found,) = [row for row in frame.to_dict("records") if row["published"] == method and source in row["source"]]
    return found


def test_every_row_is_plausible_but_for_misprints():
    rows = published_rows()
    assert len(rows) == 123
    for row in rows:
        assert row.dataset in {"ml-1m", "beauty", "sports", "toys"}
        assert row.beside.recommender in REGISTRY
        assert row.differs.endswith(".")
        sound = [
            row.metrics[f"NDCG@{cutoff}"] <= row.metrics[f"HR@{cutoff}"]
            for cutoff in (5, 10, 20)
            if {f"NDCG@{cutoff}", f"HR@{cutoff}"} <= row.metrics.keys()
        ]
        hits = [row.metrics[name] for name in ("HR@1", "HR@5", "HR@10", "HR@20") if name in row.metrics]
        assert row.misprint or (all(sound) and hits == sorted(hits)), row
    assert [(row.dataset, row.method) for row in rows if row.misprint] == [
        ("ml-1m", "OpenP5-T5-S, unseen prompt"),
        ("beauty", "OpenP5-Llama-S, seen prompt"),
    ]


def test_no_row_stands_twice():
    keys = [(row.dataset, row.method, row.source) for row in published_rows()]
    assert len(set(keys)) == len(keys)


def test_settings_are_those_of_the_recommender():
    """A setting that the recommender lacks, or a value that it cannot have, would never match."""
    from models import registry

    for row in published_rows():
        settings = registry.load(row.beside.recommender).settings_type(**row.beside.settings)
        assert settings.model_dump(mode="json").items() >= row.beside.settings.items()


@pytest.mark.parametrize(
    ("dataset", "method", "source", "metrics"),
    [
        (
            "ml-1m",
            "OpenP5-T5-C, seen prompt",
            "OpenP5",
            {"HR@5": 0.2066, "NDCG@5": 0.14, "HR@10": 0.2945, "NDCG@10": 0.1683},
        ),
        ("beauty", "OpenP5-T5-S, seen prompt", "OpenP5", {"HR@10": 0.0622, "NDCG@10": 0.0389}),
        ("toys", "SASRec", "S3Rec", {"HR@5": 0.0463, "HR@20": 0.0941, "NDCG@20": 0.0441}),
        ("sports", "PopRec", "S3Rec", {"HR@10": 0.0094, "NDCG@10": 0.0053}),
        ("toys", "POD", "POD", {"HR@1": 0.0515, "HR@10": 0.0742, "NDCG@10": 0.061}),
        ("beauty", "TIGER", "as quoted", {"HR@5": 0.0454, "NDCG@5": 0.0321, "HR@10": 0.0648, "NDCG@10": 0.0384}),
        ("sports", "TIGER, re-implemented", "NonameUntitled", {"HR@5": 0.0232, "HR@10": 0.0368, "NDCG@20": 0.0236}),
        ("ml-1m", "SASRec, cross-entropy", "jeannineshiu", {"HR@10": 0.3033, "NDCG@10": 0.1749}),
        ("ml-1m", "gSASRec", "asash", {"HR@10": 0.3003, "NDCG@10": 0.1726}),
        (
            "sports",
            "P5-ID, SID",
            "LLM-RecSys-ID",
            {"HR@5": 0.0183, "NDCG@5": 0.0126, "HR@10": 0.0262, "NDCG@10": 0.0151},
        ),
    ],
)
def test_values_are_those_printed(dataset, method, source, metrics):
    (row,) = [
        row for row in published_rows() if (row.dataset, row.method) == (dataset, method) and source in row.source
    ]
    assert row.metrics.items() >= metrics.items()


def test_settings_choose_what_a_row_stands_beside():
    found = published_beside(
        [
            evaluate("sasrec", ndcg=0.15, built={"loss": "ce"}),
            evaluate("sasrec", ndcg=0.12, named={"loss": "bce"}),
        ]
    )
    softmax = row_of(found, "SASRec, cross-entropy")
    assert (softmax["ours"], softmax["our NDCG@10"]) == ("SASRec", "0.150 [0.135, 0.165]")
    assert softmax["ours / theirs"] == "0.858"  # .15 / .1749
    assert row_of(found, "SASRec, BCE", "antklen")["ours"] == "SASRec, binary cross-entropy"
    assert row_of(found, "SASRec", "OpenP5")["ours"] == "SASRec"  # names no loss: the recommender as it comes
    assert row_of(found, "SASRec", "OpenP5")["their HR@5"] == "0.1078"
    assert softmax["their HR@5"] == "n/a"


def test_the_nearest_evaluation_is_taken():
    """Defaults before named settings, the lowest seed, a beam search and not all items, their catalogue first."""
    plain = evaluate("tiger", "beauty", ndcg=0.03, **GENERATIVE)
    others = [
        evaluate("tiger", "beauty", ndcg=0.05, decoder="exhaustive"),
        evaluate("tiger", "beauty", ndcg=0.06, named={"codes": "random"}, **GENERATIVE),
        evaluate("tiger", "beauty", ndcg=0.07, named={"seed": 1}, **GENERATIVE),
        evaluate("tiger", "beauty", ndcg=0.08, split="validation", **GENERATIVE),
        evaluate("tiger", "beauty", ndcg=0.09, weights=WeightsKind.UNTRAINED, **GENERATIVE),
        evaluate("tiger", "beauty", ndcg=0.09, **GENERATIVE | {"scores": "renormalised"}),
    ]
    found = published_beside([*others, plain])
    assert row_of(found, "TIGER", "Rajput")["our NDCG@10"].startswith("0.0300")
    every = "semantic IDs on SASRec's backbone, all items scored"
    assert row_of(found, every)["our NDCG@10"].startswith("0.0500")
    assert row_of(found, f"{every}, 1,500 users")["ours / theirs"] == "4.17 (HR@10)"  # .1 / .024


def test_the_same_catalogue_goes_before_the_whole_one():
    whole = evaluate("popularity", ndcg=0.019)
    cut = evaluate("popularity", ndcg=0.018, items=3416, loaded_with={"min_count": 5})
    row = row_of(published_beside([whole, cut]), "Popularity")
    assert row["dataset"] == "ml-1m (5-core)"
    assert "items" not in row["why they differ"]
    row = row_of(published_beside([whole]), "Popularity")
    assert row["dataset"] == "ml-1m"
    assert row["why they differ"].endswith("Their catalogue has 3,416 items, ours 3,706.")


def test_misprints_are_marked_and_give_no_ratio():
    found = published_beside([evaluate("p5", named={"numbering": "sequential"}, **GENERATIVE)])
    assert row_of(found, "OpenP5-T5-S, unseen prompt (misprint)")["ours / theirs"] == "n/a"
    assert row_of(found, "OpenP5-T5-S, seen prompt")["ours / theirs"] == "0.651"  # .1 / .1535
    assert len(found) == 2


def test_rows_are_sorted_by_dataset_then_ours_then_the_highest_first():
    found = published_beside(
        [evaluate("sasrec", dataset, built={"loss": "ce"}) for dataset in ("toys", "ml-1m")]
        + [evaluate("popularity", "toys")]
    )
    assert list(found.columns) == COLUMNS
    keys = list(zip(found["dataset"], found["ours"], strict=True))
    assert keys == sorted(keys)
    best = [float(value) for value in found[found["dataset"] == "ml-1m"]["their NDCG@10"]]
    assert best == sorted(best, reverse=True)
    assert best[0] == 0.2029


def test_nothing_fits_is_an_empty_table():
    for found in (published_beside([]), published_beside([evaluate("sasrec", "synthetic")])):
        assert found.empty
        assert list(found.columns) == COLUMNS


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[[row]", "damaged"),
        ("rows = 1", "row: field required"),
        ('[[row]]\ndataset = "x"', "row.0.method: field required"),
        ("\xff", "cannot be read"),
    ],
)
def test_a_damaged_file_is_said_to_be_damaged(tmp_path, content, message):
    path = tmp_path / "published.toml"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(UserError, match=message):
        published_rows(path)


def test_a_missing_file_and_values_out_of_range_are_errors(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        published_rows(tmp_path / "nothing.toml")
    row = '[[row]]\ndataset = "x"\nmethod = "x"\nsource = "x"\nbeside = {recommender = "x"}\ndiffers = "x"\n'
    for number, metrics in enumerate(('{"HR@10" = 1.2}', '{"HR@3" = 0.1}', '{"HR@10" = "0.1"}', "{}")):
        path = tmp_path / f"{number}.toml"
        path.write_text(f"{row}metrics = {metrics}\n")
        with pytest.raises(UserError, match=r"row\.0\.metrics"):
            published_rows(path)
