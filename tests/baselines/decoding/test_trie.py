"""The trie against plain dictionaries and sets."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from baselines.decoding import trie as trie_module
from baselines.decoding.device_trie import on_device
from baselines.decoding.trie import ROOT, Trie
from baselines.item_ids.semantic import random_codes

END = 1
SEQUENCES = st.lists(
    st.lists(st.integers(2, 6), min_size=1, max_size=4).map(lambda tokens: (*tokens, END)),
    min_size=1,
    max_size=30,
    unique=True,
)


@given(SEQUENCES)
@settings(max_examples=60, deadline=None)
def test_children_are_what_follows_a_prefix_in_some_sequence(sequences):
    trie = Trie.build(sequences)
    prefixes = {sequence[:end] for sequence in sequences for end in range(len(sequence) + 1)}
    for prefix in prefixes:
        node = trie.find(prefix)
        following = {s[len(prefix)] for s in sequences if s[: len(prefix)] == prefix and len(s) > len(prefix)}
        children = trie.children(node)
        assert [token for token, _ in children] == sorted(following)
        assert all(trie.find((*prefix, token)) == child for token, child in children)
        assert trie.count(node) == sum(sequence[: len(prefix)] == prefix for sequence in sequences)
    assert len(trie.parents) == len(prefixes)


@given(SEQUENCES)
@settings(max_examples=60, deadline=None)
def test_every_sequence_leads_to_its_item_and_nothing_else_does(sequences):
    trie = Trie.build(sequences)
    assert [int(trie.items[trie.find(sequence)]) for sequence in sequences] == list(range(1, len(sequences) + 1))
    assert (trie.items > 0).sum() == len(sequences)
    assert trie.find((7,)) is None
    assert trie.find((*sequences[0], END)) is None
    assert trie.depth == max(map(len, sequences))


@given(SEQUENCES)
@settings(max_examples=30, deadline=None)
def test_nodes_stand_level_by_level_with_their_edges_before_them(sequences):
    """Edge e leads to node e + 1, and fan_out is the largest number of children on each level."""
    trie = Trie.build(sequences)
    levels = [0]
    for edge, token in enumerate(trie.tokens.tolist()):
        parent = int(trie.parents[edge + 1])
        assert trie.step(parent, token) == edge + 1
        assert trie.indptr[parent] <= edge < trie.indptr[parent + 1]
        levels.append(levels[parent] + 1)
    assert levels == sorted(levels)
    for level, fan_out in enumerate(trie.fan_out):
        nodes = [node for node, of in enumerate(levels) if of == level]
        assert fan_out == max(len(trie.children(node)) for node in nodes)


@given(SEQUENCES, st.data())
@settings(max_examples=60, deadline=None)
def test_a_node_is_exhausted_when_all_items_below_it_are_seen(sequences, data):
    trie = Trie.build(sequences)
    seen = data.draw(st.lists(st.integers(0, len(sequences))))
    expected = set()
    for prefix in {sequence[:end] for sequence in sequences for end in range(len(sequence) + 1)}:
        below = {item for item, s in enumerate(sequences, 1) if s[: len(prefix)] == prefix}
        if below <= set(seen):
            expected.add(trie.find(prefix))
    assert trie.exhausted(seen) == expected


def test_an_id_may_begin_another_when_the_end_decides():
    trie = Trie.build([(5, END), (5, 6, END)])
    inner = trie.find((5,))
    assert [token for token, _ in trie.children(inner)] == [END, 6]
    assert trie.items[inner] == 0


@pytest.mark.parametrize("sequences", [[], [()], [(2, 1), (2, 1)], [(2,), (2, 3)]])
def test_sequences_that_name_no_single_item_are_refused(sequences):
    with pytest.raises(ValueError, match="item"):
        Trie.build(sequences)


def test_one_item_makes_a_chain():
    trie = Trie.build([(4, 3, END)])
    assert trie.fan_out == (1, 1, 1)
    assert trie.exhausted([1]) == {ROOT, 1, 2, 3}
    over_nodes, over_inner, over_items = 4 * (4 + 4), 4 * (4 + 3), 4 * 2
    assert trie.nbytes == over_nodes + over_inner + over_items + 2 * (3 + 2 * 3)  # tokens have 16 bits


def test_an_array_of_codes_gives_the_trie_of_its_rows():
    """Codes of one length, as of millions of items, and tokens too large for 16 bits."""
    codes = np.unique(np.random.default_rng(0).integers(0, 6, (300, 4)), axis=0)
    codes = np.random.default_rng(1).permutation(codes)
    for shift, kind in ((0, np.int16), (40_000, np.int32)):
        first, second = Trie.build(codes + shift), Trie.build(list(map(tuple, (codes + shift).tolist())))
        assert first.tokens.dtype == first.sequences.dtype == kind
        for name in ("indptr", "tokens", "items", "leaves", "first", "place", "sequences", "parents"):
            assert np.array_equal(getattr(first, name), getattr(second, name)), name
        assert first.levels == second.levels
        assert np.array_equal(first.sequences[1:], codes + shift)


def test_rows_that_fit_into_no_number_are_sorted_all_the_same(monkeypatch):
    codes = np.random.default_rng(0).permutation(np.unique(np.random.default_rng(1).integers(0, 9, (80, 5)), axis=0))
    packed = Trie.build(codes)
    monkeypatch.setattr(trie_module, "MOST_BITS", 8)
    assert np.array_equal(Trie.build(codes).place, packed.place)


def test_dense_levels_are_told_and_their_children_are_those_that_are_looked_up():
    """Two levels hold all there can be; the third does not."""
    whole = np.stack(np.meshgrid(*[np.arange(4)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    codes = np.delete(whole, [5, 17, 18, 40], axis=0) + 7
    trie = Trie.build(codes)
    assert [level.dense for level in trie.levels] == [True, True, False]
    here = on_device(trie, torch.device("cpu"))
    for level in (0, 1):
        above = torch.arange(trie.starts[level - 1] if level else 0, trie.starts[level], dtype=torch.int32)
        found = here.children(above, level)
        expected = [trie.children(node) for node in above.tolist()]
        assert found.real.all()
        assert [
            list(zip(*row, strict=True)) for row in zip(found.tokens.tolist(), found.nodes.tolist(), strict=True)
        ] == expected


def test_levels_below_items_are_not_dense():
    """An item that ends above has no children, though all others have the same."""
    trie = Trie.build([(1, 3), (1, 4), (2,)])
    assert [level.dense for level in trie.levels] == [True, False]


def test_semantic_ids_of_many_items_take_less_than_40_bytes_each():
    """As many as stand to 64 codes a level as twenty million to 256."""
    codes = random_codes(312_500, 4, 64, 0)
    trie = Trie.build(codes + 3)
    assert trie.nbytes / len(codes) <= 40
