"""Suites in parts, and what their decoders save."""

import json

import pytest
import torch
from rich.console import Console

from bench.cli.options import serving_of
from bench.face.speedups import speedup_table, speedups, where_time_goes
from bench.records.cost import Phase
from bench.suites import cases, definitions
from bench.suites.cases import Planned
from bench.suites.definitions import Entry, Suite, read_suite
from bench.suites.planning import Job, lay_out
from models.errors import UserError
from tests.bench.factories import make_case, make_record

P5 = {"name": "p5", "decoders": ["reference", "exact"]}


def expand(**values):
    suite = Suite(description="a test", datasets=["toy"], **values)
    return cases.expand(suite, "toy", device=torch.device("cpu"), threads=1, chosen={}, untrained=False)


def test_what_a_part_does_not_name_is_the_suites():
    parts = [
        {"title": "small", "batch_sizes": [1, 8], "goals": {"cpu": {1: 4.5}, "cuda": {8: 30}}, "goal_decoder": "exact"},
        {"title": "wide", "beam_widths": [50], "recommenders": [{"name": "p5"}], "min_rounds": 3},
    ]
    small, larger, wide = expand(recommenders=[P5], batch_sizes=[4], min_rounds=7, parts=parts, untrained=True)
    assert [one.case.decoder for one in small] == ["reference", "exact"]
    goals = [(group[0].case.batch_size, [one.goal for one in group]) for group in (small, larger, wide)]
    assert goals == [(1, [None, 4.5]), (8, [None, None]), (4, [None])], "the reference is held to nothing"
    assert [(group[0].case.beam_width, group[0].min_rounds) for group in (small, wide)] == [(20, 7), (50, 3)]
    assert small[0].case.weights == "untrained"


def test_an_entry_may_have_scores_of_its_own_and_no_case_is_measured_twice():
    entries = [P5, {"name": "p5", "decoders": ["exact"], "scores": ["full-vocab", "renormalised"]}]
    (group,) = expand(recommenders=entries, parts=[{"title": "once"}, {"title": "again"}])
    assert [(one.case.decoder, one.case.scores) for one in group] == [
        ("reference", "full-vocab"),
        ("exact", "full-vocab"),
        ("exact", "renormalised"),
    ]


def test_on_a_gpu_one_pass_is_measured_compiled_too_and_elsewhere_as_it_is():
    suite = Suite(description="a test", datasets=["toy"], recommenders=[{"name": "sasrec"}, {"name": "popularity"}, P5])
    for device, expected in (
        ("cpu", ["sasrec", "popularity", "p5 (reference, beam 20)", "p5 (exact, beam 20)"]),
        ("cuda", ["sasrec", "sasrec (compiled)", "popularity", "p5 (reference, beam 20)", "p5 (exact, beam 20)"]),
    ):
        (group,) = cases.expand(suite, "toy", device=torch.device(device), threads=1, chosen={}, untrained=False)
        assert [one.case.variant for one in group] == expected
        assert [serving_of(one.case).compiled for one in group] == [name == "sasrec (compiled)" for name in expected]


def test_an_entry_may_have_dtypes_of_its_own_which_are_timed_with_the_others_unless_the_user_names_some():
    entries = [P5, {"name": "p5", "decoders": ["exact"], "dtypes": ["bfloat16", "int8"]}]
    (group,) = expand(recommenders=entries)
    assert [one.case.dtype for one in group] == ["float32", "float32", "bfloat16", "int8"]
    suite = Suite(description="a test", datasets=["toy"], recommenders=entries)
    named = definitions.changed(suite, dtypes=["float16"])
    (group,) = cases.expand(named, "toy", device=torch.device("cpu"), threads=1, chosen={}, untrained=False)
    assert {one.case.dtype for one in group} == {"float16"}
    with pytest.raises(UserError, match="--dtype float8: use one of float32"):
        expand(recommenders=[{"name": "p5", "dtypes": ["float8"]}])


def test_missed_goals_are_laid_out_step_by_step():
    steps = {
        "reference": ["encode", "decode step 1"],
        "exact": ["encode", "decode step 1: head", "decode step 2: head"],
    }
    records = [
        make_record(
            case=make_case("p5", decoder=decoder, beam_width=20, scores="full-vocab"),
            median_s=median_s,
            phases=[Phase(name=name, seconds=0.002) for name in steps[decoder]],
        )
        for decoder, median_s in (("reference", 0.08), ("exact", 0.02))
    ]
    by_name = {record.case.name: record for record in records}
    for goal, is_missed in ((3.0, False), (5.0, True)):
        found = speedups([Planned(record.case, part="small", goal=goal) for record in records], by_name)
        table = where_time_goes(found)
        assert (table is not None) is is_missed
    console = Console(width=140, no_color=True, record=True)
    console.print(table)
    header, slow, fast = console.export_text().rstrip().splitlines()[-3:]
    assert header.split() == ["part", "batch", "decoder", "encode", "head", "decode", "steps"]
    assert slow.split() == ["small", "32", "reference", "2", "2"]
    assert fast.split() == ["small", "32", "exact", "2", "4"]


