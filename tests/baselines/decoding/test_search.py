"""What all decoders promise alike: refusals, edges, phases."""

from itertools import pairwise

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from baselines.decoding.beams import Prompt
from baselines.decoding.search import DECODERS, check_trie, search
from baselines.decoding.trie import Trie
from models.errors import UserError
from models.phases import PHASE
from models.serving import Scores
from tests.baselines.decoding.small import END, model, prompts, rng, sequences, slow_search

EQUAL = [(2, a, b, END) for a in range(3, 7) for b in range(3, 6)]
UNEQUAL = [(3, END), (3, 4, END), (3, 4, 5, END), (3, 4, 5, 6, END), (7, END), (8, 3, END), (8, 4, 4, END)]
EAGER = [name for name in DECODERS if name != "compiled"]
USERS = 3


@pytest.fixture(params=EAGER)
def decoder(request):
    return request.param


@torch.inference_mode()
def test_a_width_beyond_the_catalogue_returns_what_there_is(decoder):
    found = search(decoder, model("t5"), prompts("t5", USERS), Trie.build(UNEQUAL), width=12).top(12)
    assert [sorted(row) for row in found.items.tolist()] == [[0] * 5 + list(range(1, 8))] * USERS
    assert (found.scores[:, 7:] == -torch.inf).all()


@torch.inference_mode()
def test_lists_longer_than_the_beams_end_in_padding(decoder):
    found = search(decoder, model("t5"), prompts("t5", USERS), Trie.build(UNEQUAL), width=2).top(5)
    assert (found.items[:, :2] > 0).all()
    assert (found.items[:, 2:] == 0).all()


@torch.inference_mode()
def test_a_user_who_has_seen_everything_gets_an_empty_list_and_others_do_not(decoder):
    seen = torch.zeros(USERS, 7, dtype=torch.int64)
    seen[1] = torch.arange(1, 8)
    found = search(decoder, model("t5"), prompts("t5", USERS), Trie.build(UNEQUAL), width=4, seen_items=seen).top(4)
    assert (found.items[1] == 0).all()
    assert (found.scores[1] == -torch.inf).all()
    assert (found.items[[0, 2]] > 0).all()


@torch.inference_mode()
def test_a_prefix_with_only_seen_items_takes_no_beam(decoder):
    seen = torch.arange(1, 10).expand(USERS, -1)  # all below (2, 3), (2, 4) and (2, 5)
    found = search(decoder, model("t5"), prompts("t5", USERS), Trie.build(EQUAL), width=3, seen_items=seen)
    assert [sorted(row) for row in found.items.tolist()] == [[10, 11, 12]] * USERS


@torch.inference_mode()
def test_one_item_is_found_and_its_score_is_its_probability(decoder):
    built, prompt = model("t5"), prompts("t5", USERS)
    found = search(decoder, built, prompt, Trie.build([(4, 3, END)]), width=2).top(2)
    assert found.items.tolist() == [[1, 0]] * USERS
    labels = torch.tensor([[4, 3, END]] * USERS)
    logits = built(inputs_embeds=prompt.embeddings, attention_mask=prompt.mask, labels=labels).logits.float()
    truth = logits.log_softmax(-1).gather(-1, labels[..., None])[..., 0].sum(-1)
    torch.testing.assert_close(found.scores[:, 0], truth, atol=2e-5, rtol=1e-5)


@torch.inference_mode()
def test_items_with_equal_scores_are_all_found_once(decoder):
    built = model("t5")
    for weights in built.parameters():
        weights.zero_()
    found = search(decoder, built, prompts("t5", USERS), Trie.build(EQUAL), width=12)
    assert [sorted(row) for row in found.items.tolist()] == [list(range(1, 13))] * USERS
    assert (found.scores == found.scores[0, 0]).all()


def test_a_prompt_longer_than_the_models_positions_is_refused(decoder):
    prompt = prompts("llama", 1, length=20)
    with pytest.raises(UserError, match=r"20 tokens and an ID of 4 need 24 positions and the model has 22"):
        search(decoder, model("llama", positions=22), prompt, Trie.build(EQUAL), width=2)


def test_a_prompt_without_tokens_is_refused(decoder):
    prompt = Prompt(torch.zeros(1, 0, 16), torch.zeros(1, 0, dtype=torch.int64))
    with pytest.raises(UserError, match="even an empty history needs one"):
        search(decoder, model("t5"), prompt, Trie.build(EQUAL), width=2)


