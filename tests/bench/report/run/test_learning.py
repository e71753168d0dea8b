"""Learning curves on the page: once a training, with their verdicts."""

import pytest

from bench.records.learning import CurvePoint, Ending
from bench.report.run.chapters import sections
from tests.bench.factories import make_case, make_material, make_record

CURVE = tuple(
    CurvePoint(step=step, epochs=step / 4, examples=100 * step, minutes=step, metrics={"NDCG@10": value})
    for step, value in enumerate([0.1, 0.2, 0.15], 1)
)


def record(name, *, curve=CURVE, ending=Ending.CUT_SHORT, sha256="", **changes):
    made = make_record(case=make_case(name, **changes))
    weights = made.weights.model_copy(update={"curve": curve, "ending": ending, "sha256": sha256 or name})
    return made.model_copy(update={"weights": weights})


def section(*records):
    return next((one for one in sections(make_material(records)) if one.anchor == "training"), None)


def test_a_training_is_told_once_however_often_its_weights_were_timed():
    found = section(record("tiger", batch_size=1), record("tiger", batch_size=8), record("sasrec"))
    frame = found.tables[0].frame
    assert frame["recommender"].tolist() == ["TIGER", "SASRec"]
    assert frame["training"].tolist() == ["cut short", "cut short"]
    assert frame.iloc[0][["validation NDCG@10", "at examples", "of"]].tolist() == ["0.200", "200", "300"]


def test_the_figure_has_a_line_a_curve_and_says_where_it_ends():
    (drawing,) = section(record("tiger"), record("sasrec", curve=(), ending=None)).drawings
    assert drawing.text.endswith("TIGER on synthetic: 0.200 at best, after 300.")
    assert drawing.data.decode().count("\nTIGER") + drawing.data.decode().count(",TIGER,") == 3


def test_where_datasets_can_be_chosen_the_figure_answers_and_names_each_curve_where_it_is_best():
    (drawing,) = section(record("tiger"), record("sasrec", dataset="films")).drawings
    rows = drawing.live.rows
    assert {(row["name"], row["dataset"]) for row in rows} == {("TIGER", "synthetic"), ("SASRec", "films (synthetic)")}
    assert [row["x"] for row in rows if row["few"]] == [200, 200]


def test_without_curves_there_is_a_table_alone_and_without_trainings_nothing():
    found = section(record("sasrec", curve=(), ending=None))
    assert found.drawings == ()
    assert found.tables[0].frame["training"].tolist() == ["not known"]
    assert section(record("popularity", weights="as built")) is None


@pytest.mark.parametrize("batches", [(1, 8)])
def test_different_weights_of_one_name_are_two_trainings(batches):
    records = [record("tiger", batch_size=batch, sha256=str(batch)) for batch in batches]
    assert len(section(*records).tables[0].frame) == 2
