"""Catalogues of millions: all items have a number, an identifier and a text, and nothing is a list of objects."""

from itertools import pairwise

import numpy as np
import pytest

from bench import data
from bench.data import loading, vast
from bench.data.dataset import Split
from models.catalogue import Item
from models.errors import UserError


@pytest.fixture
def loaded(monkeypatch):
    """A catalogue of 5,000, generated as a vast one."""
    monkeypatch.setattr(loading, "VAST", 1000)
    return data.load("synthetic-5000", users=300)


def test_every_item_is_there_once_and_described(loaded):
    catalogue = loaded.catalogue
    assert len(catalogue) == len(catalogue.items) == 5000
    assert len(set(catalogue.ids)) == 5000
    assert len({item.title for item in catalogue.items}) == 5000
    assert sorted(catalogue.appearance) == list(range(1, 5001))
    assert catalogue.items[3:5][1] == catalogue.items[4]
    assert catalogue.ids[3:5][0] == catalogue.ids[3]
    assert isinstance(catalogue.items[0], Item)
    with pytest.raises(IndexError):
        catalogue.ids[5000]


def test_what_is_read_next_can_be_learned_from_the_texts(loaded):
    """Parts of a series follow each other far more often than chance has it."""
    titles = [[loaded.catalogue.items[item - 1].title for item in loaded.sequence(user)] for user in range(300)]
    pairs = [pair for row in titles for pair in pairwise(row)]
    same_series = [before.split(",")[0] == after.split(",")[0] for before, after in pairs]
    assert np.mean(same_series) > 0.2


def test_what_readers_take_first_appears_first(loaded):
    first = list(dict.fromkeys(loaded.flat.tolist()))
    assert list(loaded.catalogue.appearance)[: len(first)] == first


def test_the_same_settings_give_the_same_catalogue_and_others_another(monkeypatch):
    monkeypatch.setattr(loading, "VAST", 1000)
    first, again, other = (data.load("synthetic-2000", users=50, seed=seed) for seed in (0, 0, 1))
    assert np.array_equal(first.flat, again.flat)
    assert list(first.catalogue.items[:50]) == list(again.catalogue.items[:50])
    assert first.catalogue.fingerprint == again.catalogue.fingerprint
    assert first.catalogue.fingerprint != other.catalogue.fingerprint
    assert first.source.synthetic
    assert first.source.warnings[1] == f"{len(np.unique(first.flat)):,} of the 2,000 items are in a history"


def test_readers_are_a_million_at_most_and_queries_are_theirs(loaded, monkeypatch):
    histories, targets = loaded.queries(Split.TEST)
    assert len(histories) == len(targets) == 300
    monkeypatch.setattr(loading, "READERS", 40)
    monkeypatch.setattr(loading, "VAST", 1000)
    assert data.load("synthetic-3000").users == 40


def test_what_such_data_cannot_do_is_refused(monkeypatch):
    monkeypatch.setattr(loading, "VAST", 1000)
    with pytest.raises(UserError, match="all are kept, and they have no times; leave --min-count and --split out"):
        data.load("synthetic-2000", min_count=5)
    assert vast.VAST == 1_000_000
