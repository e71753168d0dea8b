"""Every decoder of the ladder gives transformers' lists: random models, tries, paddings and widths in float64."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from baselines.decoding import attention, scoring, stack
from baselines.decoding.device_trie import on_device
from baselines.decoding.exhaustive import item_scores
from baselines.decoding.search import search
from baselines.decoding.trie import Trie
from models.serving import Scores
from tests.baselines.decoding.small import FAMILIES, model, prompts, rng, seen_by, sequences, slow_search

KINDS = ("equal", "no end", "unequal")
QUICK = ("exact", "vectorised-trie")


@torch.inference_mode()
def both(decoder, built, prompt, trie, **options):
    return search("reference", built, prompt, trie, **options), search(decoder, built, prompt, trie, **options)


def live_beams(reference, other):
    """Assert equal items and scores, and count the beams compared."""
    reference, other = (beams.top(max(reference.items.shape[1], other.items.shape[1])) for beams in (reference, other))
    assert torch.equal(reference.items, other.items)
    live = reference.items > 0
    torch.testing.assert_close(other.scores[live], reference.scores[live], atol=2e-5, rtol=1e-5)
    assert (other.scores[~live] == -torch.inf).all()
    return int(live.sum())


def assert_well_formed(beams, trie):
    """Every output is an item's own sequence, best first, nothing twice."""
    for items, scores, tokens in zip(beams.items.tolist(), beams.scores.tolist(), beams.tokens.tolist(), strict=True):
        real = [item for item in items if item]
        assert len(set(real)) == len(real)
        assert scores == sorted(scores, reverse=True)
        assert tokens == [trie.sequences[item].tolist() for item in items]


@pytest.mark.parametrize("family", FAMILIES)
def test_three_thousand_beams_are_those_of_generate(family):
    compared = 0
    for trial in range(60):
        chance = rng(f"{family} {trial}")
        ids = sequences(chance, KINDS[trial % 3])
        trie, users = Trie.build(ids), chance.choice([1, 3, 8])
        built, prompt = model(family, trial), prompts(family, users, trial)
        options = {
            "width": chance.choice([1, 2, 5, 20, 70, 100]),
            "scores": chance.choice(list(Scores)),
            "seen_items": chance.choice([None, seen_by(chance, users, len(ids))]),
        }
        for decoder in QUICK:
            reference, other = both(decoder, built, prompt, trie, **options)
            compared += live_beams(reference, other)
            assert_well_formed(other, trie)
    assert compared >= 3000


