"""Timed lists are those that were evaluated, and decoders agree."""

import numpy as np
import pytest
import torch

from bench.quality.evaluate import Lists
from bench.records.quality import ListAudit
from bench.running import audit
from bench.running.agreement import Agreements
from bench.running.audit import agree, audit_lists, evaluated_lists, same_up_to_ties, timed_lists, too_many_differ
from bench.running.unfinished import Unfinished
from bench.statistics.ranks import Ranks
from models.catalogue import History
from models.serving import Recommendations
from tests.bench.factories import make_case


@pytest.fixture(autouse=True)
def _own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))


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


@pytest.mark.parametrize(
    ("dtype", "different", "broken"),
    [("float32", 0, False), ("float32", 1, True), ("bfloat16", 6, False), ("bfloat16", 7, True), ("int8", 7, True)],
)
def test_a_short_number_format_may_change_a_tenth_of_the_lists(dtype, different, broken):
    counted = ListAudit(users=64, identical=64 - different, ties=0, different=different)
    assert too_many_differ(counted, dtype) is broken
