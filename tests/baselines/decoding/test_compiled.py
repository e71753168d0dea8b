"""The compiled search gives the eager one's lists, once for every size."""

import shutil

import pytest
import torch

from baselines.decoding import compiled
from baselines.decoding.search import search
from baselines.decoding.trie import Trie
from bench.measure import flops
from tests.baselines.decoding.small import END, model, prompts, rng, seen_by

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler on a CPU")


@pytest.mark.parametrize("family", ["t5", "llama"])
@torch.inference_mode()
def test_lists_are_those_of_the_exact_search_and_a_size_is_compiled_once(family):
    chance = rng(family)
    ids = [(3, END), (3, 4, END), (4, 4, END), (5, 3, END), (5, 4, END), (5, 5, END)]
    built, trie = model(family, 4, dtype=torch.float32, layers=1), Trie.build(ids)
    for length in (9, 11):  # of one bucket
        prompt = prompts(family, 2, 4, dtype=torch.float32, length=length)
        seen = seen_by(chance, 2, len(ids))
        exact = search("exact", built, prompt, trie, width=4, seen_items=seen)
        found = search("compiled", built, prompt, trie, width=4, seen_items=seen)
        assert torch.equal(found.items, exact.items)
        assert torch.equal(found.tokens, exact.tokens)
        live = exact.items > 0
        torch.testing.assert_close(found.scores[live], exact.scores[live], atol=1e-4, rtol=1e-4)
    assert len(compiled._programs[built]) == 1
    padded = compiled._bucketed(prompt, seen, left=family == "llama")
    assert padded[0].shape[1] == padded[1].shape[1] == compiled.PROMPT_BUCKET
    counts = [
        flops.count(lambda name=name: search(name, built, prompt, trie, width=4)).total
        for name in ("compiled", "exact")
    ]
    assert counts[0] >= counts[1] > 0, "operations are counted one by one, those on padding too"
