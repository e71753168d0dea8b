"""Suites become groups of cases."""

import pytest
import torch

from baselines.generative.p5 import P5
from bench.cli.options import serving_of
from bench.records.case import Outcome, WeightsKind
from bench.records.decoders import FULL_VOCAB
from bench.records.record import Record
from bench.running.building import sharing_weights
from bench.suites import cases, definitions, planning
from bench.suites.definitions import Entry, Suite
from bench.suites.planning import Job
from models import registry
from models.errors import UserError
from models.named import by_name
from models.serving import Scores, SeenItems, Serving
from tests.bench.factories import make_failure
from tests.tiny import build, catalogue

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))


def expand(chosen=None, *, untrained=False, **changes):
    values = {"description": "tiny", "datasets": ["toy"], "batch_sizes": [1, 4]}
    suite = Suite(**values | {"recommenders": [Entry(name="popularity"), Entry(name="p5")]} | changes)
    return cases.expand(suite, "toy", device=CPU, threads=1, chosen=chosen or {}, untrained=untrained)


def test_a_group_holds_what_is_compared_side_by_side():
    groups = expand(beam_widths=[5, 20], dtypes=["float32", "bfloat16"])
    assert len(groups) == 4
    for group in groups:
        found = [(one.case.recommender, one.case.decoder, one.case.beam_width) for one in group]
        usual = next(iter(registry.load("p5").decoders))
        assert found == [("popularity", None, None), ("p5", usual, 5), ("p5", usual, 20)]
        assert len({(one.case.batch_size, one.case.dtype) for one in group}) == 1
    names = [one.case.name for group in groups for one in group]
    assert len(set(names)) == len(names) == 12


def test_a_setting_goes_to_every_recommender_that_has_it():
    recommenders = [Entry(name="sasrec", settings={"loss": "bce"}), Entry(name="p5"), Entry(name="popularity")]
    sasrec, p5, popularity = expand({"max_length": "7", "seed": 3}, recommenders=recommenders)[0]
    assert sasrec.case.settings == {"preset": "compact", "seed": 3, "loss": "bce", "max_length": 7}
    assert p5.case.settings["seed"] == popularity.case.settings["seed"] == 3
    assert "max_length" not in p5.case.settings
    assert "bce, max_length 7" in sasrec.case.variant
    assert p5.case.variant == f"p5 ({next(iter(registry.load('p5').decoders))}, beam 20)"


def test_a_graph_alone_is_timed_where_a_suite_asks_for_it():
    entries = {"recommenders": [Entry(name="sasrec")], "batch_sizes": [1]}

    def compiled(**changes):
        suite = Suite(description="tiny", datasets=["toy"], **entries | changes)
        (group,) = cases.expand(suite, "toy", device=torch.device("cuda"), threads=1, chosen={}, untrained=True)
        return [one.case.compiled for one in group]

    assert compiled() == [False, True]
    assert compiled(eager=False) == [True]


def test_rankers_are_cases_of_their_own_and_the_usual_one_goes_without_saying():
    entries = [Entry(name="sasrec", rankers=["exact", "int8-rescored"]), Entry(name="popularity")]
    (plain, rounded, popular), *_ = expand({}, recommenders=entries)
    assert (plain.case.variant, plain.case.ranking) == ("sasrec", None)
    assert rounded.case.variant == "sasrec (int8-rescored)"
    assert not rounded.case.ranks_exactly
    assert popular.case.ranker is None
    assert serving_of(rounded.case).ranker == "int8-rescored"


@pytest.mark.parametrize(
    ("name", "message"),
    [("sasrec", "sasrec has no ranker 'quick': use one of exact, "), ("popularity", "does not rank by inner product")],
)
def test_an_unknown_ranker_is_refused_with_the_known_ones(name, message):
    with pytest.raises(UserError, match=message):
        expand({}, recommenders=[Entry(name=name, rankers=["quick"])])


def test_on_a_cpu_one_pass_is_compiled_where_a_suite_asks_for_it():
    suite = Suite(
        description="tiny",
        datasets=["toy"],
        recommenders=[Entry(name="sasrec"), Entry(name="popularity")],
        compiled=True,
    )
    (group,) = cases.expand(suite, "toy", device=torch.device("cpu"), threads=1, chosen={}, untrained=True)
    assert [one.case.variant for one in group] == ["sasrec", "sasrec (compiled)", "popularity"]


