"""SETRec: one product is the sum of its parts, and who may see whom."""

import pytest
import torch

from baselines.one_pass.setrec.readers import CausalReader, T5Reader
from models import registry
from models.backbones import Role, backbone_config, new_backbone
from models.catalogue import History
from models.errors import UserError
from tests.tiny import ITEMS, build, catalogue, walks

HISTORIES = [*walks(6), History(7, ()), History(8, tuple(1 + step % 20 for step in range(60)))]
BACKBONES = ["compact", "compact-causal"]


@pytest.mark.parametrize("preset", BACKBONES)
def test_the_product_of_what_stands_one_behind_the_other_is_the_weighted_sum(preset):
    """In float64 each score is the sum over queries, to 1e-9, and lists are the same."""
    model = build("setrec", preset=preset, beta=0.25).double()
    model.index(catalogue())
    inputs = model.prepare(HISTORIES)
    with torch.inference_mode():
        answers, found = model.answers(inputs), model.recommend(inputs, 10)
    plain = sum(
        (0.75 if query == 0 else 0.25) * answers[:, query] @ model.vectors[:, query].T
        for query in range(answers.shape[1])
    )
    plain[:, 0] = -torch.inf
    plain.scatter_(1, inputs["seen_items"], -torch.inf)
    expected = plain.topk(10)
    assert torch.equal(found.items, expected.indices)
    torch.testing.assert_close(found.scores.double(), expected.values, atol=1e-6, rtol=0)
    rows = (answers * model.weights[:, None]).flatten(1) @ model.vectors.flatten(1).T
    torch.testing.assert_close(rows.gather(1, found.items), expected.values, atol=1e-9, rtol=0)


def sets(users, places, each, width):
    return torch.randn(users, places, each, width, dtype=torch.float64)


@pytest.fixture(params=BACKBONES)
def reader(request):
    torch.manual_seed(0)
    config = backbone_config(request.param, vocab_size=1)
    return (T5Reader if request.param == "compact" else CausalReader)(config).double().eval()


@torch.inference_mode()
def test_the_order_within_an_item_says_nothing(reader):
    """Vectors of an item share a position: exchanged, they give the same answers."""
    width = reader.config.hidden_size
    read, queries, real = sets(2, 4, 3, width), torch.randn(3, width, dtype=torch.float64), torch.ones(2, 4).bool()
    turned = read.clone()
    turned[:, 1] = read[:, 1][:, [2, 0, 1]]
    torch.testing.assert_close(reader(turned, real, queries), reader(read, real, queries), atol=1e-12, rtol=0)
    swapped = read[:, [1, 0, 2, 3]]
    assert not torch.allclose(reader(swapped, real, queries), reader(read, real, queries), atol=1e-6), (
        "items have an order"
    )


@torch.inference_mode()
def test_a_query_knows_no_other_and_padding_is_not_seen(reader):
    width = reader.config.hidden_size
    read, queries = sets(2, 4, 3, width), torch.randn(3, width, dtype=torch.float64)
    real = torch.tensor([[True, True, True, False], [True, True, True, True]])
    whole = reader(read, real, queries)
    for query in range(3):
        alone = reader(read, real, queries[query : query + 1].expand(3, -1))
        torch.testing.assert_close(alone[:, query], whole[:, query], atol=1e-12, rtol=0)
    shorter = reader(read[:1, :3], real[:1, :3], queries)
    torch.testing.assert_close(shorter[0], whole[0], atol=1e-12, rtol=0)


@torch.inference_mode()
@pytest.mark.parametrize("kernel", ["eager", "sdpa"])
def test_t5s_own_decoder_under_a_mask_of_one_place_answers_the_same(kernel):
    reader = T5Reader(backbone_config("compact", vocab_size=1)).double().eval()
    for stack in (reader.encoder, reader.decoder):
        stack.set_attn_implementation(kernel)
    read, queries, real = sets(2, 3, 2, 128), torch.randn(2, 128, dtype=torch.float64), torch.ones(2, 3).bool()
    context = reader._encode(read.flatten(1, 2), real.repeat_interleave(2, 1), 3, 2)
    itself = torch.full((1, 1, 2, 2), torch.finfo(torch.float64).min, dtype=torch.float64)
    states = queries.expand(2, -1, -1)
    for block in reader.decoder.block:
        states, _, _ = block(states, position_bias=itself.triu(1) + itself.tril(-1), encoder_hidden_states=context)
    plain = reader.decoder.final_layer_norm(states) * 128**-0.5
    torch.testing.assert_close(reader(read, real, queries), plain, atol=1e-12, rtol=0)