def test_what_the_user_names_goes_before_parts_and_their_goals():
    parts = [
        {
            "title": "small",
            "batch_sizes": [1, 8],
            "goals": {"cpu": {1: 4.5}},
            "goal_decoder": "exact",
            "recommenders": [P5],
        }
    ]
    suite = Suite(description="a test", datasets=["toy"], recommenders=[Entry(name="p5")], parts=parts)
    assert definitions.changed(suite, min_rounds=3).parts[0].goals == {"cpu": {1: 4.5}}
    ((_, piece),) = definitions.changed(suite, batch_sizes=[3]).pieces()
    assert piece.batch_sizes == [3]
    assert definitions.changed(suite, batch_sizes=[3]).parts[0].goals == {}
    assert piece.recommenders[0].decoders == ["reference", "exact"]


@pytest.mark.parametrize(
    ("suite", "message"),
    [
        ("batch_sizes = [1]", "no recommenders: name some"),
        ('[[parts]]\ntitle = "small"', "no recommenders: name some"),
        (
            (
                '[[recommenders]]\nname = "p5"\n[[parts]]\ntitle = "small"\n'
                'goal_decoder = "exact"\ngoals = { cpu = { 4 = 2 } }'
            ),
            "small: a goal for batch size 4",
        ),
        (
            '[[recommenders]]\nname = "p5"\n[[parts]]\ntitle = "small"\ngoals = { cpu = { 1 = 2 } }',
            "part 'small' has goals: name the decoder",
        ),
        ('[[recommenders]]\nname = "p5"\n[[parts]]\ntitle = "small"\nk = 3', "parts.0.k: extra inputs"),
    ],
)
def test_a_suite_without_recommenders_or_with_loose_goals_is_refused(tmp_path, suite, message):
    path = tmp_path / "own.toml"
    path.write_text(f'description = "own"\ndatasets = ["toy"]\n{suite}\n')
    with pytest.raises(UserError, match=message):
        definitions.read_suite(str(path))


def test_decoders_are_compared_with_the_first_of_their_kind():
    settings = [("reference", "full-vocab", 0.08), ("exact", "full-vocab", 0.02), ("exact", "renormalised", 0.01)]
    records = [
        make_record(case=make_case("p5", decoder=decoder, beam_width=20, scores=scores), median_s=median_s)
        for decoder, scores, median_s in settings
    ]
    lite = make_record()
    group = [Planned(record.case, part="small", goal=5.0) for record in (*records, lite)]
    found = speedups(group, {record.case.name: record for record in (*records, lite)})
    assert [(one.ratio.value, one.goal) for one in found] == [(pytest.approx(4), 5.0), (pytest.approx(8), None)]
    console = Console(width=140, no_color=True, record=True)
    console.print(speedup_table(found))
    _, _, exact, renormalised = console.export_text().rstrip().splitlines()
    assert exact.split()[:5] == ["small", "20", "32", "reference", "exact"]
    assert exact.rstrip().endswith("missed")
    assert "exact, renormalised" in renormalised
    assert speedups([Planned(record.case) for record in records], {}) == []


def test_a_part_may_have_datasets_of_its_own():
    parts = [{"title": "small"}, {"title": "large", "datasets": ["synthetic-50"]}]
    suite = Suite(description="a test", datasets=["toy"], recommenders=[P5], parts=parts)
    cpu = torch.device("cpu")
    for source, title in (("toy", "small"), ("synthetic-50", "large")):
        (group,) = cases.expand(suite, source, source=source, device=cpu, threads=1, chosen={}, untrained=True)
        assert {one.part for one in group} == {title}
        assert {one.case.dataset for one in group} == {source}


def test_of_one_source_only_its_own_parts_are_laid_out(tmp_path):
    """A process that measures one dataset must not take another one's checkpoints, which lie in other parts."""
    parts = [
        {"title": "", "datasets": ["synthetic-30"], "recommenders": [{"name": "popularity"}]},
        {"title": "", "datasets": ["synthetic-40"], "recommenders": [{"name": "sasrec"}]},
    ]
    path = tmp_path / "two.json"
    path.write_text(json.dumps({"description": "d", "datasets": ["synthetic-30"], "parts": parts}))
    job = Job(suite=str(path), untrained=True, device="cpu", threads=1)
    assert [piece.source for piece in lay_out(job).pieces] == ["synthetic-30", "synthetic-40"]
    (piece,) = lay_out(job.model_copy(update={"sources": ["synthetic-40"]})).pieces
    assert [one.case.recommender for group in piece.groups for one in group] == ["sasrec"]


def test_a_damaged_json_suite_is_one_line(tmp_path):
    path = tmp_path / "torn.json"
    path.write_text("{")
    with pytest.raises(UserError, match=r"torn\.json: is no valid JSON"):
        read_suite(str(path))
