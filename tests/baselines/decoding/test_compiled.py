"""The compiled search gives the eager one's lists, once for every size."""

import copy
import gc
import shutil
import weakref

import pytest
import torch

from baselines.decoding import attention, compiled, stack
from baselines.decoding.device_trie import on_device
from baselines.decoding.search import search
from baselines.decoding.trie import Trie
from bench.measure import flops
from models.errors import UserError
from models.int8 import round_weights
from models.serving import Scores
from tests.baselines.decoding.small import END, model, prompts, rng, seen_by, sequences
from tests.tiny import build, catalogue

IDS = [(3, END), (3, 4, END), (4, 4, END), (5, 3, END), (5, 4, END), (5, 5, END)]

needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler on a CPU")
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="CUDA graphs need a GPU")


@pytest.fixture
def traced(monkeypatch):
    """Trace the whole search as for compiling, then run its operators one by one."""
    real = torch.compile
    monkeypatch.setattr(torch, "compile", lambda whole, **options: real(whole, backend="eager", **options))


def assert_same(found, exact, tolerance=1e-4):
    assert torch.equal(found.items, exact.items)
    assert torch.equal(found.tokens, exact.tokens)
    live = exact.items > 0
    torch.testing.assert_close(found.scores[live], exact.scores[live], atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize(
    ("family", "kind", "scores"),
    [  # each pair of values occurs; tracing one search takes ten seconds
        ("t5", "equal", Scores.FULL_VOCAB),
        ("t5", "unequal", Scores.RENORMALISED),
        ("llama", "equal", Scores.RENORMALISED),
        ("llama", "unequal", Scores.FULL_VOCAB),
    ],
)
@torch.inference_mode()
def test_the_whole_search_can_be_traced_and_gives_the_same_lists(family, kind, scores, traced, monkeypatch):
    """Few and many beams, masked and gathered, seen items kept and removed."""
    chance = rng(f"{family} {kind}")
    ids = sequences(chance, kind)
    built, trie, prompt = model(family, 6), Trie.build(ids), prompts(family, 3, 6)
    monkeypatch.setattr(stack, "DENSE_BEAMS", 8)
    monkeypatch.setattr(attention, "BLOCK", 5)
    for width, seen in ((5, None), (5, seen_by(chance, 3, len(ids))), (12, seen_by(chance, 3, len(ids)))):
        options = {"width": width, "scores": scores, "seen_items": seen}
        exact = search("exact", built, prompt, trie, **options)
        assert_same(search("compiled", built, prompt, trie, **options), exact, 1e-5)


@pytest.mark.parametrize("family", ["t5", "llama"])
@torch.inference_mode()
def test_weights_in_int8_can_be_traced(family, traced):
    built, trie = model(family, 4, dtype=torch.float32), Trie.build(IDS)
    round_weights(built)
    prompt = prompts(family, 2, 4, dtype=torch.float32)
    exact = search("exact", built, prompt, trie, width=4)
    assert_same(search("compiled", built, prompt, trie, width=4), exact)


@needs_gpu
@pytest.mark.parametrize("family", ["t5", "llama"])
@pytest.mark.parametrize("scores", list(Scores))
def test_graphs_on_a_gpu_give_the_lists_of_the_exact_search(family, scores):
    """Sizes in turns, so that graphs which share memory are replayed out of order."""
    built, trie = model(family, 4, dtype=torch.float32).cuda(), Trie.build(IDS)
    for seed, length in enumerate((9, 40, 9, 40)):
        prompt = prompts(family, 2, seed, dtype=torch.float32, length=length)
        prompt = type(prompt)(prompt.embeddings.cuda(), prompt.mask.cuda())
        with torch.inference_mode(seed % 2 == 0), torch.no_grad():
            exact = search("exact", built, prompt, trie, width=4, scores=scores)
            assert_same(search("compiled", built, prompt, trie, width=4, scores=scores), exact)
    assert len(on_device(trie, prompt.mask.device).programs) == 2


@torch.inference_mode()
def test_programs_go_with_their_trie(traced):
    built, trie = model("t5", 4, layers=1), Trie.build(IDS)
    search("compiled", built, prompts("t5", 1, 4), trie, width=2)
    gone = weakref.ref(built)
    del built, trie
    torch.compiler.reset()
    gc.collect()
    assert gone() is None


def test_indexing_again_keeps_what_was_compiled_and_other_ids_do_not():
    recommender = build("tiger", codebook_size=16)
    recommender.index(catalogue())
    first = recommender._trie
    recommender.index(catalogue())
    assert recommender._trie is first
    recommender.items = copy.copy(recommender.items)
    recommender.index(catalogue())
    assert recommender._trie is not first


def test_without_a_compiler_there_is_one_line(monkeypatch):
    def refuse(*_, **__):
        raise torch._inductor.exc.InductorError(RuntimeError("InvalidCxxCompiler: No working C++ compiler"), None)

    monkeypatch.setattr(torch, "compile", lambda *_, **__: refuse)
    with pytest.raises(UserError, match=r"compiling needs a C\+\+ compiler"):
        search("compiled", model("t5"), prompts("t5", 1), Trie.build(IDS), width=2)


def test_rotary_positions_that_are_made_anew_are_refused():
    built = model("llama")
    built.config.rope_parameters = {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0}
    with pytest.raises(UserError, match="cannot compile rotary positions of type dynamic"):
        search("compiled", built, prompts("llama", 1), Trie.build(IDS), width=2)


@needs_compiler
@pytest.mark.parametrize("family", ["t5", "llama"])
@torch.inference_mode()
def test_lists_are_those_of_the_exact_search_and_a_size_is_compiled_once(family):
    chance = rng(family)
    built, trie = model(family, 4, dtype=torch.float32, layers=1), Trie.build(IDS)
    for length in (9, 11):  # of one bucket
        prompt = prompts(family, 2, 4, dtype=torch.float32, length=length)
        seen = seen_by(chance, 2, len(IDS))
        exact = search("exact", built, prompt, trie, width=4, seen_items=seen)
        found = search("compiled", built, prompt, trie, width=4, seen_items=seen)
        assert_same(found, exact)
    assert len(on_device(trie, prompt.mask.device).programs) == 1
    padded = compiled._bucketed(prompt, seen, left=family == "llama")
    assert padded[0].shape[1] == padded[1].shape[1] == compiled.PROMPT_BUCKET
    counts = [
        flops.count(lambda name=name: search(name, built, prompt, trie, width=4)).total
        for name in ("compiled", "exact")
    ]
    assert counts[0] >= counts[1] > 0, "operations are counted one by one, those on padding too"
