"""The reference beam search against teacher forcing and plain set logic, on random small models."""

from itertools import pairwise

import pytest
import torch
from torch.profiler import ProfilerActivity, profile
from transformers import T5Config, T5ForConditionalGeneration

from baselines.decoding.reference import search
from baselines.decoding.trie import Trie
from models.recommender import PHASE

END = 1
USERS = 3


def model(seed=0):
    torch.manual_seed(seed)
    config = T5Config(
        vocab_size=12,
        d_model=16,
        d_kv=8,
        d_ff=32,
        num_layers=1,
        num_heads=2,
        decoder_start_token_id=0,
        dropout_rate=0.0,
    )
    built = T5ForConditionalGeneration(config).eval()
    with torch.no_grad():
        for weights in built.parameters():
            weights.mul_(1.5)  # away from flat distributions
    return built


def states(seed=0, users=USERS):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(users, 5, 16, generator=generator), torch.ones(users, 5, dtype=torch.int64)


def forced(t5, hidden, mask, sequence):
    """Log-probability of a sequence by teacher forcing, [B]."""
    tokens = torch.tensor([sequence] * len(hidden))
    logits = t5(encoder_outputs=(hidden,), attention_mask=mask, labels=tokens).logits
    return logits.log_softmax(-1).gather(-1, tokens[..., None])[..., 0].sum(-1)


EQUAL = [(2, a, b, END) for a in range(3, 7) for b in range(3, 6)]
UNEQUAL = [(3, END), (3, 4, END), (3, 4, 5, END), (3, 4, 5, 6, END), (7, END), (8, 3, END), (8, 4, 4, END)]


@pytest.mark.parametrize("sequences", [EQUAL, UNEQUAL], ids=["equal lengths", "an ID begins another"])
@pytest.mark.parametrize("spare", [0, 5])
@torch.inference_mode()
def test_with_a_beam_for_every_item_the_search_ranks_by_true_log_probability(sequences, spare):
    t5, (hidden, mask) = model(), states()
    width = len(sequences) + spare
    found = search(t5, hidden, mask, Trie.build(sequences), width=width, k=width)
    truth = torch.stack([forced(t5, hidden, mask, sequence) for sequence in sequences], dim=1)  # [B, N]
    best, order = truth.sort(dim=1, descending=True)
    assert torch.equal(found.items[:, : len(sequences)], order + 1)
    torch.testing.assert_close(found.scores[:, : len(sequences)], best, atol=1e-4, rtol=1e-5)
    assert (found.items[:, len(sequences) :] == 0).all()
    assert (found.scores[:, len(sequences) :] == -torch.inf).all()


@torch.inference_mode()
def test_seen_items_leave_the_ranking_and_nothing_else_changes():
    t5, (hidden, mask), trie = model(), states(), Trie.build(UNEQUAL)
    everything = search(t5, hidden, mask, trie, width=7, k=7)
    seen = torch.tensor([[2, 3, 4, 0], [5, 5, 0, 0], [0, 0, 0, 0]])
    unseen = search(t5, hidden, mask, trie, width=7, k=7, seen_items=seen)
    for user, row in enumerate(seen.tolist()):
        expected = [item for item in everything.items[user].tolist() if item not in row]
        assert [item for item in unseen.items[user].tolist() if item] == expected


@torch.inference_mode()
def test_a_prefix_with_only_seen_items_takes_no_beam():
    """With as many beams as unseen items all of them are found, whatever the seen ones score."""
    t5, (hidden, mask) = model(), states()
    seen = torch.arange(1, 10).expand(USERS, -1)  # all below (2, 3), (2, 4) and (2, 5)
    found = search(t5, hidden, mask, Trie.build(EQUAL), width=3, k=3, seen_items=seen)
    assert [sorted(row) for row in found.items.tolist()] == [[10, 11, 12]] * USERS