@pytest.mark.parametrize("family", FAMILIES[:2])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scores", list(Scores))
@torch.inference_mode()
def test_lists_and_scores_are_those_of_a_search_that_recomputes_everything(family, kind, scores):
    chance = rng(f"{family} {kind} {scores}")
    ids = sequences(chance, kind)
    built, prompt, seen = model(family, 3), prompts(family, 2, 3), seen_by(chance, 2, len(ids))
    for width in (1, 4, 25):
        for hidden in (None, seen):
            truth = slow_search(built, prompt, ids, width=width, scores=scores, seen=hidden)
            for decoder in ("exact", "reference"):
                found = search(
                    decoder, built, prompt, Trie.build(ids), width=width, scores=scores, seen_items=hidden
                ).top(width)
                for user, pairs in enumerate(truth):
                    assert found.items[user, : len(pairs)].tolist() == [item for item, _ in pairs]
                    assert (found.items[user, len(pairs) :] == 0).all()
                    expected = torch.tensor([score for _, score in pairs])
                    torch.testing.assert_close(found.scores[user, : len(pairs)], expected, atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize("scores", list(Scores))
@torch.inference_mode()
def test_logits_held_a_few_rows_at_a_time_are_the_same(scores, monkeypatch):
    ids = sequences(rng(1), "unequal")
    built, prompt, trie = model("t5", 1), prompts("t5", 3, 1), Trie.build(ids)
    for decoder in ("exact", "exhaustive"):
        with monkeypatch.context() as patch:
            whole = search(decoder, built, prompt, trie, width=20, scores=scores)
            patch.setattr(scoring, "LOGITS", 64)
            assert live_beams(whole, search(decoder, built, prompt, trie, width=20, scores=scores)) > 0


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("scores", list(Scores))
@torch.inference_mode()
def test_exhaustive_scores_are_true_and_those_of_a_beam_for_every_item(family, scores):
    for kind in KINDS:
        chance = rng(f"{family} {scores} {kind}")
        ids = sequences(chance, kind)
        built, prompt, trie = model(family, 5), prompts(family, 2, 5), Trie.build(ids)
        for seen in (None, seen_by(chance, 2, len(ids))):
            every = item_scores(built, prompt, on_device(trie, prompt.mask.device), scores=scores, seen_items=seen)
            truth = slow_search(built, prompt, ids, width=len(ids), scores=scores, seen=seen)
            for user, pairs in enumerate(truth):
                expected = torch.full((len(ids) + 1,), -torch.inf)
                for item, score in pairs:
                    expected[item] = score
                torch.testing.assert_close(every[user], expected, atol=2e-5, rtol=1e-5)
            options = {"scores": scores, "seen_items": seen}
            beams = search("exact", built, prompt, trie, width=len(ids), **options)
            ranked = search("exhaustive", built, prompt, trie, width=len(ids), **options)
            live_beams(ranked, beams)
            assert_well_formed(ranked, trie)


@pytest.mark.parametrize("family", FAMILIES)
def test_masked_and_gathered_attention_agree(family, monkeypatch):
    chance = rng(family)
    ids = sequences(chance, "unequal")
    built, prompt, trie = model(family, 7), prompts(family, 3, 7), Trie.build(ids)
    with torch.inference_mode():
        masked = search("exact", built, prompt, trie, width=10)
        monkeypatch.setattr(stack, "DENSE_BEAMS", 0)
        monkeypatch.setattr(attention, "BLOCK", 3)
        gathered = search("exact", built, prompt, trie, width=10)
    assert live_beams(masked, gathered) > 0


@pytest.mark.parametrize("family", FAMILIES)
@torch.inference_mode()
def test_neither_company_nor_padding_changes_a_list(family):
    chance = rng(family)
    ids = sequences(chance, "equal")
    built, prompt, trie = model(family, 9), prompts(family, 4, 9), Trie.build(ids)
    together = search("exact", built, prompt, trie, width=8)
    order = torch.tensor([2, 0, 3, 1])
    moved = search("exact", built, type(prompt)(prompt.embeddings[order], prompt.mask[order]), trie, width=8)
    assert torch.equal(moved.items, together.items[order])
    for user in range(4):
        keep = prompt.mask[user].bool()
        alone = type(prompt)(prompt.embeddings[user, keep][None], prompt.mask[user, keep][None])
        assert torch.equal(search("exact", built, alone, trie, width=8).items[0], together.items[user])


@pytest.mark.parametrize("family", FAMILIES[:2])
@torch.inference_mode()
def test_in_float32_lists_differ_only_where_scores_nearly_tie(family):
    """The tie certificate: where two lists part, the reference's own scores lie within twice the largest error."""
    for trial in range(10):
        chance = rng(trial)
        trie = Trie.build(sequences(chance, KINDS[trial % 3]))
        built, prompt = model(family, trial, dtype=torch.float32), prompts(family, 8, trial, dtype=torch.float32)
        reference = search("reference", built, prompt, trie, width=20).top(20)
        exact = search("exact", built, prompt, trie, width=20).top(20)
        live = reference.items > 0
        error = (reference.scores[live] - exact.scores[live]).abs().max().item()
        assert error < 1e-3
        for user, place in (reference.items != exact.items).nonzero().tolist():
            scores, item = reference.scores[user], exact.items[user, place]
            where = (reference.items[user] == item).nonzero()
            rival = scores[where[0, 0]] if len(where) else scores[live[user]][-1]
            assert abs(rival - scores[place]) <= 2 * error


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("family", FAMILIES)
@torch.inference_mode()
def test_half_precision_finds_mostly_the_same_items(family, dtype):
    chance = rng(family)
    trie = Trie.build(sequences(chance, "equal"))
    full, half = (model(family, 1, dtype=kind) for kind in (torch.float32, dtype))
    prompt, halved = (prompts(family, 6, 1, dtype=kind) for kind in (torch.float32, dtype))
    truth = search("exact", full, prompt, trie, width=10).items
    found = search("exact", half, halved, trie, width=10)
    assert found.scores.dtype is torch.float32
    overlap = [len(set(a) & set(b)) / len(a) for a, b in zip(truth.tolist(), found.items.tolist(), strict=True)]
    assert sum(overlap) / len(overlap) > 0.6


@given(
    ids=st.sets(st.lists(st.integers(2, 6), min_size=1, max_size=4).map(tuple), min_size=1, max_size=25), data=st.data()
)
@settings(max_examples=40, deadline=None)
def test_any_trie_gives_the_same_lists(ids, data):
    """Single-child chains, one item, IDs that begin others, any width, any seen items."""
    ordered = [(*one, 1) for one in sorted(ids)]
    users = 2
    width = data.draw(st.integers(1, 30))
    drawn = st.lists(st.integers(0, len(ordered)), min_size=4, max_size=4)
    seen = torch.tensor([data.draw(drawn) for _ in range(users)])
    trie, scores = Trie.build(ordered), data.draw(st.sampled_from(list(Scores)))
    prompt = prompts("t5", users, 2)
    reference, exact = both("exact", model("t5", 2), prompt, trie, width=width, scores=scores, seen_items=seen)
    assert live_beams(reference, exact) == (exact.items > 0).sum()
