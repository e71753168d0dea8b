"""Users who come back to beam search on a decoder alone: reading behind kept keys finds what a whole prompt does."""

import pytest
import torch

from bench.measure import flops
from models import kept_keys
from models.catalogue import History
from models.serving import SeenItems, Serving
from tests.tiny import build, catalogue, walks

K = 5
LONGEST = 8


def users():
    return [*walks(6, shortest=2, longest=LONGEST + 1), History(90, ()), History(91, (3,))]


def before(histories):
    return [History(one.user, one.items[:-1]) for one in histories]


def tiger(name="tiger", *, preset="compact-llama", decoder="exact", seen=SeenItems.REMOVE, **settings):
    model = build(name, max_history=LONGEST, **({"preset": preset} if preset else {}), **settings).double()
    model.serving = Serving(decoder=decoder, beam_width=8, seen=seen)
    model.index(catalogue())
    return model


@torch.inference_mode()
def answer(model, histories):
    return model.recommend(model.prepare(histories), K)


def assert_equal(found, expected):
    assert torch.equal(found.items, expected.items)
    assert (found.scores.nan_to_num(neginf=0) - expected.scores.nan_to_num(neginf=0)).abs().max() < 1e-6


@pytest.mark.parametrize("settings", [{}, {"user_tokens": 7}, {"targets": "all"}, {"seen": SeenItems.KEEP}])
def test_lists_behind_what_is_kept_are_those_of_whole_prompts(settings):
    model = tiger(**settings)
    whole = answer(model, users())
    model.remember(before(users()))
    assert_equal(answer(model, users()), whole)
    assert model.kept.users.hits == sum(2 <= len(one.items) <= LONGEST for one in users())
    assert_equal(answer(model, users()), whole)


def test_keys_and_values_that_were_read_in_steps_are_those_of_a_whole_pass():
    """In float64, to 1e-9, after a chain of events of which each is one step."""
    items = tuple(range(1, LONGEST + 1))
    model, other = tiger(), tiger()
    model.remember([History(0, items[:2])])
    for events in range(3, LONGEST + 1):
        answer(model, [History(0, items[:events])])
    other.remember([History(0, items)])
    key = model._keys([History(0, items)], newest=True).tolist()
    length = torch.tensor([LONGEST * model.config.levels])
    mine, theirs = model.kept.past(key, length), other.kept.past(key, length)
    for ours, whole in zip((*mine.keys, *mine.values), (*theirs.keys, *theirs.values), strict=True):
        assert (ours - whole).abs().max() < 1e-9
    assert (model.kept.users.hits, model.kept.users.asked) == (LONGEST - 2, LONGEST - 2)


def test_a_history_longer_than_is_read_is_read_whole_and_not_kept():
    model, other = tiger(), tiger()
    long = [History(0, tuple(range(1, LONGEST + 4)))]
    model.remember(before(long))
    assert_equal(answer(model, long), answer(other, long))
    assert (model.kept.users.hits, len(model.kept)) == (0, 0)


def test_memory_is_bounded_and_who_was_forgotten_is_read_again(monkeypatch):
    model, other = tiger(), tiger()
    model.remember([])
    monkeypatch.setattr(kept_keys, "KEPT_BYTES", 3 * model.kept.user_bytes)
    model.forget()
    model.remember(before(users()))
    assert len(model.kept) == 3
    assert model.kept.bytes == model.index_parts["users' keys and values"] == 3 * model.kept.user_bytes
    for _ in range(2):
        assert_equal(answer(model, users()), answer(other, users()))


def test_a_step_computes_less_than_the_whole_and_indexing_forgets():
    model = tiger()
    long = [History(0, tuple(range(1, LONGEST + 1)))]
    whole = flops.count(lambda: answer(model, long)).total
    model.remember(before(long))
    assert flops.count(lambda: answer(model, long)).total < whole
    assert model.forward_flops(model.prepare(long)) is None
    model.index(catalogue())
    assert model.kept_users() is None


@pytest.mark.parametrize(("preset", "decoder"), [("compact", "exact"), ("compact-llama", "reference")])
def test_who_cannot_read_on_reads_each_prompt_anew(preset, decoder):
    """An encoder sees every token from every other; transformers' own search begins with a whole prompt."""
    model = tiger(preset=preset, decoder=decoder)
    whole = answer(model, users())
    model.remember(before(users()))
    assert model.kept_users() is None
    assert_equal(answer(model, users()), whole)


def test_semantic_convergence_reads_on_too():
    model = tiger("semantic-convergence", preset=None)
    whole = answer(model, users())
    model.remember(before(users()))
    assert_equal(answer(model, users()), whole)
    assert model.kept_users().hits > 0
