"""Users who come back: a step over kept keys and values gives what the whole pass gives."""

import pytest
import torch

from bench.measure import flops
from models import kept_keys
from models.catalogue import History
from tests.tiny import build, catalogue, walks

K = 5
LONGEST = 8


def users():
    return [*walks(6, shortest=2, longest=LONGEST + 1), History(90, ()), History(91, (3,))]


def before(histories):
    return [History(one.user, one.items[:-1]) for one in histories]


KINDS = {
    "SASRec": ("sasrec", {}),
    "SASRec, larger": ("sasrec", {"preset": "t5-small"}),
    "Lite-LLM4Rec": ("lite-llm4rec", {}),
    "Lite-LLM4Rec, IDs": ("lite-llm4rec", {"item_llm": "ids", "head": "items"}),
    "Lite-LLM4Rec, instructed": ("lite-llm4rec", {"instruction": "What comes next?"}),
}


def built(max_length=LONGEST, kind="SASRec"):
    name, settings = KINDS[kind]
    model = build(name, max_length=max_length, **settings).double()
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
        return model.query_from(model.kept.newest(inputs["input_ids"], inputs["last"], *keys))
    return model.query_of(inputs)


@pytest.mark.parametrize("kind", KINDS)
def test_one_step_gives_what_the_whole_pass_gives_for_histories_of_all_lengths(kind):
    model = built(kind=kind)
    whole, listed = queries(model, users()), answer(model, users())
    model.remember(before(users()))
    assert (queries(model, users()) - whole).abs().max() < 1e-9
    assert model.kept.users.hits == sum(2 <= len(one.items) <= LONGEST for one in users())
    assert_equal(answer(model, users()), listed)


@pytest.mark.parametrize("kind", ["SASRec", "Lite-LLM4Rec, instructed"])
def test_a_chain_of_events_strays_nowhere_and_each_is_one_step(kind):
    items = tuple(range(1, LONGEST + 1))
    model, other = built(kind=kind), built(kind=kind)
    model.remember([History(0, items[:2])])
    for events in range(3, LONGEST + 1):
        sofar = [History(0, items[:events])]
        assert (queries(model, sofar) - queries(other, sofar)).abs().max() < 1e-9
    assert (model.kept.users.hits, model.kept.users.asked) == (LONGEST - 2, LONGEST - 2)


def test_a_history_longer_than_is_read_moves_all_positions_and_is_read_whole():
    model, other = built(), built()
    long = [History(0, tuple(range(1, LONGEST + 4)))]
    model.remember(before(long))
    assert (queries(model, long) - queries(other, long)).abs().max() < 1e-9
    assert (model.kept.users.hits, len(model.kept)) == (0, 0)


def test_memory_is_bounded_and_who_was_forgotten_is_read_again(monkeypatch):
    model, other = built(), built()
    model.remember([])
    monkeypatch.setattr(kept_keys, "KEPT_BYTES", 3 * model.kept.user_bytes)
    model.kept = None
    model.remember(before(users()))
    assert len(model.kept) == 3
    assert model.kept.bytes == model.index_parts["users' keys and values"] == 3 * model.kept.user_bytes
    for _ in range(2):
        assert (queries(model, users()) - queries(other, users())).abs().max() < 1e-9


def test_the_least_recently_used_makes_room(monkeypatch):
    model = built()
    model.remember([])
    monkeypatch.setattr(kept_keys, "KEPT_BYTES", 3 * model.kept.user_bytes)
    model.kept = None
    first, second, third = (History(user, (user + 1, user + 2, user + 3)) for user in range(3))
    model.remember(before([first, second]))
    queries(model, [first])
    model.remember(before([third]))
    queries(model, [first])
    assert (model.kept.users.hits, model.kept.users.asked) == (2, 2)
    queries(model, [second])
    assert model.kept.users.hits == 2, "the second made room"


@pytest.mark.parametrize("kind", ["SASRec", "Lite-LLM4Rec"])
def test_a_step_computes_less_than_the_whole_and_indexing_forgets(kind):
    model = built(max_length=40, kind=kind)
    long = [History(0, tuple(range(1, 31)))]
    whole = flops.count(lambda: answer(model, long)).total
    model.remember(before(long))
    assert flops.count(lambda: answer(model, long)).total < whole / 2
    model.index(catalogue())
    assert model.kept is None
    assert "users' keys and values" not in model.index_parts


@pytest.mark.parametrize("chosen", [{"hierarchy": "flattened"}, {"backbone": "t5-small"}])
def test_who_cannot_keep_a_history_reads_it_anew(chosen):
    """Tokens of a flattened history move with each event; an encoder sees every event from every other."""
    model = build("lite-llm4rec", max_length=LONGEST, **chosen)
    model.index(catalogue())
    whole = answer(model, users())
    model.remember(before(users()))
    assert model.kept_users() is None
    assert_equal(answer(model, users()), whole)


def test_a_mixture_keeps_nobody():
    model = build("lite-llm4rec-shortcut", max_length=LONGEST)
    model.index(catalogue())
    model.remember(before(users()))
    assert model.kept_users() is None
