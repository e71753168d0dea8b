"""The parts of a run: suites and their cases, the audit, and what is kept in case of an interruption."""

import json

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from baselines.generative.p5 import P5
from bench.face.replay import Replay
from bench.quality.evaluate import Lists
from bench.records.record import FULL_VOCAB, Case, Outcome, Provenance, Record, WeightsKind
from bench.running import audit
from bench.running.agreement import Agreements
from bench.running.audit import agree, audit_lists, evaluated_lists, same_up_to_ties, timed_lists
from bench.running.building import sharing_weights
from bench.running.unfinished import Unfinished
from bench.statistics.ranks import Ranks
from bench.suites import cases
from bench.suites.cases import Entry, Suite
from bench.training import checkpoints
from bench.training.recipes import resolve
from models import registry
from models.errors import UserError
from models.recommender import EXHAUSTIVE, History, Recommendations, Scores, SeenItems, Serving
from tests.bench.factories import make_case
from tests.tiny import build, catalogue, dataset

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
        usual = registry.load("p5").decoders[0]
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
    assert p5.case.variant == f"p5 ({registry.load('p5').decoders[0]}, beam 20)"


@pytest.fixture
def ladder(monkeypatch):
    """Name a recommender that has many decoders."""

    class Ladder(P5):
        decoders = ("exact", "reference", EXHAUSTIVE)

    usual = registry.load
    monkeypatch.setattr(registry, "load", lambda name: Ladder if name == "ladder" else usual(name))
    return "ladder"


def test_a_decoder_is_measured_at_every_beam_width_and_meaning_of_scores(ladder):
    entry = Entry(name=ladder, decoders=["reference", "exact", EXHAUSTIVE])
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
    values = record().model_dump(mode="json")
    for name in ("scores", "loaded_with"):
        del values["case"][name]
    assert Record.model_validate(values) == record()
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


@pytest.mark.parametrize("name", cases.suites())
def test_suites_that_come_along_can_be_expanded(name):
    suite = cases.read_suite(name)
    assert suite.description
    groups = cases.expand(suite, "synthetic", device=CPU, threads=1, chosen={}, untrained=False)
    pieces = [piece for _, piece in suite.pieces()]
    names = [one.case.name for group in groups for one in group]
    assert len(set(names)) == len(names)
    assert 0 < len(groups) <= sum(len(piece.batch_sizes) * len(piece.dtypes) for piece in pieces)
    assert {one.case.recommender for one in groups[0]} == {entry.name for entry in pieces[0].recommenders}


def test_a_checkpoints_folder_is_known_by_settings_and_data():
    settings, _ = resolve("sasrec", "toy", {})
    other, _ = resolve("sasrec", "toy", {"dropout": 0.3})
    folders = {
        checkpoints.folder_for("sasrec", settings, dataset()),
        checkpoints.folder_for("sasrec", other, dataset()),
        checkpoints.folder_for("sasrec", settings, dataset(seed=1)),
    }
    assert len(folders) == 3
    assert checkpoints.folder_for("sasrec", settings, dataset()) in folders
    usual = checkpoints.folder_for("sasrec", settings, dataset())
    odd = checkpoints.folder_for("my.module:Class", settings.model_copy(update={"preset": "a/b"}), dataset())
    assert odd.parent == usual.parent
    assert odd.name.startswith("my.module.Class-a_b-seed0-")


def listed(items, scores, other, other_scores, tolerance=1e-3):
    arrays = (np.array(items), np.array(scores), np.array(other), np.array(other_scores))
    return same_up_to_ties(*arrays, tolerance=tolerance)


def test_lists_agree_when_only_nearly_equal_scores_change_places():
    inf = np.inf
    assert listed([1, 2, 3], [3.0, 2, 1], [1, 2, 3], [3.0, 2, 1])
    assert listed([2, 1, 3], [3.0, 3, 1], [1, 2, 3], [3.0002, 3, 1])
    assert listed([1, 2, 9], [3.0, 2, 1], [1, 2, 3], [3.0, 2, 1]), "cut off at equal last scores"
    assert listed([1, 0], [3.0, -inf], [1, 0], [3.0, -inf])
    assert listed([0], [-inf], [0], [-inf])
    assert not listed([2, 1, 3], [3.0, 2, 1], [1, 2, 3], [3.0, 2, 1]), "different items at different scores"
    assert not listed([1, 2, 3], [3.0, 2, 1], [1, 2, 3], [3.1, 2, 1]), "other scores"
    assert not listed([9, 2, 3], [3.0, 2, 1], [1, 2, 3], [3.0, 2, 1]), "an unknown item at the top"
    assert not listed([1, 2], [3.0, 2], [1, 0], [3.0, -inf]), "one list is longer"


