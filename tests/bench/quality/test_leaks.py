"""The rule that needs no model, on numberings made by hand."""

import numpy as np
import pytest

from bench.quality.leaks import next_number_ranks, probe
from models.catalogue import History


def test_the_rule_recommends_the_numbers_after_the_highest_of_the_history():
    numbers = [10, 40, 20, 30, 50]  # of items 1 to 5; in order: items 1, 3, 4, 2, 5
    histories = [History(0, (1, 3)), History(1, (1,)), History(2, (2, 1)), History(3, (5,))]
    ranks = next_number_ranks(histories, targets=[4, 5, 3, 1], numbers=numbers, k=3)
    assert ranks.better.tolist() == [0, -1, -1, -1]  # next; fourth after, beyond k; before; nothing follows
    assert ranks.tied.tolist() == [1, 0, 0, 0]
    assert next_number_ranks(histories, [4, 5, 3, 1], numbers, 4).better.tolist() == [0, 3, -1, -1]


def test_numbers_by_first_appearance_over_whole_sequences_leak_and_random_ones_do_not():
    """Each user takes two known items, then one that nobody took before."""
    users, known = 200, 50
    rng = np.random.default_rng(0)
    histories = [History(user, tuple(rng.integers(1, known + 1, 2).tolist())) for user in range(users)]
    histories = [History(one.user, (*one.items, known + users - one.user)) for one in histories]
    taken = [History(one.user, one.items[:2]) for one in histories]
    targets = [one.items[2] for one in histories]
    items = known + users
    appearance = list(dict.fromkeys(item for one in histories for item in one.items))
    leaky = np.zeros(items, dtype=int)
    leaky[np.array(appearance) - 1] = np.arange(len(appearance))
    leaky[leaky == 0] = np.arange(items)[leaky == 0] + items
    found = probe(taken, targets, leaky.tolist())
    fair = probe(taken, targets, rng.permutation(items).tolist())
    assert fair["HR@1"].value < 0.05
    assert found["HR@1"].value > 0.1


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_random_ids_do_not_undo_the_shuffle_that_numbers_the_catalogue(seed):
    """Both are permutations from one seed; drawn alike, the second brought the files' order back."""
    from baselines.item_ids.shuffled import random_ids

    source = np.random.default_rng(seed).permutation(3000)  # item i is the source's ``source[i - 1]``
    numbers = np.array(random_ids(3000, seed), dtype=int)
    assert abs(np.corrcoef(source, numbers)[0, 1]) < 0.1
