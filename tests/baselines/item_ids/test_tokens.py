"""Tokenising by the word, and item IDs as token sequences."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from baselines.generative.prompts import PROMPTS, fill
from baselines.item_ids.item_tokens import FILE, ItemTokens
from baselines.item_ids.words import WordEncoder
from models.catalogue import Catalogue, Item
from models.errors import UserError
from models.tokenizers import train_tokenizer

WORDS = [f"<CI{number}>" for number in range(20)]
TOKENIZER = train_tokenizer(
    [fill(prompt, "toy", number, [str(number * 37 % 4000), "1001"]) for prompt in PROMPTS for number in range(50)],
    vocab_size=300,
    words=WORDS,
)
CATALOGUE = Catalogue("toy", ("a", "b", "c"), (Item(), Item(), Item()))

IDS = st.one_of(st.integers(1001, 99999).map(str), st.lists(st.sampled_from(WORDS), min_size=1).map("".join))


@given(st.sampled_from(PROMPTS), st.integers(0, 10**6), st.lists(IDS, max_size=20))
@settings(max_examples=60, deadline=None)
def test_words_one_by_one_give_the_whole_texts_tokens(prompt, user, ids):
    text = fill(prompt, "toy", user, ids)
    encoded = WordEncoder(TOKENIZER)(text)
    assert encoded.tokens == TOKENIZER(text)["input_ids"]
    assert len(encoded.words) == len(encoded.tokens)


def test_a_new_word_starts_at_each_space_mark_and_the_end_is_no_word():
    encoded = WordEncoder(TOKENIZER)("toy user_12345 item_<CI3><CI4> , toy")
    starts = [token.startswith("▁") for token in TOKENIZER.convert_ids_to_tokens(encoded.tokens)]
    expected = [sum(starts[: place + 1]) for place in range(len(starts) - 1)]
    assert encoded.words == [*expected, 0]
    assert max(encoded.words) == 5


def test_an_empty_text_is_its_end_alone():
    assert WordEncoder(TOKENIZER)("").tokens == TOKENIZER("")["input_ids"]


def test_targets_read_back_as_dataset_and_id():
    ids = ["1001", "<CI3><CI4>", "10012"]
    items = ItemTokens.encode(ids, CATALOGUE, WordEncoder(TOKENIZER))
    assert [TOKENIZER.decode(s[:-1]) for s in items.sequences] == [
        "toy item_1001",
        "toy item_<CI3><CI4>",
        "toy item_10012",
    ]
    assert items.trie().leaves[0] == 3


def test_ids_come_back_from_the_file_they_were_saved_in(tmp_path):
    items = ItemTokens.encode(["1001", "1002", "10"], CATALOGUE, WordEncoder(TOKENIZER))
    items.save(tmp_path)
    assert ItemTokens.load(tmp_path) == items


@pytest.mark.parametrize(
    ("ids", "message"),
    [(["1", "", "2"], "item 2 .* empty"), (["1", "2", "1"], "items 1 and 3"), (["☃", "☂", "1"], "knows")],
)
def test_an_id_that_names_no_single_item_is_an_error(ids, message):
    """Empty, given twice, or made of characters that all become the unknown token."""
    with pytest.raises(UserError, match=message):
        ItemTokens.encode(ids, CATALOGUE, WordEncoder(TOKENIZER))


def test_another_catalogue_is_refused():
    items = ItemTokens.encode(["1", "2", "3"], CATALOGUE, WordEncoder(TOKENIZER))
    items.check(CATALOGUE)
    with pytest.raises(UserError, match="same options"):
        items.check(Catalogue("toy", ("b", "a", "c"), CATALOGUE.items))


@pytest.mark.parametrize("content", [None, "{", '{"ids": []}', "[]"])
def test_a_broken_file_is_one_clear_error(tmp_path, content):
    if content is not None:
        (tmp_path / FILE).write_text(content)
    with pytest.raises(UserError, match="train again"):
        ItemTokens.load(tmp_path)
