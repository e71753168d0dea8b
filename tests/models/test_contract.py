"""Broken lists are found wherever lists are taken, and the line says what broke."""

import pytest
import torch

from bench.measure import latency
from bench.measure.clock import Clock
from bench.measure.outcome import failure
from bench.measure.subject import Subject
from bench.quality import evaluate
from bench.records.case import Outcome
from models.catalogue import History
from models.contract import BrokenListError, check_lists
from models.padding import PADDING
from models.serving import Recommendations, SeenItems, Serving
from tests.breaking import ITEMS, Constant, NotANumber, OutOfRange, Repeats, Rising, Short
from tests.tiny import walks

CPU = torch.device("cpu")
HISTORIES = [History(7, (1, 2)), History(9, (3,))]


def lists(items, scores):
    return Recommendations(torch.tensor(items), torch.tensor(scores))


GOOD = [[5, 6, 4], [6, 5, 4]], [[3.0, 2.0, 2.0], [1.0, 0.5, 0.1]]
INF = float("inf")


@pytest.mark.parametrize(
    ("items", "scores", "said"),
    [
        (GOOD[0], [[3.0, float("nan"), 2.0], [1.0, 0.5, 0.1]], "a score is NaN (1 of 2 lists, the first of user 7)"),
        ([[5, 6, 4], [6, 5, 11]], GOOD[1], "an item lies outside of 0 to 10 (1 of 2 lists, the first of user 9)"),
        ([[5, 6, -1], [6, 5, 4]], GOOD[1], "an item lies outside of 0 to 10"),
        ([[5, 6, 5], [6, 5, 4]], GOOD[1], "an item stands there twice"),
        (GOOD[0], [[3.0, 2.0, 2.0], [1.0, 0.5, 0.6]], "scores rise along the list"),
        (GOOD[0], [[INF, 2.0, 2.0], [1.0, 0.5, 0.1]], "a score that is not finite"),
        ([[5, 6, PADDING], [6, 5, 4]], GOOD[1], "an unfilled place has a score other than -inf"),
        ([[5, 6, 1], [6, 5, 4]], GOOD[1], "an item of the user's history came back"),
        ([[5, 6], [6, 5]], [[3.0, 2.0], [1.0, 0.5]], "items has the shape [2, 2] instead of [2, 3]"),
        ([[5.0, 6.0, 4.0], [6.0, 5.0, 4.0]], GOOD[1], "items has the type torch.float32"),
        (GOOD[0], [[3, 2, 2], [3, 2, 1]], "scores has the type torch.int64"),
    ],
)
def test_each_breach_is_named(items, scores, said):
    with pytest.raises(BrokenListError) as caught:
        check_lists(Constant(10), lists(items, scores), HISTORIES, k=3, items=10)
    assert str(caught.value).startswith("Constant breaks the contract of lists: ")
    assert said in str(caught.value)


def test_sound_lists_pass_unfilled_places_and_ties_included():
    assert check_lists(Constant(10), lists(*GOOD), HISTORIES, k=3, items=10) is None
    unfilled = lists([[5, PADDING, PADDING], [6, 5, 4]], [[3.0, -INF, -INF], [1.0, 1.0, 1.0]])
    assert check_lists(Constant(10), unfilled, HISTORIES, k=3, items=10) is None


def test_seen_items_may_come_back_where_they_are_kept():
    recommender, again = Constant(10), lists([[1, 6, 4], [3, 5, 4]], GOOD[1])
    with pytest.raises(BrokenListError):
        check_lists(recommender, again, HISTORIES, k=3, items=10)
    recommender.serving = Serving(seen=SeenItems.KEEP)
    assert check_lists(recommender, again, HISTORIES, k=3, items=10) is None


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (NotANumber, "a score is NaN"),
        (OutOfRange, "an item lies outside"),
        (Short, "items has the shape"),
        (Repeats, "an item stands there twice"),
        (Rising, "scores rise"),
    ],
)
def test_broken_recommenders_are_found_when_timed_and_when_ranked(kind, said):
    """Neither runs for ever, and neither is a number."""
    recommender = kind(ITEMS)
    users = walks(8, items=ITEMS)
    subject = Subject("broken", recommender, [users], 5, CPU, ITEMS)
    plan = latency.TimingPlan(case_s=0.01, min_rounds=1, warmup_s=0.01)
    found = latency.interleave([subject], plan, Clock(CPU), lambda _: None)["broken"]
    assert (found.outcome, kind.__name__ in found.detail, said in found.detail) == (Outcome.ERROR, True, True)
    with pytest.raises(BrokenListError, match=said) as caught:
        list(evaluate.rank_users(recommender, users, [1] * 8, k=5, batch_size=8, device=CPU, items=ITEMS))
    assert failure(caught.value).outcome is Outcome.ERROR


def test_equal_scores_for_all_items_end_when_the_catalogue_does():
    """A list that is one tie is asked for again and again, but never beyond the catalogue."""
    users = walks(4, items=ITEMS)
    parts = evaluate.rank_users(Constant(ITEMS), users, [30] * 4, k=5, batch_size=4, device=CPU, items=ITEMS)
    found = evaluate.join(list(parts))
    assert (found.ranks.better == 0).all()
    assert found.ranks.tied.tolist() == [ITEMS - len(set(user.items)) for user in users]
