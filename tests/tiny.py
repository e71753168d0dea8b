"""A catalogue whose users walk round a circle of items, small enough to build any recommender on."""

import numpy as np

from bench.data.dataset import Dataset, Source
from bench.training import recipes
from models import registry
from models.catalogue import Catalogue, History, Item
from models.serving import Serving

ITEMS = 40


def catalogue(items=ITEMS, name="toy"):
    """Items i0, i1, ...; the last one has no text at all."""
    ids = tuple(f"i{number}" for number in range(items))
    known = tuple(Item(f"thing {number}", (f"kind {number % 4}",), f"maker {number % 3}") for number in range(items))
    return Catalogue(name, ids, (*known[:-1], Item()), tuple(range(1, items + 1)))


def walks(users, *, items=ITEMS, shortest=3, longest=8, seed=0):
    """Histories in which item i is always followed by item i + 1, the last by the first."""
    rng = np.random.default_rng(seed)
    starts, lengths = rng.integers(items, size=users), rng.integers(shortest, longest, size=users)
    return [
        History(user, tuple((start + step) % items + 1 for step in range(length)))
        for user, (start, length) in enumerate(zip(starts.tolist(), lengths.tolist(), strict=True))
    ]


def dataset(users=40, *, items=ITEMS, max_history=None, seed=0):
    """A `Dataset` of such walks."""
    histories = walks(users, items=items, shortest=5, seed=seed)
    flat = np.array([item for history in histories for item in history.items], dtype=np.int32)
    offsets = np.cumsum([0, *(len(history.items) for history in histories)]).astype(np.int64)
    return Dataset(catalogue(items), flat, offsets, Source("toy", "0" * 64, {"seed": seed}), max_history)


def build(name, *, serving=None, items=ITEMS, **settings):
    """Build a recommender in eval mode, its settings checked as on the command line."""
    resolved, _ = recipes.resolve(name, "toy", settings)
    recommender = registry.load(name).build(catalogue(items), walks(60, items=items), resolved).eval()
    recommender.serving = serving or Serving()
    return recommender
