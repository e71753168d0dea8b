"""P2Rec: shares of categories are learned before the loop, the LLM is asked offline, and a SASRec serves alone."""

import pytest
import torch

from baselines.one_pass import p2rec
from bench.measure import flops
from models.catalogue import History
from models.errors import UserError
from models.serving import Serving
from tests.tiny import ITEMS, build, catalogue, walks


def tuned(**settings):
    model = build("p2rec", pretrain_epochs=20, pretrain_batch=16, pretrain_rate=3e-3, categories=5, **settings)
    model.train().pretrain(walks(60))
    return model.eval()


def test_shares_count_the_categories_of_real_items():
    category = torch.tensor([3, 0, 0, 1, 2])
    shares = p2rec.category_shares(torch.tensor([[1, 2, 3, 0], [4, 0, 0, 0], [0, 0, 0, 0]]), category, 3)
    torch.testing.assert_close(shares, torch.tensor([[2 / 3, 1 / 3, 0], [0, 0, 1], [0, 0, 0]]))


def test_clusters_hold_vectors_that_are_near_and_padding_has_none():
    near = torch.tensor([[0.0, 1], [10, 10], [0.1, 1], [10, 9.9], [0, 0.9], [-10, 5]])
    found = p2rec.latent_categories(near, 3, seed=0).tolist()
    assert found[0] == 3
    assert found[1] == found[3] == found[5]
    assert found[2] == found[4]
    assert len(set(found[1:])) == 3


def test_the_llm_learns_to_tell_the_shares_of_a_user():
    """Better than the mean shares of all users, which need no reading."""
    model = tuned(tune_epochs=60, tune_batch=16, tune_rate=3e-3)
    category = p2rec.latent_categories(model.collaborative[1:], 5, seed=0)
    items = p2rec.collate_users([{"input_ids": history.items} for history in walks(40, seed=9)])["input_ids"]
    wanted = p2rec.category_shares(items, category, 5)
    with torch.inference_mode():
        told = model.to_categories(model._asked(items)).softmax(1)
    assert (told - wanted).abs().mean() < 0.5 * (wanted.mean(0) - wanted).abs().mean()


def test_one_example_a_user_holds_the_newest_items():
    users = p2rec.Users([History(0, (1, 2, 3)), History(1, ()), History(2, (4,))], 2)
    assert (len(users), users.lengths, users.interactions) == (2, [2, 1], 2)
    assert users[0] == {"input_ids": (2, 3)}


def test_what_is_offline_is_learned_before_the_loop_and_stands_still_in_it():
    model = tuned(tune_epochs=1)
    offline = [weight for part in model._offline for weight in p2rec._weights_of(part)]
    assert not any(weight.requires_grad for weight in offline)
    fresh = build("p2rec", categories=5)
    assert not torch.equal(model.to_llm.weight, fresh.to_llm.weight)
    assert not torch.equal(model.collaborative, fresh.collaborative)
    model.train()
    examples = model.examples(walks(60))
    model(**model.collate([examples[number] for number in range(8)])).loss.backward()
    learned = [name for name, weight in model.named_parameters() if weight.grad is not None]
    assert {name.split(".")[0] for name in learned} == {"backbone", "embedding", "fuse"}


def test_the_llm_works_in_index_and_has_no_part_in_a_request():
    model = build("p2rec")
    model.serving = Serving()
    offline = flops.count(lambda: model.index(catalogue()))
    assert offline.total > 0
    inputs = model.prepare(walks(2))
    counted = flops.count(lambda: model.recommend(inputs, 5))
    before = model.recommend(inputs, 5)
    with torch.no_grad():
        for weight in model.llm.parameters():
            weight.fill_(torch.nan)
    after = model.recommend(inputs, 5)
    assert torch.equal(before.items, after.items)
    assert counted.total == model.forward_flops(inputs)


def test_an_item_is_asked_for_alone_whatever_the_chunks(monkeypatch):
    model = build("p2rec")
    whole = model._all_states()
    monkeypatch.setattr(p2rec, "CHUNK", 7)
    torch.testing.assert_close(model._all_states(), whole)
    torch.testing.assert_close(model.eval()._asked(torch.tensor([[5], [6]])), whole[[5, 6]])


def test_what_all_items_share_is_taken_out_of_what_the_llm_says():
    told = p2rec.told_apart(torch.tensor([[9.0, 9], [1, 5], [3, 5], [5, 5]]))
    torch.testing.assert_close(told[1:].mean(0), torch.zeros(2))
    torch.testing.assert_close(told[1:].square().mean(0), torch.tensor([1.0, 0]))


def test_memory_of_the_index_is_one_vector_an_item():
    model = build("p2rec")
    model.index(catalogue())
    assert model.index_parts == {"item vectors": (ITEMS + 1) * 64 * 4, "rounded item vectors": 0}


def test_results_are_labelled_as_after_a_description():
    assert build("p2rec").labels == (p2rec.UNPUBLISHED,)


def test_an_unknown_preset_is_refused():
    with pytest.raises(UserError, match="p2rec has no preset 'huge': use one of compact"):
        build("p2rec", preset="huge")