@torch.inference_mode()
def test_a_decoder_alone_answers_at_every_place_what_it_answers_at_the_end_there():
    reader = CausalReader(backbone_config("compact-causal", vocab_size=1)).double().eval()
    read, queries = sets(2, 5, 3, 64), torch.randn(3, 64, dtype=torch.float64)
    everywhere = reader.at_every_place(read, queries)
    for end in range(5):
        there = reader(read[:, : end + 1], torch.ones(2, end + 1).bool(), queries)
        torch.testing.assert_close(everywhere[:, end], there, atol=1e-12, rtol=0)


def test_items_vectors_do_not_see_each_other():
    """In a history of one item, each vector's state depends on that vector alone."""
    reader = T5Reader(backbone_config("compact", vocab_size=1)).double().eval()
    read, real = sets(1, 1, 3, 128).requires_grad_(), torch.ones(1, 3).bool()
    reader._encode(read.flatten(1, 2), real, 1, 3)[0, 1].sum().backward()
    assert (read.grad[0, 0, [0, 2]] == 0).all()
    assert (read.grad[0, 0, 1] != 0).any()


def test_what_is_trained_before_are_sasrecs_vectors():
    model = build("setrec", pretrain_epochs=2)
    before = model.sets.collaborative.clone()
    model.pretrain(walks(60))
    after = model.sets.collaborative
    assert not torch.equal(before, after)
    assert after.shape == (ITEMS + 1, 64)
    assert float(after.std()) == pytest.approx(1, abs=1e-3)


def test_int8_ranks_rounded_rows_and_reads_whole_ones():
    model = build("setrec")
    model.round_weights()
    model.index(catalogue())
    assert list(model.index_parts) == ["item sets", "item sets (int8)"]
    assert model.index_parts["item sets"] == 4 * (ITEMS + 1) * len(model.weights) * 128


@pytest.mark.parametrize("preset", BACKBONES)
def test_pretrained_weights_are_all_of_a_backbone_but_its_embeddings(preset, tmp_path):
    config = backbone_config(preset, vocab_size=20)
    role = Role.ENCODER_DECODER if preset == "compact" else Role.CAUSAL
    saved = new_backbone(config, role)
    saved.save_pretrained(tmp_path)
    kind = registry.load("setrec")
    model = kind.build(catalogue(), walks(20), kind.settings_type(preset=str(tmp_path)))
    known, found = saved.state_dict(), model.reader.state_dict()
    assert found
    for name, value in found.items():
        assert torch.equal(value, known[name.removeprefix("backbone.")])


def test_a_backbone_that_cannot_answer_is_refused():
    kind = registry.load("setrec")
    with pytest.raises(UserError, match="setrec needs a T5, or a Llama or its kin"):
        kind.build(catalogue(), walks(20), kind.settings_type(preset="minilm"))


def test_the_weight_of_text_is_the_one_that_ranks_validation_users_best():
    """In the buffer, so that a checkpoint keeps it; the smallest of equal ones, and nothing else changes."""
    model = build("setrec", beta=0.5)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    asked = []

    def quality():
        collaborative, *semantic = model.weights.tolist()
        assert semantic == pytest.approx([1 - collaborative] * len(semantic))
        asked.append(semantic[0])
        return -abs(round(semantic[0], 1) - 0.25)

    assert model.choose_on_validation(quality) == {"beta": 0.2}
    assert asked == pytest.approx([tenth / 10 for tenth in range(11)])
    assert model.weights.tolist() == pytest.approx([0.8, *[0.2] * model.settings.semantic])
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"weights"}
