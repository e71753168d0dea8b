"""Every generative recommender can be served by every decoder, and the exact ones give the same lists and quality."""

import numpy as np
import pytest
import torch

from bench.quality import evaluate
from models import registry
from models.serving import SeenItems, Serving
from tests.tiny import ITEMS, build, catalogue, walks

GENERATIVE = [name for name in registry.REGISTRY if "reference" in registry.load(name).decoders]
EXACT = ["exact", "vectorised-trie"]  # compiled takes a minute to compile, and is held to exact beside the searches


@pytest.fixture(scope="module", params=GENERATIVE)
def recommender(request):
    return build(request.param)


def serve(recommender, decoder, *, beam_width=10, seen=SeenItems.REMOVE):
    width = None if decoder == "exhaustive" else beam_width
    recommender.serving = Serving(decoder=decoder, beam_width=width, seen=seen)
    recommender.index(catalogue())
    return recommender


def quality(recommender):
    histories = [history for history in walks(30) if len(history.items) > 1]
    targets = [history.items[-1] % ITEMS + 1 for history in histories]
    batches = evaluate.rank_users(recommender, histories, targets, k=10, batch_size=8, device=torch.device("cpu"))
    return evaluate.join(list(batches))


def test_the_default_decoder_is_the_exact_one_and_all_are_offered(recommender):
    searches = ("exact", "reference", "vectorised-trie", "compiled", "exhaustive")
    assert tuple(recommender.decoders)[: len(searches)] == searches, "what a recommender adds comes behind"


@pytest.mark.parametrize("decoder", EXACT)
def test_lists_and_quality_are_those_of_the_reference(recommender, decoder):
    reference, other = quality(serve(recommender, "reference")), quality(serve(recommender, decoder))
    np.testing.assert_array_equal(reference.items, other.items)
    np.testing.assert_allclose(reference.scores, other.scores, atol=1e-4, rtol=1e-4)
    np.testing.assert_array_equal(reference.ranks.better, other.ranks.better)


@torch.inference_mode()
def test_with_a_beam_for_every_item_the_search_is_exhaustive(recommender):
    """Lists longer than any beam are filled: nothing is pruned."""
    inputs = serve(recommender, "exhaustive", seen=SeenItems.KEEP).prepare(walks(4))
    every = serve(recommender, "exhaustive", seen=SeenItems.KEEP).recommend(inputs, ITEMS)
    beams = serve(recommender, "exact", beam_width=ITEMS, seen=SeenItems.KEEP).recommend(inputs, ITEMS)
    assert (every.items > 0).all()
    torch.testing.assert_close(every.scores, beams.scores, atol=1e-4, rtol=1e-4)
    assert [sorted(row) for row in every.items.tolist()] == [list(range(1, ITEMS + 1))] * 4