def test_the_audit_counts_each_user_once_and_passes_over_the_unevaluated():
    lists = Lists(
        np.array([4, 7, 9]),
        np.array([[1, 2], [3, 4], [5, 6]]),
        np.array([[2.0, 1], [2.0, 1], [2.0, 1]]),
        Ranks(np.zeros(3, dtype=np.int64), np.ones(3, dtype=np.int64)),
    )
    users = [History(9, ()), History(4, ()), History(7, ()), History(4, ()), History(5, ())]
    items = torch.tensor([[6, 5], [1, 2], [3, 8], [8, 8], [1, 1]])
    timed = timed_lists({0: (users, Recommendations(items, torch.tensor([[2.0, 1]] * 5)))})
    found = audit_lists(evaluated_lists(lists), timed, tolerance=audit.TOLERANCE["float32"])
    assert (found.users, found.identical, found.ties, found.different) == (3, 1, 1, 1)


def lists_of(rows, scores=(2.0, 1.0)):
    return {user: (np.array(items), np.array(scores)) for user, items in enumerate(rows)}


def test_two_decoders_agree_up_to_ties_and_share_items():
    """Places that hold no item are not shared, and users of one alone are passed over."""
    one = lists_of([[1, 2], [2, 1], [5, 6], [7, 8]], scores=(2.0, 2.0))
    other = lists_of([[1, 2], [1, 2], [5, 9]], scores=(2.0, 2.0)) | {9: one[0]}
    found = agree(one, other, "the other", tolerance=1e-4)
    assert (found.users, found.identical, found.ties, found.different) == (3, 1, 2, 0)
    assert found.overlap == pytest.approx(2.5 / 3)
    short = agree(one, {0: (np.array([1, 0]), np.array([2.0, -np.inf]))}, "short", tolerance=1e-4)
    assert (short.different, short.overlap) == (1, 1.0)


def decoded(decoder, **changes):
    return make_case("p5", **{"decoder": decoder, "scores": "full-vocab", "beam_width": 20} | changes)


def test_each_decoder_is_compared_with_the_surest_measured():
    """That is the reference, of the same beam width, and of the same dtype and scores where they were measured."""
    agreements = Agreements(Unfinished("agreements"))
    cases_of = {
        "reference": decoded("reference"),
        "narrow": decoded("reference", beam_width=10),
        "exact": decoded("exact"),
        "renormalised": decoded("exact", scores="renormalised"),
        "exhaustive": decoded("exhaustive", beam_width=None),
        "rounded": decoded("exact", dtype="bfloat16"),
        "rounded and compiled": decoded("compiled", dtype="bfloat16"),
        "alone": decoded("exact", settings={"preset": "t5-small"}),
        "one pass": make_case(),
    }
    for case in cases_of.values():
        agreements.add(case, lists_of([[1, 2]]))
    found = {name: agreements.of(case) for name, case in cases_of.items()}
    assert {name: one.compared_with for name, one in found.items() if one} == {
        "exact": "p5 (reference, beam 20)",
        "renormalised": "p5 (reference, beam 20)",
        "exhaustive": "p5 (reference, beam 20)",
        "rounded": "p5 (reference, beam 20), float32",
        "rounded and compiled": "p5 (reference, beam 20), float32",
    }
    assert agreements.of(decoded("exact", batch_size=7)) is None, "its lists are not known"
    large = decoded("reference", batch_size=64)
    agreements.add(large, lists_of([[1, 2]]))
    assert agreements.of(large) is None, "the same decoder at another batch size is no other decoder"


def record(name="popularity"):
    case = Case(
        recommender=name, settings={}, dataset="toy", weights=WeightsKind.AS_BUILT, device="cpu", dtype="float32",
        batch_size=1, k=5, seen="remove", threads=1,
    )  # fmt: skip
    origin = Provenance(command="", commit=None, dirty=None, started="", machine={}, software={}, dataset={})
    return Record(suite="tiny", case=case, outcome=Outcome.ERROR, detail="broken", provenance=origin)


def test_a_replayed_timer_gives_the_samples_back():
    replay = Replay()
    replay.load([0.5, 0.25])
    first, second, third, fourth = (replay() for _ in range(4))
    assert (second - first, fourth - third) == (0.5, 0.25)
    assert replay() == fourth, "and stands still afterwards"


def test_a_record_goes_through_json_unchanged_and_unknown_fields_are_errors():
    text = record().model_dump_json()
    assert Record.model_validate_json(text) == record()
    with pytest.raises(ValueError, match="colour"):
        Record.model_validate(json.loads(text) | {"colour": "blue"})


def test_a_missing_or_unfinished_checkpoint_says_what_to_do(tmp_path):
    with pytest.raises(UserError, match=r"is no checkpoint: there is no card\.json; train one with"):
        checkpoints.load(tmp_path)


def test_the_overview_lists_all_that_can_be_named():
    from bench.__main__ import app

    listed_names = CliRunner().invoke(app, ["--names"]).stdout.split()
    assert {"sasrec", "lite-llm4rec", "synthetic", "ml-1m", "quick", "t5-small"} <= set(listed_names)
    told = CliRunner().invoke(app, []).stdout
    assert all(name in told for name in [*listed_names, "pytest bench/ --benchmark-only"])
