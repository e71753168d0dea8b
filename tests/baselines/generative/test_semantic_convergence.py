"""Semantic Convergence: codes of aligned behaviour, and lists that are looked up as beams had made them."""

import numpy as np
import pytest
import torch

from baselines.generative import semantic_convergence
from baselines.generative.known_users import FILE, KnownUsers
from baselines.generative.semantic_convergence import LOOKED_UP, SemanticConvergence, aligned
from bench.measure.clock import Clock
from bench.measure.instrument import Request
from bench.measure.refresh import ListAgeMeter, RefreshMeter
from bench.measure.subject import Subject
from bench.records.model import Unavailable
from models.catalogue import History
from models.contract import check_lists
from models.errors import UserError
from models.padding import PADDING
from models.serving import SeenItems, Serving
from tests.tiny import ITEMS, build, catalogue, walks

NAME = "semantic-convergence"
BEAMS = 10
KNOWN = walks(60)
"""The histories that `tests.tiny.build` gives."""


def looked_up(seen=SeenItems.REMOVE, beam_width=BEAMS, **settings):
    model = build(NAME, serving=Serving(decoder=LOOKED_UP.name, beam_width=beam_width, seen=seen), **settings).double()
    model.index(catalogue())
    return model


def searched(model, seen=SeenItems.REMOVE):
    """Serve the same weights by beams."""
    other = build(NAME, serving=Serving(beam_width=BEAMS, seen=seen)).double()
    other.load_state_dict(model.state_dict())
    other.index(catalogue())
    return other


@torch.inference_mode()
def answer(model, histories, k=BEAMS):
    found = model.recommend(model.prepare(histories), k)
    check_lists(model, found, histories, k=k, items=ITEMS)
    return found


@pytest.mark.parametrize("seen", SeenItems)
def test_a_list_that_is_looked_up_is_the_one_that_beams_would_find(seen):
    """For histories as they were in training, in float64 to 1e-9 of the scores."""
    model = looked_up(seen)
    there, here = answer(searched(model, seen), KNOWN), answer(model, KNOWN)
    assert torch.equal(there.items, here.items)
    torch.testing.assert_close(there.scores, here.scores, atol=1e-9, rtol=1e-6)  # lists hold float32


def test_what_was_seen_since_is_taken_away_and_the_rest_moves_up():
    model = looked_up()
    before = answer(model, KNOWN[:1]).items[0].tolist()
    newer = History(KNOWN[0].user, (*KNOWN[0].items, before[0], before[3]))
    after = answer(model, [newer]).items[0].tolist()
    assert after == [*before[1:3], *before[4:], PADDING, PADDING]


def test_lists_grow_old_with_what_users_do_and_are_new_again_once_they_are_made_anew():
    model = looked_up()
    newer = [History(one.user, (*one.items, one.items[-1] % ITEMS + 1)) for one in KNOWN[:5]]
    assert model.list_ages(KNOWN[:5]) == [0] * 5
    assert model.list_ages(newer) == [1] * 5
    model.remember(newer)
    assert model.list_ages(newer) == [0] * 5
    assert torch.equal(answer(model, newer).items, answer(searched(model), newer).items)
    assert torch.equal(answer(model, KNOWN[5:]).items, answer(searched(model), KNOWN[5:]).items), "others stay"


def test_a_user_without_a_list_gets_popular_items_until_one_is_made():
    model = looked_up()
    strangers = [History(7000 + number, (1, 2, 3)) for number in range(3)]
    counts = torch.bincount(model.known.items, minlength=ITEMS + 1)
    counts[[0, 1, 2, 3]] = -1
    found = answer(model, strangers, 5).items
    assert (counts[found] >= counts.sort(descending=True).values[:5].min()).all()
    assert model.list_ages(strangers) == [3] * 3
    model.remember(strangers)
    assert torch.equal(answer(model, strangers).items, answer(searched(model), strangers).items)


def test_beams_keep_nothing_and_remember_nothing():
    model = build(NAME, serving=Serving(beam_width=BEAMS))
    model.index(catalogue())
    model.remember(KNOWN)
    assert model.lists is None
    assert model.list_ages(KNOWN) is None
    assert "lists" not in model.index_parts


def test_lists_stand_in_the_memory_of_the_index_and_a_request_computes_nothing():
    model = looked_up()
    assert model.index_parts["lists"] == (len(KNOWN) + 1) * BEAMS * (4 + 4)
    inputs = model.prepare(KNOWN[:2])
    assert (model.forward_flops(inputs), model.cache_bytes(inputs)) == (0, 0)