def test_an_unknown_decoder_is_refused_by_name():
    with pytest.raises(UserError, match="no decoder 'quick': use one of exact, reference"):
        search("quick", model("t5"), prompts("t5", 1), Trie.build(EQUAL), width=2)


def test_a_token_outside_the_vocabulary_is_refused():
    with pytest.raises(UserError, match="token 6 and the model's vocabulary ends at 5"):
        check_trie(Trie.build(EQUAL), 6)


def test_an_unknown_family_is_pointed_to_the_reference():
    class Other:
        config = model("t5").config

    with pytest.raises(UserError, match=r"this is a Other: use --decoder reference"):
        search("exact", Other(), prompts("t5", 1), Trie.build(EQUAL), width=2)


def test_layers_that_see_a_window_only_are_pointed_to_the_reference():
    built = model("qwen3")
    built.config.layer_types = ["full_attention", "sliding_attention"]
    with pytest.raises(UserError, match=r"this Qwen3ForCausalLM attends within a sliding window: use --decoder ref"):
        search("exact", built, prompts("qwen3", 1), Trie.build(EQUAL), width=2)


@pytest.mark.parametrize("family", ["t5", "llama"])
def test_ids_of_unequal_length_must_end_with_the_models_end(family, decoder):
    """Or else `generate`, which does not know that an ID has ended, adds another token's probability."""
    trie = Trie.build([(3,), (4, 5), (4, 6), (7, 8, 9)])
    with pytest.raises(UserError, match=r"unequal lengths and do not all end with the model's end of sequence \(1\)"):
        search(decoder, model(family), prompts(family, 1), trie, width=2)


def phases(decoder):
    built, prompt = model("t5"), prompts("t5", USERS)
    with profile(activities=[ProfilerActivity.CPU]) as profiled, torch.inference_mode():
        search(decoder, built, prompt, Trie.build(EQUAL), width=4)
    events = [event for event in profiled.events() if event.name.startswith(PHASE)]
    return sorted((event.time_range.start, event.time_range.end, event.name[len(PHASE) :]) for event in events)


@pytest.mark.parametrize("decoder", ["reference", "vectorised-trie"])
def test_each_decoder_call_of_generate_is_one_phase(decoder):
    marked = phases(decoder)
    assert [name for *_, name in marked] == ["encode", *(f"decode step {step}" for step in range(1, 5)), "rank"]
    assert all(before[1] <= after[0] for before, after in pairwise(marked))


def test_the_exact_search_tells_its_phases_apart():
    marked = phases("exact")
    assert all(before[1] <= after[0] for before, after in pairwise(marked))
    kinds = ("attention", "feed-forward", "head", "trie + top-k")
    expected = {f"decode step {step}: {kind}" for step in range(1, 4) for kind in kinds}  # the stem is read in one
    assert {name for *_, name in marked} == expected | {"encode", "cross K/V", "rank"}


def test_a_failure_inside_generate_leaves_no_hook(monkeypatch):
    built = model("t5")

    def fail(*_):
        raise RuntimeError("lost")

    with monkeypatch.context() as patch:
        patch.setattr(Trie, "find", fail)
        with pytest.raises(RuntimeError, match="lost"):
            search("reference", built, prompts("t5", 1), Trie.build(EQUAL), width=4)
    assert not built._forward_pre_hooks


@torch.inference_mode()
@pytest.mark.parametrize("decoder_layers", [1, 3])
def test_a_t5_with_other_layers_in_its_decoder_is_searched_exactly(decoder_layers):
    """Transformers' own search makes its cache by the encoder's layers: with fewer of them it is refused, in a line."""
    built = model("t5", layers=2, decoder_layers=decoder_layers)
    prompt, ids = prompts("t5", 2), sequences(rng("layers"), "equal")
    trie = Trie.build(ids)
    found = search("exact", built, prompt, trie, width=4).top(4)
    truth = slow_search(built, prompt, ids, width=4, scores=Scores.FULL_VOCAB)
    assert found.items.tolist() == [[item for item, _ in pairs] for pairs in truth]
    if decoder_layers < 2:
        assert torch.equal(search("reference", built, prompt, trie, width=4).top(4).items, found.items)
        return
    for decoder in ("reference", "vectorised-trie"):
        with pytest.raises(UserError, match=r"3 decoder layers behind 2 encoder layers.*use --decoder exact"):
            search(decoder, built, prompt, trie, width=4)
