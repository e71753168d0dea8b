"""Users who come back to SASRec: a step over kept keys and values gives what the whole pass gives."""

import pytest
import torch

from baselines.one_pass import returning
from bench.measure import flops
from models.catalogue import History
from tests.tiny import build, catalogue, walks

K = 5
LONGEST = 8


def users():
    return [*walks(6, shortest=2, longest=LONGEST + 1), History(90, ()), History(91, (3,))]


def before(histories):
    return [History(one.user, one.items[:-1]) for one in histories]


def sasrec(max_length=LONGEST, **settings):
    model = build("sasrec", max_length=max_length, **settings).double()
    model.index(catalogue())
    return model


@torch.inference_mode()
def answer(model, histories):
    return model.recommend(model.prepare(histories), K)


def assert_equal(found, expected):
    assert torch.equal(found.items, expected.items)
    assert (found.scores.nan_to_num(neginf=0) - expected.scores.nan_to_num(neginf=0)).abs().max() < 1e-6


@torch.inference_mode()
def queries(model, histories):
    """What items are scored against, which recommendations round to float32."""
    inputs = model.prepare(histories)
    if "before" in inputs:
        keys = inputs["before"].tolist(), inputs["after"].tolist()
        return model.kept.newest(inputs["input_ids"], inputs["last"], *keys)
    hidden = model.backbone(input_ids=inputs["input_ids"]).last_hidden_state
    return hidden[torch.arange(len(hidden)), inputs["last"]]


@pytest.mark.parametrize("preset", ["compact", "t5-small"])
def test_one_step_gives_what_the_whole_pass_gives_for_histories_of_all_lengths(preset):
    model = sasrec(preset=preset)
    whole, listed = queries(model, users()), answer(model, users())
    model.remember(before(users()))
    assert (queries(model, users()) - whole).abs().max() < 1e-9
    assert model.kept.users.hits == sum(2 <= len(one.items) <= LONGEST for one in users())
    assert_equal(answer(model, users()), listed)


def test_a_chain_of_events_strays_nowhere_and_each_is_one_step():
    items = tuple(range(1, LONGEST + 1))
    model, other = sasrec(), sasrec()
    model.remember([History(0, items[:2])])
    for events in range(3, LONGEST + 1):
        sofar = [History(0, items[:events])]
        assert (queries(model, sofar) - queries(other, sofar)).abs().max() < 1e-9
    assert (model.kept.users.hits, model.kept.users.asked) == (LONGEST - 2, LONGEST - 2)


def test_a_history_longer_than_is_read_moves_all_positions_and_is_read_whole():
    model, other = sasrec(), sasrec()
    long = [History(0, tuple(range(1, LONGEST + 4)))]
    model.remember(before(long))
    assert (queries(model, long) - queries(other, long)).abs().max() < 1e-9
    assert (model.kept.users.hits, len(model.kept)) == (0, 0)


def test_memory_is_bounded_and_who_was_forgotten_is_read_again(monkeypatch):
    model, other = sasrec(), sasrec()
    model.remember([])
    monkeypatch.setattr(returning, "KEPT_BYTES", 3 * model.kept.user_bytes)
    model.kept = None
    model.remember(before(users()))
    assert len(model.kept) == 3
    assert model.kept.bytes == model.index_parts["users' keys and values"] == 3 * model.kept.user_bytes
    for _ in range(2):
        assert (queries(model, users()) - queries(other, users())).abs().max() < 1e-9


def test_the_least_recently_used_makes_room(monkeypatch):
    model = sasrec()
    model.remember([])
    monkeypatch.setattr(returning, "KEPT_BYTES", 3 * model.kept.user_bytes)
    model.kept = None
    first, second, third = (History(user, (user + 1, user + 2, user + 3)) for user in range(3))
    model.remember(before([first, second]))
    queries(model, [first])
    model.remember(before([third]))
    queries(model, [first])
    assert (model.kept.users.hits, model.kept.users.asked) == (2, 2)
    queries(model, [second])
    assert model.kept.users.hits == 2, "the second made room"


def test_a_step_computes_less_than_the_whole_and_indexing_forgets():
    model = sasrec(max_length=40)
    long = [History(0, tuple(range(1, 31)))]
    whole = flops.count(lambda: answer(model, long)).total
    model.remember(before(long))
    assert flops.count(lambda: answer(model, long)).total < whole / 2
    model.index(catalogue())
    assert model.kept is None
    assert "users' keys and values" not in model.index_parts
