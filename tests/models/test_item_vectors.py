"""What item vectors are made of: text, numbers, both; and the head that scores against them."""

import pytest
import torch

from models.catalogue import History
from models.errors import UserError
from models.serving import Serving
from tests.tiny import ITEMS, build, catalogue, walks

FROZEN = {"item_llm_training": "frozen"}
VARIANTS = [
    {"item_llm": "ids", "head": "items"},
    {"head": "items", **FROZEN},
    {"head": "items", "item_ids": True, **FROZEN},
    {"item_ids": True},
    {"item_ids": True, **FROZEN},
]


def lists(model, histories):
    model.eval().index(catalogue())
    with torch.inference_mode():
        return model.recommend(model.prepare(histories), 10)


@pytest.mark.parametrize("changes", VARIANTS, ids=lambda changes: " ".join(map(str, changes.values())))
def test_a_variant_learns_and_comes_back_from_its_checkpoint(changes, tmp_path):
    model = build("lite-llm4rec", dropout=0.0, **changes).train()
    batch = model.collate([model.examples(walks(20))[row] for row in range(8)])
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(30):
        loss = model(**batch).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]
    before = lists(model, walks(5))
    model.save_pretrained(tmp_path)
    after = lists(type(model).from_pretrained(tmp_path), walks(5))
    assert torch.equal(before.items, after.items)
    torch.testing.assert_close(before.scores, after.scores)


def test_against_items_a_score_is_the_turned_state_times_the_items_vector():
    model = build("lite-llm4rec", item_llm="ids", head="items", serving=Serving(seen="keep"))
    torch.nn.init.normal_(model.bias)
    found = lists(model, [History(0, (3, 4))])
    with torch.inference_mode():
        state = model.states(torch.tensor([[3, 4]]))[0, 1]
        scores = model.query(state) @ model.reader.vectors.T + model.bias
    torch.testing.assert_close(found.scores[0], scores[1:].sort(descending=True).values[:10])


def test_numbers_are_added_to_what_the_text_gives():
    model = build("lite-llm4rec", item_ids=True).eval()
    model.index(catalogue())
    reader = model.reader
    with torch.no_grad():
        text = reader.projection(reader.item_llm.encode_all(reader.tokens, reader.mask))
        torch.testing.assert_close(reader.vectors, reader.norm(text + reader.embedding.weight))
    assert reader.vectors.shape[0] == ITEMS + 1


@pytest.mark.parametrize("changes", [{}, {"hierarchy": "flattened"}])
def test_a_head_of_items_needs_all_vectors_at_each_step(changes):
    with pytest.raises(UserError, match=r"lite-llm4rec: head=items needs .*: freeze the Item LLM, or use item_llm=ids"):
        build("lite-llm4rec", head="items", **changes)


def test_a_frozen_item_llm_reads_the_same_catalogue_once(monkeypatch):
    model = build("lite-llm4rec", **FROZEN)
    calls, encode = [], type(model.reader.item_llm).encode_all

    def counting(self, *given):
        calls.append(given)
        return encode(self, *given)

    monkeypatch.setattr(type(model.reader.item_llm), "encode_all", counting)
    first = lists(model, walks(3))
    again = lists(model, walks(3))
    assert len(calls) == 1
    assert torch.equal(first.items, again.items)


def test_items_are_encoded_in_groups_of_similar_length_with_gradient():
    reader = build("lite-llm4rec").reader
    rows = torch.randperm(ITEMS + 1, generator=torch.Generator().manual_seed(0))
    tokens, mask = reader.tokens[rows], reader.mask[rows]
    together = reader.item_llm(tokens, mask)
    grouped = reader.item_llm.encode_all(tokens, mask, 4)
    torch.testing.assert_close(grouped, together)
    weight = next(reader.item_llm.parameters())
    torch.testing.assert_close(
        torch.autograd.grad(grouped.square().sum(), weight)[0], torch.autograd.grad(together.square().sum(), weight)[0]
    )