@torch.inference_mode()
def test_a_user_who_has_seen_everything_gets_an_empty_list_and_others_do_not():
    t5, (hidden, mask) = model(), states()
    seen = torch.zeros(USERS, 7, dtype=torch.int64)
    seen[1] = torch.arange(1, 8)
    found = search(t5, hidden, mask, Trie.build(UNEQUAL), width=4, k=4, seen_items=seen).top(4)
    assert (found.items[1] == 0).all()
    assert (found.scores[1] == -torch.inf).all()
    assert (found.items[[0, 2]] > 0).all()


@pytest.mark.parametrize("width", [1, 2, 5])
@torch.inference_mode()
def test_scores_fall_along_a_list_and_are_true_log_probabilities(width):
    t5, (hidden, mask) = model(3), states(3)
    found = search(t5, hidden, mask, Trie.build(UNEQUAL), width=width, k=width)
    assert (found.scores.diff(dim=1) <= 0).all()
    truth = torch.stack([forced(t5, hidden, mask, sequence) for sequence in UNEQUAL], dim=1)
    live = found.items > 0
    assert live[:, 0].all()
    expected = truth.gather(1, (found.items - 1).clamp(min=0))
    torch.testing.assert_close(found.scores[live], expected[live], atol=1e-4, rtol=1e-5)


@torch.inference_mode()
def test_one_beam_follows_the_likeliest_allowed_token():
    t5, (hidden, mask), trie = model(5), states(5), Trie.build(EQUAL)
    found = search(t5, hidden, mask, trie, width=1, k=3).top(3)
    for user in range(USERS):
        prefix = []
        while not prefix or prefix[-1] != END:
            inputs = torch.tensor([[0, *prefix]])
            row = slice(user, user + 1)
            logits = t5(encoder_outputs=(hidden[row],), attention_mask=mask[row], decoder_input_ids=inputs).logits
            allowed = [token for token, _ in trie.children(trie.find(prefix))]
            prefix.append(max(allowed, key=lambda token: logits[0, -1, token].item()))
        assert found.items[user].tolist() == [EQUAL.index(tuple(prefix)) + 1, 0, 0]


@torch.inference_mode()
def test_items_with_equal_scores_are_all_found_once():
    t5, (hidden, mask) = model(), states()
    for weights in t5.parameters():
        weights.zero_()
    found = search(t5, hidden, mask, Trie.build(EQUAL), width=12, k=12)
    assert [sorted(row) for row in found.items.tolist()] == [list(range(1, 13))] * USERS
    assert (found.scores == found.scores[0, 0]).all()


def phases(t5, *arguments, **keywords):
    with profile(activities=[ProfilerActivity.CPU]) as profiled, torch.inference_mode():
        search(t5, *arguments, **keywords)
    events = [event for event in profiled.events() if event.name.startswith(PHASE)]
    return sorted((event.time_range.start, event.time_range.end, event.name[len(PHASE) :]) for event in events)


def test_each_decoder_call_is_one_phase_and_phases_do_not_overlap():
    t5, (hidden, mask) = model(), states()
    marked = phases(t5, hidden, mask, Trie.build(EQUAL), width=4, k=4)
    assert [name for *_, name in marked] == [*(f"decode step {step}" for step in range(1, 5)), "rank"]
    assert all(before[1] <= after[0] for before, after in pairwise(marked))


def test_a_failure_inside_the_search_closes_its_phase_and_leaves_no_hook(monkeypatch):
    t5, (hidden, mask), trie = model(), states(), Trie.build(EQUAL)

    def fail(*_):
        raise RuntimeError("lost")

    with monkeypatch.context() as patch:
        patch.setattr(Trie, "find", fail)
        with pytest.raises(RuntimeError, match="lost"):
            search(t5, hidden, mask, trie, width=4, k=4)
    assert not t5._forward_pre_hooks
    assert len(phases(t5, hidden, mask, trie, width=4, k=4)) == 5
