"""Histories as arrays: what they hold, without a Python object for each user."""

import numpy as np
import pytest

from bench.data.dataset import Split
from bench.data.histories import Histories, lengths_of
from models.catalogue import History
from tests import tiny


def plain(dataset, split):
    """What is known before each target, one user after the other."""
    found = []
    for user in range(dataset.users):
        items = dataset.sequence(user)
        before = len(items) if dataset.before is None else int(dataset.before[user])
        if dataset.before is None:
            place = before - (1 if split is Split.TEST else 2) if before >= 3 else None
        elif split is Split.TEST:
            place = before if 0 < before < len(items) else None
        else:
            place = before - 1 if before >= 3 else None
        if place is not None:
            known = items[:place] if dataset.max_history is None else items[:place][-dataset.max_history :]
            found.append((History(user, known), items[place]))
    return found


@pytest.mark.parametrize("split", Split)
@pytest.mark.parametrize("max_history", [None, 3])
@pytest.mark.parametrize("by_time", [False, True])
def test_queries_are_what_is_known_before_each_target(split, max_history, by_time):
    dataset = tiny.dataset(30, max_history=max_history)
    if by_time:
        lengths = np.diff(dataset.offsets)
        object.__setattr__(dataset, "before", np.random.default_rng(0).integers(0, lengths + 1))
    histories, targets = dataset.queries(split)
    assert list(zip(histories, targets, strict=True)) == plain(dataset, split)
    assert lengths_of(histories).tolist() == [len(history.items) for history in histories]
    assert lengths_of(list(histories)).tolist() == lengths_of(histories).tolist()


def test_parts_and_choices_are_histories_too():
    histories, _ = tiny.dataset(10).queries(Split.TEST)
    assert isinstance(histories[2:5], Histories)
    assert list(histories[2:5]) == list(histories)[2:5]
    assert list(histories.pick([7, 1])) == [histories[7], histories[1]]
    assert histories[-1] == list(histories)[-1]
    assert list(histories.pick([])) == []
    with pytest.raises(IndexError):
        histories[10]
