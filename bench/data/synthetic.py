"""Generated data that a sequence model can learn and whose texts tell something about it.

Items are parts of *series*, series belong to *genres*. A reader takes the next part of the series,
or something else of the genre, or goes on to one of the genres that readers of this one like, or
follows the crowd. What comes next can therefore be learned from the last item (its successor),
from earlier ones (a series that was left and is taken up again) and from the text: the title names
the series and the part, the categories name the genre, the brand is a publisher within the genre.

It is no model of real people: it shows that a pipeline learns, and what a recommender costs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bench.data.options import SyntheticSizes
from bench.data.raw import Raw
from models.catalogue import Item
from models.errors import UserError

if TYPE_CHECKING:
    from numpy.typing import NDArray

VERSION = 1
"""Raise when the same settings give other data."""

ABOUT = "generated readers of generated series, any size, no download (synthetic)"

PARTS = 5
SERIES_PER_GENRE = 5
SERIES_PER_BRAND = 2
SHORTEST = 5
CONTINUE, RETURN, SAME_GENRE, NEXT_GENRE = 0.32, 0.12, 0.28, 0.22  # the rest follows the crowd
ZIPF_EXPONENT = 0.5
ATTEMPTS = 4
"""How often a reader who drew a known item draws again; some repeated consumption stays."""

EVENT_BYTES, ITEM_BYTES = 110, 800
"""What an interaction and an item take at the peak of generating them, as measured."""

GENRES = (
    "Adventure", "Astronomy", "Biography", "Comedy", "Cooking", "Crime", "Drama", "Fantasy", "Folklore", "Gardening",
    "History", "Horror", "Music", "Mystery", "Nature", "Philosophy", "Poetry", "Romance", "Sailing", "Science",
    "Sports", "Thriller", "Travel", "Western",
)  # fmt: skip
ADJECTIVES = (
    "Amber", "Ancient", "Broken", "Burning", "Crimson", "Distant", "Emerald", "Endless", "Fallen", "Forgotten",
    "Frozen", "Gentle", "Golden", "Hidden", "Hollow", "Iron", "Last", "Little", "Lonely", "Lost", "Midnight", "Pale",
    "Quiet", "Restless", "Sacred", "Secret", "Silent", "Silver", "Stolen", "Velvet", "Wandering", "Winter",
)  # fmt: skip
NOUNS = (
    "Anchor", "Bell", "Bridge", "Castle", "Clock", "Crown", "Desert", "Door", "Engine", "Falcon", "Forest", "Garden",
    "Harbour", "House", "Island", "Key", "Lantern", "Letter", "Library", "Machine", "Map", "Mirror", "Moon",
    "Mountain", "Ocean", "Orchard", "River", "Road", "Shadow", "Ship", "Song", "Star", "Storm", "Tower", "Train",
    "Valley", "Violin", "Window",
)  # fmt: skip
BRANDS = ("Alder", "Beacon", "Cedar", "Delta", "Ember", "Fern", "Granite", "Heron", "Indigo", "Juniper", "Kestrel")
ORDINALS = ("One", "Two", "Three", "Four", "Five")


@dataclass(frozen=True)
class World:
    """The latent structure. Item i is part ``i % PARTS`` of series ``i // PARTS``.

    Attributes:
        genre: Genre of every item, int64 [items].
        likes: The two genres that readers of a genre go on to, int64 [genres, 2].
        within: Number of every item's genre plus its cumulative probability within that genre, which
            ascends over all items, float64 [items].
        crowd: Cumulative probability of every item, float64 [items].

    """

    genre: NDArray[np.int64]
    likes: NDArray[np.int64]
    within: NDArray[np.float64]
    crowd: NDArray[np.float64]


def check_memory(sizes: SyntheticSizes, available: int, item_bytes: int = ITEM_BYTES) -> None:
    """Refuse sizes that cannot fit, before anything is drawn.

    Args:
        sizes: What is to be generated.
        available: Bytes of the machine's memory.
        item_bytes: What an item takes.

    Raises:
        UserError: They need more.

    """
    needed = sizes.users * sizes.length * EVENT_BYTES + sizes.items * item_bytes
    if needed > available:
        raise UserError(
            f"{sizes.users:,} users with {sizes.length:,} interactions each, over {sizes.items:,} items, take about "
            f"{needed / 2**30:,.0f} GiB to generate, and this machine has {available / 2**30:,.0f}: generate less"
        )


def generate(sizes: SyntheticSizes, seed: int) -> Raw:
    """Generate interactions and texts; every item occurs when there are at least as many users.

    Args:
        sizes: Users, items and the mean length of a history.
        seed: The same seed gives the same data.

    """
    rng = np.random.default_rng(seed)
    world = make_world(sizes.items, rng)
    lengths = walk_lengths(sizes, rng)
    walks = walk_together(world, lengths, rng)
    taken = np.arange(walks.shape[1]) < lengths[:, None]  # [users, longest]
    users, order = np.nonzero(taken)
    labels = rng.permutation(sizes.items)  # identifiers say nothing about series
    ids = tuple(f"item-{label:06d}" for label in labels)
    return Raw(
        users=users.astype(np.int64),
        items=walks[taken],
        order=order.astype(np.int64),
        lines=np.arange(1, len(users) + 1, dtype=np.int64),
        user_ids=tuple(map(str, range(sizes.users))),
        item_ids=ids,
        texts=dict(zip(ids, map(Names(rng).item, range(sizes.items)), strict=True)),
        interactions_label="generated interactions",
    )


def walk_lengths(sizes: SyntheticSizes, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw how many items each user takes, int64 [users]."""
    lengths = SHORTEST + rng.poisson(rng.gamma(2.0, (sizes.length - SHORTEST) / 2.0, sizes.users))
    shortened: NDArray[np.int64] = np.minimum(lengths, max(SHORTEST, sizes.items // 2))
    return shortened


def make_world(items: int, rng: np.random.Generator) -> World:
    """Draw the genres' weights and what their readers go on to."""
    genre = np.arange(items) // (PARTS * SERIES_PER_GENRE)
    genres = int(genre[-1]) + 1
    weights = np.power(1.0 + rng.permutation(items), -ZIPF_EXPONENT)
    totals = np.bincount(genre, weights)
    before = np.concatenate([[0.0], np.cumsum(totals)])[genre]  # weight of all earlier genres
    crowd = np.cumsum(weights)
    return World(
        genre=genre,
        likes=rng.integers(0, genres, (genres, 2)),
        within=genre + (crowd - before) / totals[genre],
        crowd=crowd / crowd[-1],
    )


def walk_together(world: World, lengths: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Let all users take step after step together, int64 [users, longest]; columns past a user's length are idle."""
    users, items = len(lengths), len(world.genre)
    walks = np.zeros((users, lengths.max()), dtype=np.int64)
    firsts = np.concatenate([rng.permutation(items) for _ in range(-(-users // items))])
    walks[:, 0] = firsts[:users]
    for step in range(1, walks.shape[1]):
        active = np.flatnonzero(lengths > step)
        past = walks[active, :step]
        walks[active, step] = _step(world, past, rng)
        for _ in range(ATTEMPTS):
            repeated = (past == walks[active, step, None]).any(axis=1)
            again = active[repeated]
            if len(again):
                walks[again, step] = _step(world, walks[again, :step], rng)
    return walks


def _step(world: World, past: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw the next item of users whose items so far are `past` [users, steps]."""
    users = np.arange(len(past))
    last = past[:, -1]
    draw = rng.random(len(past))
    earlier = past[users, (past.shape[1] - 1 - rng.geometric(0.4, len(past))).clip(0)]
    crowd = np.searchsorted(world.crowd, rng.random(len(past)), side="right").clip(max=len(world.genre) - 1)
    next_genre = world.likes[world.genre[last], rng.integers(0, 2, len(past))]
    choices = [
        (CONTINUE, _successor(last, world)),
        (RETURN, _successor(earlier, world)),
        (SAME_GENRE, _from_genre(world, world.genre[last], rng)),
        (NEXT_GENRE, _from_genre(world, next_genre, rng)),
    ]
    thresholds = np.cumsum([share for share, _ in choices])
    candidates = np.stack([*(items for _, items in choices), crowd])  # [ways, users]
    chosen: NDArray[np.int64] = candidates[np.searchsorted(thresholds, draw, side="right"), users]
    return chosen


def _successor(items: NDArray[np.int64], world: World) -> NDArray[np.int64]:
    """Return the next part of a series, and after the last part the first part of the next series."""
    following: NDArray[np.int64] = (items + 1) % len(world.genre)
    return following


def _from_genre(world: World, genres: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw an item of each genre by popularity."""
    items = np.searchsorted(world.within, genres + rng.random(len(genres)), side="right")
    return items.clip(max=len(world.genre) - 1).astype(np.int64)


class Names:
    """Writes the texts of items.

    Args:
        rng: Draws which series has which name.

    """

    def __init__(self, rng: np.random.Generator) -> None:
        self._count = len(ADJECTIVES) * len(NOUNS)
        self._shuffled: list[int] = rng.permutation(self._count).tolist()

    def item(self, item: int) -> Item:
        """Write the text of an item of the world."""
        series, part = divmod(item, PARTS)
        genre = series // SERIES_PER_GENRE
        adjective, noun = divmod(self._shuffled[series % self._count], len(NOUNS))
        volume = _volume(series // self._count)
        title = f"The {ADJECTIVES[adjective]} {NOUNS[noun]}{volume}, Part {ORDINALS[part]}"
        category = f"{GENRES[genre % len(GENRES)]}{_volume(genre // len(GENRES))}"
        brand = f"{BRANDS[series // SERIES_PER_BRAND % len(BRANDS)]} {GENRES[genre % len(GENRES)]} Press"
        return Item(title, ("Books", category), brand)


def _volume(cycle: int) -> str:
    """Tell names apart that the word lists give out a second time."""
    return f" {cycle + 1}" if cycle else ""
