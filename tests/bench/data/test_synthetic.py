"""Generated data is repeatable, says that it is generated, and can be learned."""

import numpy as np
import pytest

from bench import data
from bench.data import Split
from bench.data.options import SyntheticSizes
from bench.data.synthetic import check_memory
from models.errors import UserError


@pytest.fixture(scope="module")
def generated():
    return data.load("synthetic")


def ndcg_at_10(dataset, score):
    """Mean NDCG@10 of ``score(items) -> float [n + 1]``; the history is removed, ties count at their expectation."""
    gains = []
    for history, target in zip(*dataset.queries(Split.TEST), strict=True):
        scores = score(history.items).astype(float)
        scores[[0, *history.items]] = -np.inf
        better, equal = int((scores > scores[target]).sum()), int((scores == scores[target]).sum())
        ranks = np.arange(better, better + equal)
        found = np.isfinite(scores[target])
        gains.append(np.where(ranks < 10, 1 / np.log2(ranks + 2), 0).mean() if found else 0)
    return float(np.mean(gains))


def popularity(dataset):
    return np.bincount(np.concatenate([history.items for history in dataset.training()]), minlength=size(dataset))


def size(dataset):
    return len(dataset.catalogue) + 1


def test_default_size(generated):
    assert (generated.users, len(generated.catalogue)) == (1000, 500)
    assert len(generated.flat) / generated.users == pytest.approx(20, abs=1)
    assert min(np.diff(generated.offsets)) >= 5


def test_source_says_that_it_is_synthetic(generated):
    assert generated.source.synthetic
    assert "generated data" in generated.source.warnings
    assert "synthetic" in data.available()["synthetic"]


def test_same_seed_same_data_and_another_seed_other_data(generated):
    same, other = data.load("synthetic"), data.load("synthetic", seed=1)
    assert same.catalogue == generated.catalogue
    assert same.flat.tolist() == generated.flat.tolist()
    assert same.source.checksum == generated.source.checksum != other.source.checksum
    assert other.flat.tolist() != generated.flat.tolist()


@pytest.mark.parametrize(("users", "items", "length"), [(1, 20, 5), (40, 20, 50), (300, 1000, 8), (200, 7001, 10)])
def test_any_size(users, items, length):
    loaded = data.load("synthetic", users=users, items=items, length=length)
    assert loaded.users == users
    assert len(loaded.catalogue) <= items
    assert loaded.source.options["items"] == items


def test_every_item_occurs_once_there_are_as_many_users():
    assert len(data.load("synthetic", users=800, items=800, length=6).catalogue) == 800


def test_titles_are_distinct_and_every_item_has_all_text():
    items = data.load("synthetic", users=7000, items=7000, length=5).catalogue.items
    assert len({item.title for item in items}) == 7000
    assert all(item.brand and item.categories for item in items)


@pytest.mark.parametrize("seed", [0, 1])
def test_transitions_beat_popularity_three_times(seed):
    """Counting what follows what reaches 3 times popularity's NDCG@10, which is at its usual low level."""
    dataset = data.load("synthetic", seed=seed)
    counts = popularity(dataset)
    follows = np.zeros((size(dataset), size(dataset)))
    for history in dataset.training():
        np.add.at(follows, (history.items[:-1], history.items[1:]), 1)
    floor = ndcg_at_10(dataset, lambda items: counts)
    first_order = ndcg_at_10(dataset, lambda items: follows[items[-1]] + counts / counts.sum())
    assert 0.03 < floor < 0.06
    assert 3 * floor < first_order < 0.6


def test_earlier_items_tell_more_than_the_last_one_alone(generated):
    """A sequence model has something to gain over a first-order one."""
    follows = np.zeros((size(generated), size(generated)))
    for history in generated.training():
        np.add.at(follows, (history.items[:-1], history.items[1:]), 1)
    follows /= follows.sum(axis=1, keepdims=True) + 1
    last = ndcg_at_10(generated, lambda items: follows[items[-1]])
    recent = ndcg_at_10(generated, lambda items: 0.4 ** np.arange(5)[: len(items)] @ follows[list(items[:-6:-1])])
    assert recent > 1.03 * last


def test_text_tells_what_comes_next(generated):
    """Reading only the texts - genre, series and part - beats popularity three times, with nothing counted on users."""
    items = generated.catalogue.items
    genre = np.array(["", *(item.categories[-1] for item in items)])
    series = np.array(["", *(item.title.rpartition(",")[0] for item in items)])
    part = np.array([0, *(["One", "Two", "Three", "Four", "Five"].index(item.title.split()[-1]) + 1 for item in items)])

    def score(history):
        last = history[-1]
        return (genre == genre[last]) + (series == series[last]) * (1 + 2 * (part == part[last] + 1))

    counts = popularity(generated)
    assert ndcg_at_10(generated, score) > 3 * ndcg_at_10(generated, lambda items: counts)


def test_a_size_in_the_name_is_the_size_of_the_catalogue():
    sized = data.load("synthetic-300")
    assert sized.name == "synthetic-300"
    assert len(sized.catalogue) == 300
    assert sized.source.synthetic
    assert sized.source.checksum != data.load("synthetic-301").source.checksum


def test_what_the_name_does_not_imply_is_told():
    assert data.load("synthetic").source.unusual == {}
    assert data.load("synthetic-300").source.unusual == {}
    assert data.load("synthetic-300", max_history=5, length=9).source.unusual == {"max_history": 5, "length": 9}
    assert data.load("synthetic", users=50, min_count=2).source.unusual == {"min_count": 2, "users": 50}


def test_a_size_too_small_for_generated_data_is_refused():
    with pytest.raises(UserError, match="items"):
        data.load("synthetic-3")


def test_what_cannot_fit_is_refused_before_it_is_drawn():
    check_memory(SyntheticSizes(users=1_000_000, items=1_000_000, length=20), 4 * 2**30)
    with pytest.raises(UserError, match=r"1,000 users .*over 100,000,000 items, take about 75 GiB .*has 16: generate"):
        check_memory(SyntheticSizes(users=1_000, items=10**8, length=20), 16 * 2**30)
    with pytest.raises(UserError, match="generate less"):
        data.load("synthetic-100000000", users=10**9)
