"""PAD: the folded matrix gives the lists of three towers scored apart, and its stages teach what they should."""

import pytest
import torch

from baselines.one_pass import pad
from baselines.one_pass.sasrec import Loss
from models.errors import UserError
from models.serving import Serving
from tests.tiny import ITEMS, build, catalogue, walks


def varied(**settings):
    """A PAD whose gates and vectors all differ, as training leaves them."""
    model = build("pad", **settings).double()
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(5)
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight), alpha=0.3)
    return model


@torch.inference_mode()
def test_the_folded_matrix_gives_the_scores_of_the_plain_computation():
    """Each tower's products, weighted by each item's gates and added up, in float64 to 1e-9."""
    model = varied()
    model.serving = Serving()
    model.index(catalogue())
    inputs = model.prepare(walks(16, longest=20, seed=4))
    states = model.query_of(inputs).unflatten(1, (3, -1))  # [B, 3, D]
    towers = torch.stack([model.ids.weight, model._aligned_vectors(), model._text_vectors()])
    apart = torch.einsum("btd,tnd->btn", states, towers)
    plain = sum(model.item_gates()[tower] * apart[:, tower] for tower in range(3))
    folded = states.flatten(1) @ model.folded.T
    torch.testing.assert_close(folded, plain, atol=1e-9, rtol=1e-9)
    found = model.recommend(inputs, 10)
    seen = torch.zeros_like(plain).scatter_(1, inputs["seen_items"], -torch.inf)
    seen[:, 0] = -torch.inf
    assert torch.equal(found.items, (plain + seen).topk(10).indices)


def test_gates_of_an_item_add_up_to_one_and_texts_weigh_more_where_an_item_is_rare():
    model = build("pad")
    gates = model.item_gates()
    torch.testing.assert_close(gates.sum(0), torch.ones(ITEMS + 1))
    order = model.bins[1:].argsort()
    ids, texts = gates[pad.IDS, 1:][order], gates[pad.TEXTS, 1:][order]
    assert (ids.diff() <= 0).all()
    assert (texts.diff() >= 0).all()


def test_bins_hold_items_by_popularity_and_equal_counts_share_one():
    counts = list(range(1, 111))
    bins = pad.popularity_bins(counts)
    assert bins[-1] == 0
    assert bins[0] == pad.BINS - 1
    assert (bins.diff() <= 0).all()
    assert torch.bincount(bins).tolist() == [10] * pad.BINS
    assert pad.popularity_bins([3] * 40).unique().tolist() == [0]
    assert pad.popularity_bins([1]).tolist() == [0]


def test_the_discrepancy_is_that_of_its_definition_and_grows_with_the_distance():
    with torch.random.fork_rng():
        torch.manual_seed(3)
        left, right = torch.randn(30, 5), torch.randn(30, 5)
    both = torch.cat([left, right])
    squares = torch.cdist(both, both).square()
    kernel = sum(torch.exp(-squares / (2 * width * squares.mean())) for width in pad.KERNELS)
    pairs = [(i, j) for i in range(30) for j in range(30)]
    within = sum(kernel[i, j] + kernel[30 + i, 30 + j] for i, j in pairs if i != j) / (30 * 29)
    across = 2 * sum(kernel[i, 30 + j] for i, j in pairs) / 900
    assert pad.discrepancy(left, right) == pytest.approx(float(within - across), abs=1e-4)
    assert pad.discrepancy(left, right + 1) > pad.discrepancy(left, right + 0.5) > 0.05
    assert pad.discrepancy(left[:1], right[:1]) == 0


@pytest.mark.parametrize("loss", Loss)
def test_before_the_loop_ids_are_learned_and_their_copy_is_aligned(loss):
    """The tower of ids falls in its own loss; without alignment its copy is the same; with it, the copy moves."""
    model = build("pad", pretrain_epochs=12, align_epochs=0, pretrain_batch=16, pretrain_rate=3e-3, loss=loss.value)
    batch = model.collate([model.examples(walks(60))[number] for number in range(40)])

    def own_loss():
        torch.manual_seed(0)
        with torch.no_grad():
            return float(model.eval()._loss(model.ids.weight, [pad.IDS], **batch))

    text_before, before = model.mix_text[0].weight.clone(), own_loss()
    model.train().pretrain(walks(60))
    assert own_loss() < 0.9 * before
    assert torch.equal(model.ids.weight, model.aligned_ids.weight)
    assert torch.equal(model.mix_text[0].weight, text_before), "the tower of texts is learned with all others"
    aligned = build("pad", pretrain_epochs=12, align_epochs=2, pretrain_batch=16, pretrain_rate=3e-3, loss=loss.value)
    aligned.train().pretrain(walks(60))
    assert torch.equal(aligned.ids.weight, model.ids.weight)
    assert not torch.equal(aligned.aligned_ids.weight, model.aligned_ids.weight)


def test_memory_of_the_index_is_what_encoders_read_and_the_folded_matrix():
    model = build("pad")
    model.index(catalogue())
    rows, width = ITEMS + 1, 64
    assert model.index_parts == {"item vectors": 2 * rows * width * 4, "folded item matrix": rows * 3 * width * 4}
    model.round_weights()
    model.index(catalogue())
    assert model.index_parts["folded item matrix"] == rows * (3 * width + 4)


def test_an_unknown_preset_is_refused():
    with pytest.raises(UserError, match="pad has no preset 'huge': use one of pad, compact, t5-small"):
        build("pad", preset="huge")
