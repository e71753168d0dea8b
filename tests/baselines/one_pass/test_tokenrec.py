"""TokenRec: what is computed once changes no list, and prompts say what they are to say."""

import pytest
import torch
from torch.nn import functional

from baselines.one_pass.tokenrec.prompts import SEEN
from models import registry
from models.catalogue import History
from models.errors import UserError
from models.ranking.exact import rank_items
from tests.tiny import ITEMS, build, catalogue, walks

HISTORIES = [*walks(6), History(5, ()), History(10_000, (3, 4))]


@pytest.fixture(scope="module")
def model():
    made = build("tokenrec")
    made.index(catalogue())
    return made


@pytest.mark.parametrize("kernel", ["eager", "sdpa"])
def test_lists_are_those_of_the_whole_decoder(kernel):
    """In float64 queries differ by less than 1e-9, and lists not at all."""
    model = build("tokenrec").double()
    model.t5.set_attn_implementation(kernel)
    model.index(catalogue())
    inputs = model.prepare(HISTORIES)
    with torch.inference_mode():
        plain = functional.normalize(model.head(model._plain_states(inputs["input_ids"], inputs["attention_mask"])))
        torch.testing.assert_close(model.query_of(inputs), plain, atol=1e-9, rtol=0)
        expected = rank_items(plain, model.item_vectors, 10, inputs["seen_items"])
        found = model.recommend(inputs, 10)
    assert torch.equal(found.items, expected.items)


def test_cosines_are_what_items_are_ranked_by(model):
    inputs = model.prepare(HISTORIES)
    with torch.inference_mode():
        found = model.recommend(inputs, 3)
        cosines = functional.cosine_similarity(model.query_of(inputs)[:, None], model.item_vectors[found.items], dim=2)
    torch.testing.assert_close(found.scores, cosines, atol=1e-5, rtol=1e-5)


def test_a_prompt_names_user_and_items_by_their_codes(model):
    tokenizer = model._tokenizer
    said = tokenizer.decode(model.request(SEEN[0], History(2, (3, 7))))
    assert all(f"<{book}-{code}>" in said for book, code in enumerate(model.item_codes[7].tolist()))
    assert f"user_<a-{model.user_codes[2, 0]}>" in said
    longer, shorter = (model.request(SEEN[0], History(2, items)) for items in ((3, 7), (3,)))
    assert len(longer) - len(shorter) == 1 + 3, "a word and three codes"


def test_who_has_no_codes_is_a_new_user_and_an_empty_history_is_nothing(model):
    decode = model._tokenizer.decode
    assert "a new user" in decode(model.request(SEEN[0], History(10_000, (3,))))
    assert "a new user" in decode(model.request(SEEN[0], History(2, (3,)), named=False))
    assert "nothing" in decode(model.request(SEEN[0], History(2, ())))


def test_as_released_prompts_are_padded_and_nothing_is_shared(model):
    released = build("tokenrec", as_released=True)
    released.index(catalogue())
    assert released.prepare(walks(2))["input_ids"].shape == (2, 512)
    assert released.index_parts == {}
    assert list(model.index_parts) == ["decoder opening"]
    plain, padded = model.prepare(walks(2)), released.prepare(walks(2))
    assert released.forward_flops(padded) > 2 * model.forward_flops(plain)
    with torch.inference_mode():  # equal weights: padding and sharing change what is paid alone
        torch.testing.assert_close(released.query_of(padded), model.query_of(plain), atol=1e-5, rtol=1e-4)


def test_as_released_training_shuffles_histories():
    whole = [History(0, tuple(range(1, 30)))]
    torch.manual_seed(0)
    kept, shuffled = (build("tokenrec", as_released=flag, newcomers=1.0) for flag in (False, True))
    torch.manual_seed(0)
    ordered = kept.examples(whole)[27]["prompt"]
    torch.manual_seed(0)
    mixed = shuffled.examples(whole)[27]["prompt"]
    assert ordered != mixed
    assert sorted(ordered) == sorted(mixed)


def test_pretraining_gives_unit_vectors_and_codes_of_known_users_alone():
    histories = [History(one.user + 2, one.items) for one in walks(20)]
    kind = registry.load("tokenrec")
    model = kind.build(catalogue(), histories, kind.settings_type(codebook_size=8))
    random = model.item_vectors.clone(), model.request(SEEN[0], History(2, (3, 7)))
    state = torch.get_rng_state()
    model.pretrain(histories)
    assert torch.equal(torch.get_rng_state(), state)
    torch.testing.assert_close(model.item_vectors.norm(dim=1), torch.ones(ITEMS + 1).index_fill(0, torch.tensor(0), 0))
    assert not torch.equal(model.item_vectors, random[0])
    assert model.request(SEEN[0], History(2, (3, 7))) != random[1]
    assert (model.user_codes[:2] == -1).all()
    assert (model.user_codes[2:] >= 0).all()
    assert (model.item_codes < 8).all()
    nearest = (model.item_vectors @ model.item_vectors.T).fill_diagonal_(-1)[1:].argmax(1)
    apart = (nearest - torch.arange(1, ITEMS + 1)).abs()
    assert torch.minimum(apart, ITEMS - apart).float().median() <= 3, "items that follow each other lie together"


def test_a_backbone_that_is_no_t5_is_refused():
    kind = registry.load("tokenrec")
    with pytest.raises(UserError, match="tokenrec needs a T5 backbone"):
        kind.build(catalogue(), walks(20), kind.settings_type(preset="compact-causal"))


def test_under_cross_entropy_all_items_are_compared(model):
    other = build("tokenrec", loss="ce").train()
    examples = other.examples(walks(20))
    batch = other.collate([examples[number] for number in range(4)])
    loss = other(**batch).loss
    assert 0 < loss.item() < 40
    loss.backward()
    assert other.head[1].weight.grad.abs().sum() > 0