def test_more_beams_than_items_end_the_list():
    with pytest.warns(UserWarning, match="lists end where the catalogue does"):
        model = looked_up(SeenItems.KEEP, beam_width=ITEMS + 5)
    assert (answer(model, KNOWN[:2], ITEMS + 5).items != PADDING).sum(1).tolist() == [ITEMS, ITEMS]


def test_age_and_refresh_of_lists_are_measured_where_there_are_lists():
    def measured(model):
        newer = [History(one.user, (*one.items, ITEMS)) for one in KNOWN]
        subject = Subject("tiny", model, [newer[:8], newer[8:16]], 5, torch.device("cpu"))
        request = Request(subject, Clock(torch.device("cpu")), "float32", 1, 0)
        return ListAgeMeter().measure(request), RefreshMeter().measure(request)

    age, refresh = measured(looked_up())
    assert (age.value, age.unit) == (1, "items")
    assert refresh.value > 0
    assert all(isinstance(one, Unavailable) for one in measured(searched(looked_up())))


def test_behaviour_that_tells_of_texts_counts_more_with_the_weight_of_alignment():
    rng = np.random.default_rng(0)
    behaviour = rng.normal(size=(200, 6)).astype(np.float32)
    texts = (behaviour[:, :1] @ rng.normal(size=(1, 9)) + 0.01 * rng.normal(size=(200, 9))).astype(np.float32)
    alone, both = aligned(behaviour, texts, 0), aligned(behaviour, texts, 2)
    assert (alone.shape, both.shape) == ((200, 6), (200, 15))
    np.testing.assert_allclose(both[:, :6], alone)

    def share(vectors):
        """Tell how far distances follow those along the one direction of behaviour that texts go along with."""
        whole = np.square(vectors[:, None] - vectors).sum(2)
        along = np.square(behaviour[:, None, 0] - behaviour[:, 0])
        return float(np.corrcoef(whole.ravel(), along.ravel())[0, 1])

    assert share(both) > 0.95
    assert share(alone) < 0.7


def test_codes_come_from_behaviour_before_the_loop_and_are_among_the_weights(tmp_path):
    model = build(NAME, pretrain_epochs=30, pretrain_batch=16, pretrain_rate=3e-3, codebook_size=16)
    before = model.codes.clone()
    model.train().pretrain(KNOWN)
    assert not torch.equal(model.codes, before)
    assert len({tuple(row) for row in model.codes.tolist()}) == ITEMS
    first = model.config.first_code
    assert model.target(3) == tuple((model.codes[2] + first + 16 * torch.arange(4)).tolist())
    resumed = build(NAME, pretrain_epochs=30, codebook_size=16)
    resumed.load_state_dict(model.state_dict())
    assert resumed.target(3) == model.target(3)
    model.save_pretrained(tmp_path)
    again = SemanticConvergence.from_pretrained(tmp_path)
    assert again.items == model.items
    assert again.known == model.known


def test_too_few_codes_and_an_encoder_are_refused():
    with pytest.raises(UserError, match="2 codes below 2 tell 4 items apart and toy has 40"):
        build(NAME, codebooks=1, codebook_size=2)
    with pytest.raises(UserError, match="targets=all needs a decoder alone, and preset 'tiger'"):
        build(NAME, preset="tiger")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda kept: kept.pop("ends"), "cannot be read"),
        (lambda kept: kept["ends"].__setitem__(-1, 10**6), "is damaged"),
        (lambda kept: kept["items"].__setitem__(0, ITEMS + 1), "names items outside of 1 to 40"),
    ],
)
def test_known_users_come_back_or_are_refused_in_one_line(change, said, tmp_path):
    from safetensors.torch import load_file, save_file

    known = KnownUsers.of([*KNOWN, History(900, ())])
    known.save(tmp_path)
    assert KnownUsers.load(tmp_path, ITEMS) == known
    kept = load_file(tmp_path / FILE)
    change(kept)
    save_file(kept, tmp_path / FILE)
    with pytest.raises(UserError, match=said):
        KnownUsers.load(tmp_path, ITEMS)


def test_results_are_labelled_as_after_a_description():
    assert build(NAME).labels == (semantic_convergence.UNPUBLISHED,)