def test_the_command_line_asks_only_those_for_rankers_that_have_some():
    job = Job(suite="quick", rankers=["exact-fused"])
    entries = {entry.name: entry for entry in planning._changed(job, definitions.read_suite("quick")).recommenders}
    assert entries["lite-llm4rec"].rankers == ["exact-fused"]
    assert entries["p5"].rankers == entries["popularity"].rankers == []


@pytest.fixture
def ladder(monkeypatch):
    """Name a recommender that has many decoders."""

    class Ladder(P5):
        decoders = by_name(*(registry.load("p5").decoders[name] for name in ("exact", "reference", "exhaustive")))

    usual = registry.load
    monkeypatch.setattr(registry, "load", lambda name: Ladder if name == "ladder" else usual(name))
    return "ladder"


def test_a_decoder_is_measured_at_every_beam_width_and_meaning_of_scores(ladder):
    entry = Entry(name=ladder, decoders=["reference", "exact", "exhaustive"])
    (group,) = expand(recommenders=[entry], batch_sizes=[1], beam_widths=[5, 20], scores=list(Scores))
    variants = [one.case.variant for one in group]
    assert variants == [
        "ladder (reference, beam 5)", "ladder (reference, beam 20)",
        "ladder (reference, renormalised, beam 5)", "ladder (reference, renormalised, beam 20)",
        "ladder (exact, beam 5)", "ladder (exact, beam 20)",
        "ladder (exact, renormalised, beam 5)", "ladder (exact, renormalised, beam 20)",
        "ladder (exhaustive)", "ladder (exhaustive, renormalised)",
    ]  # fmt: skip
    assert [one.case.name.rpartition(" | ")[2] for one in group[:3:2]] == ["full-vocab scores", "renormalised scores"]
    assert group[-1].case.beam_width is None


def test_one_pass_cases_and_old_records_have_no_meaning_of_generated_scores():
    (group,) = expand(batch_sizes=[1])
    assert [one.case.scores for one in group] == [None, "full-vocab"]
    values = make_failure("popularity", Outcome.ERROR, "broken").model_dump(mode="json")
    for name in ("scores", "loaded_with"):
        del values["case"][name]
    assert Record.model_validate(values) == make_failure("popularity", Outcome.ERROR, "broken")
    assert FULL_VOCAB == Scores.FULL_VOCAB


def test_weights_exist_once_however_they_are_served():
    """Each copy has its own way of serving and its own index; parameters are the same objects."""
    first = build("p5")
    second = sharing_weights(first)
    first.serving, second.serving = Serving(beam_width=3), Serving(seen=SeenItems.KEEP, beam_width=4)
    first.index(catalogue())
    assert second.index_bytes == 0 < first.index_bytes
    assert all(one is other for one, other in zip(first.parameters(), second.parameters(), strict=True))
    second.index(catalogue())
    assert (first.serving.beam_width, second.serving.beam_width) == (3, 4)
    second.register_buffer("own", torch.zeros(1))
    assert "own" not in dict(first.named_buffers())


def test_weights_are_trained_untrained_or_as_built():
    kinds = [[one.case.weights for one in expand(untrained=untrained)[0]] for untrained in (False, True)]
    assert kinds == [[WeightsKind.AS_BUILT, WeightsKind.TRAINED], [WeightsKind.AS_BUILT, WeightsKind.UNTRAINED]]


@pytest.mark.parametrize("name", definitions.suites())
def test_suites_that_come_along_can_be_expanded(name):
    suite = definitions.read_suite(name)
    assert suite.description
    groups = cases.expand(suite, "synthetic", device=CPU, threads=1, chosen={}, untrained=False)
    pieces = [piece for _, piece in suite.pieces()]
    names = [one.case.name for group in groups for one in group]
    assert len(set(names)) == len(names)
    assert 0 < len(groups) <= sum(len(piece.batch_sizes) * len(piece.dtypes) for piece in pieces)
    assert {one.case.recommender for one in groups[0]} == {entry.name for entry in pieces[0].recommenders}
