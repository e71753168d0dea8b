"""The item-ID schemes: every item gets one ID, seeded, and only the leaky scheme sees the targets."""

import time

import numpy as np
import pytest
from scipy import sparse

from baselines.item_ids.collaborative import (
    CLUSTER_TOKEN,
    Clusters,
    cluster_tokens,
    co_occurrence,
    collaborative_ids,
    default_clusters,
    split,
)
from baselines.item_ids.numbering import Numbering, Settings, number_items
from baselines.item_ids.sequential import leaky_ids, sequential_ids
from baselines.item_ids.shuffled import random_ids
from models.catalogue import Catalogue, History, Item
from models.errors import UserError

HISTORIES = [History(0, (4, 2, 4)), History(1, (6, 2, 1))]


def catalogue(items, appearance=()):
    return Catalogue("toy", tuple(map(str, range(items))), (Item(),) * items, tuple(appearance))


def communities(groups, size, users, seed=0):
    """Histories of users who stay in one group of items each; item i belongs to group i % groups."""
    rng = np.random.default_rng(seed)
    return [
        History(user, tuple((rng.permutation(size)[:6] * groups + user % groups + 1).tolist())) for user in range(users)
    ]


def test_random_ids_are_a_seeded_shuffle_from_1001():
    assert sorted(random_ids(50, 3)) == [str(number) for number in range(1001, 1051)]
    assert random_ids(50, 3) == random_ids(50, 3) != random_ids(50, 4)


def test_sequential_ids_count_first_appearances_in_training():
    ids = sequential_ids(6, HISTORIES, seed=0)
    assert [ids[item - 1] for item in (4, 2, 6, 1)] == ["1001", "1002", "1003", "1004"]
    assert {ids[2], ids[4]} == {"1005", "1006"}


def test_items_outside_training_are_numbered_last_by_the_seed():
    ids = [tuple(sequential_ids(40, HISTORIES, seed)) for seed in (0, 0, 1)]
    assert ids[0] == ids[1] != ids[2]
    assert {ids[0][item - 1] for item in (4, 2, 6, 1)} == {ids[2][item - 1] for item in (4, 2, 6, 1)}


def test_leaky_ids_follow_the_order_of_appearance():
    assert leaky_ids(catalogue(3, (3, 1, 2))) == ["1002", "1003", "1001"]


def test_a_catalogue_without_order_of_appearance_cannot_be_numbered_by_it():
    with pytest.raises(UserError, match="another numbering than sequential-leaky"):
        leaky_ids(catalogue(3))


def test_only_the_leaky_numbering_depends_on_appearance():
    """The wall against the leak: another order of appearance changes no other scheme's IDs."""
    forwards, backwards = catalogue(6, range(1, 7)), catalogue(6, range(6, 0, -1))
    for numbering in Numbering:
        settings = Settings(numbering=numbering)
        same = number_items(forwards, HISTORIES, settings) == number_items(backwards, HISTORIES, settings)
        assert same == (numbering is not Numbering.SEQUENTIAL_LEAKY)
        assert bool(numbering.labels) == (numbering is Numbering.SEQUENTIAL_LEAKY)


def test_two_items_co_occur_once_a_user():
    graph = co_occurrence(6, [*HISTORIES, History(2, (2, 6, 2))]).toarray()
    assert (graph == graph.T).all()
    assert graph.diagonal().sum() == 0
    assert graph[3, 1] == 1
    assert graph[5, 1] == 2


@pytest.mark.parametrize("items", [1, 7, 40, 300])
def test_collaborative_ids_are_unique_paths_over_the_announced_tokens(items):
    clusters = Clusters(leaf_size=8, count=4)
    histories = [History(user, (1 + user % items, 1 + user * user % items, 1)) for user in range(60)]
    ids = collaborative_ids(items, histories, clusters, seed=0)
    assert len(set(ids)) == len(ids) == items
    assert {word for text in ids for word in CLUSTER_TOKEN.findall(text)} <= set(cluster_tokens(clusters))
    assert all(CLUSTER_TOKEN.sub("", text) == "" for text in ids)


def test_the_same_seed_gives_the_same_collaborative_ids():
    histories = communities(3, 50, 200)
    once, again = (collaborative_ids(150, histories, Clusters(10, 5), seed=1) for _ in range(2))
    assert once == again


def test_items_of_one_community_share_their_first_token():
    groups, size = 4, 30
    ids = collaborative_ids(groups * size, communities(groups, size, 400), Clusters(30, groups), seed=0)
    first = [CLUSTER_TOKEN.findall(text)[0] for text in ids]
    assert len(set(first)) == groups
    assert all(len(set(first[group::groups])) == 1 for group in range(groups))


def test_what_co_occurs_with_nothing_is_spread_over_the_parts():
    bridge = [History(0, tuple(range(1, 11))), History(1, tuple(range(11, 21))), History(2, (10, 11))]
    graph = sparse.csr_array(sparse.block_diag([co_occurrence(20, bridge), sparse.csr_array((10, 10))]))
    parts = split(graph, 2, seed=0)
    assert sorted(np.concatenate(parts).tolist()) == list(range(30))
    assert [len(part) for part in parts] == [15, 15]
    assert {tuple(part[part < 20]) for part in parts} == {tuple(range(10)), tuple(range(10, 20))}


def test_communities_without_a_bridge_stay_whole():
    sizes = [9, 7, 5, 4, 2]
    graph = sparse.csr_array(sparse.block_diag([np.ones((size, size)) for size in sizes]))
    parts = split(graph, 3, seed=0)
    assert sorted(len(part) for part in parts) == [9, 9, 9]
    homes = [
        {place for place, part in enumerate(parts) for item in part if end - size <= item < end}
        for end, size in zip(np.cumsum(sizes), sizes, strict=True)
    ]
    assert all(len(home) == 1 for home in homes)


def test_a_group_without_any_links_is_cut_evenly():
    parts = split(sparse.csr_array((10, 10)), 4, seed=0)
    assert [len(part) for part in parts] == [3, 3, 2, 2]


def test_more_clusters_than_tokens_are_refused():
    with pytest.raises(UserError, match="lower it"):
        number_items(catalogue(5), HISTORIES, Settings(leaf_size=4, cluster_count=5))


def test_default_clusters_are_openp5s_where_the_catalogue_is_large():
    assert default_clusters(3416) == Clusters(100, 20)
    assert default_clusters(12101) == Clusters(500, 20)
    assert default_clusters(500).leaf_size < 100


def test_clustering_a_catalogue_of_thousands_takes_seconds():
    rng = np.random.default_rng(0)
    histories = [History(user, tuple((rng.zipf(1.3, 30) % 6000 + 1).tolist())) for user in range(3000)]
    start = time.perf_counter()
    ids = collaborative_ids(6000, histories, default_clusters(6000), seed=0)
    assert len(set(ids)) == 6000
    assert time.perf_counter() - start < 60
