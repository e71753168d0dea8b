"""The trie against plain dictionaries and sets."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from baselines.decoding.trie import ROOT, Trie

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
        assert trie.leaves[node] == sum(sequence[: len(prefix)] == prefix for sequence in sequences)
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
    assert trie.nbytes == 4 * (5 + 3 + 4 + 4 + 4 + 4 + 2 + 2 * 3)  # six arrays over nodes, two over items
