"""Semantic IDs: distinct, seeded, alike where texts are alike, and refused where codes run out."""

import numpy as np
import pytest
import torch

from baselines.item_ids.semantic import Settings, item_codes, places_among_equals, spell
from models.catalogue import Catalogue, Item
from models.errors import UserError

MAKERS = ("acme", "globex", "initech", "umbrella")
NOUNS = ("shampoo", "lipstick", "perfume", "razor")


def catalogue(items=120, *, text=lambda number: f"{NOUNS[number % 4]} by {MAKERS[number // 4 % 4]} number {number}"):
    known = tuple(Item(text(number)) for number in range(items))
    return Catalogue("toy", tuple(map(str, range(items))), known, ())


@pytest.mark.parametrize("quantiser", ["rq-vae", "rq-kmeans"])
def test_codes_are_distinct_below_the_size_and_settled_by_the_seed(quantiser):
    settings = Settings(quantiser=quantiser, codebook_size=16, seed=3)
    torch.manual_seed(1)
    state = torch.get_rng_state()
    codes = item_codes(catalogue(), settings)
    assert codes.shape == (120, 4)
    assert codes.min() >= 0
    assert codes.max() < 16
    assert len(np.unique(codes, axis=0)) == 120
    assert torch.equal(state, torch.get_rng_state())
    torch.manual_seed(2)
    assert np.array_equal(codes, item_codes(catalogue(), settings))


@pytest.mark.parametrize("quantiser", ["rq-vae", "rq-kmeans"])
def test_items_with_like_texts_begin_alike(quantiser):
    alike = catalogue(text=lambda number: f"{NOUNS[number % 4]} {number % 8}")
    codes = item_codes(alike, Settings(quantiser=quantiser))
    first = codes[:, 0]
    for noun in range(8):
        assert len(set(first[noun::8].tolist())) == 1, "equal texts have equal codes but the last"
    assert sorted(codes[0::8, 3].tolist()) == list(range(15))


def test_too_many_equal_texts_are_refused_by_name():
    with pytest.raises(UserError, match=r"120 items of toy have the semantic codes <a_\d+><b_.*tells 16 apart"):
        item_codes(catalogue(text=lambda _: "the same"), Settings(codebook_size=16, quantiser="rq-kmeans"))


def test_a_catalogue_larger_than_the_codes_is_refused():
    with pytest.raises(UserError, match="4 codes below 2 tell 16 items apart and toy has 17"):
        item_codes(catalogue(17), Settings(codebook_size=2))


def test_random_codes_are_distinct_and_need_no_text():
    codes = item_codes(catalogue(text=lambda _: ""), Settings(codes="random", codebook_size=4, codebooks=3))
    assert len(np.unique(codes, axis=0)) == 120
    assert codes.max() == 3


def test_an_unknown_encoder_is_one_line():
    with pytest.raises(UserError, match="no-such-encoder"):
        item_codes(catalogue(), Settings(text_encoder="./no-such-encoder"))


def test_random_codes_of_more_kinds_than_an_integer_counts_are_distinct():
    codes = item_codes(catalogue(), Settings(codes="random", codebooks=8, codebook_size=65536))
    assert codes.shape == (120, 9)
    assert len(np.unique(codes, axis=0)) == 120
    assert np.array_equal(codes, item_codes(catalogue(), Settings(codes="random", codebooks=8, codebook_size=65536)))


@pytest.mark.parametrize("text", ["!?!", "thing"])
def test_texts_without_words_or_with_one_word_are_coded(text):
    alike = catalogue(20, text=lambda _: text)
    assert len(np.unique(item_codes(alike, Settings(codebook_size=32, quantiser="rq-kmeans")), axis=0)) == 20


def test_equals_are_counted_in_the_order_of_items():
    codes = np.array([[1, 2], [0, 0], [1, 2], [0, 1], [1, 2], [0, 0]])
    assert places_among_equals(codes).tolist() == [0, 0, 1, 0, 2, 1]


def test_codes_are_spelled_a_letter_a_level():
    assert spell((12, 3, 200, 0)) == "<a_12><b_3><c_200><d_0>"
