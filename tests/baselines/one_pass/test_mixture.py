"""Lite-LLM4Rec with a shortcut: the mixture by hand, its ends, and its checkpoint."""

import pytest
import torch

from baselines.one_pass.mixture import FILE, FLOORS, WEIGHTS, Mixture
from models.errors import UserError
from models.padding import PADDING
from models.serving import SeenItems, Serving
from tests import tiny

USERS = tiny.walks(6)


def build(name="lite-llm4rec-shortcut", **settings):
    model = tiny.build(name, item_llm="ids", **settings)
    model.serving = Serving(seen=SeenItems.KEEP)
    model.index(tiny.catalogue())
    return model


@torch.inference_mode()
def answer(model, k=tiny.ITEMS):
    return model.recommend(model.prepare(USERS), k)


@torch.inference_mode()
def test_scores_are_those_of_both_multiplied():
    mixed, learned, counted = build(shortcut_weight=1.7, floor=1e-3), build("lite-llm4rec"), tiny.build("shortcut")
    learned.load_state_dict(mixed.state_dict(), strict=False)
    counted.index(tiny.catalogue())
    chances = torch.zeros(len(USERS), tiny.ITEMS + 1)
    found = answer(learned)
    chances.scatter_(1, found.items, found.scores.softmax(1))
    share = counted.add_up(counted.prepare(USERS)["last"])
    expected = chances.log() + 1.7 * (share / share.sum(1, keepdim=True) + 1e-3).log()
    expected[:, PADDING] = -torch.inf
    scores, items = expected.topk(5, dim=1)
    got = answer(mixed, 5)
    torch.testing.assert_close(got.scores, scores)
    assert torch.equal(got.items, items)


def test_without_weight_the_lists_are_those_of_lite_llm4rec():
    mixed, learned = build(shortcut_weight=0), build("lite-llm4rec")
    learned.load_state_dict(mixed.state_dict(), strict=False)
    assert torch.equal(answer(mixed).items, answer(learned).items)


def test_the_mixture_is_the_one_that_ranks_validation_users_best():
    """In the buffer, so that a checkpoint keeps it; the first of equal ones, and nothing else changes."""
    model = build(shortcut_weight=0.5)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    asked = []

    def quality():
        asked.append(tuple(model.mix.tolist()))
        return -abs(asked[-1][0] - 1.7)

    assert model.choose_on_validation(quality) == {"shortcut weight": 1.7, "floor": 1e-5}
    assert len(set(asked)) == len(WEIGHTS) * len(FLOORS)
    assert model.mix.tolist() == pytest.approx([1.7, 1e-5])
    assert {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])} == {"mix"}


def test_an_item_that_nothing_leads_to_can_be_recommended():
    assert (answer(build(shortcut_weight=3)).items != PADDING).all()


def test_a_checkpoint_brings_its_transitions_along(tmp_path):
    model = build(shortcut_weight=0.6)
    model.choose_on_validation(lambda: float(model.mix[0]))
    model.save_pretrained(tmp_path)
    loaded = Mixture.from_pretrained(tmp_path)
    loaded.serving = model.serving
    loaded.eval().index(tiny.catalogue())
    torch.testing.assert_close(answer(loaded).scores, answer(model).scores)
    (tmp_path / FILE).write_bytes(b"torn")
    with pytest.raises(UserError, match=r"transitions.safetensors cannot be read .*train again"):
        Mixture.from_pretrained(tmp_path)
