"""LightGCN smooths as its formula says, and puts together what is taken together."""

import numpy as np
import torch

from baselines.collaborative.lightgcn import Graph, light_gcn
from models.catalogue import History
from tests.tiny import ITEMS, walks


def test_smoothing_is_the_mean_of_powers_of_the_normalised_graph():
    """Repeated interactions count once, and users and items without any keep a share of their own embedding."""
    users, items = np.array([0, 0, 1, 1, 1]), np.array([1, 2, 2, 3, 3])
    taken = torch.zeros(3, 5, dtype=torch.float64)
    taken[users, items] = 1
    whole = torch.zeros(8, 8, dtype=torch.float64)
    whole[:3, 3:], whole[3:, :3] = taken, taken.T
    half = whole.sum(1).clamp(min=1) ** -0.5
    step = half[:, None] * whole * half
    table = torch.randn(8, 4)
    expected = sum(torch.linalg.matrix_power(step, power) @ table.double() for power in range(4)) / 4
    found = Graph(users, items, (3, 5), 3).smooth(table[:3], table[3:])
    torch.testing.assert_close(torch.cat(found).double(), expected, atol=1e-6, rtol=1e-6)


def test_the_gradient_is_that_of_the_smoothing():
    users, items = np.array([0, 1, 1, 2]), np.array([1, 1, 2, 3])
    graph = Graph(users, items, (3, 4), 2)
    tables = [torch.randn(rows, 2, requires_grad=True) for rows in (3, 4)]
    weights = [torch.randn(rows, 2) for rows in (3, 4)]
    sum((weight * smooth).sum() for weight, smooth in zip(weights, graph(*tables), strict=True)).backward()
    nudged = [table.detach().clone() for table in tables]
    nudged[1][2, 1] += 1
    moved = [
        sum((weight * smooth).sum() for weight, smooth in zip(weights, graph.smooth(*given), strict=True))
        for given in (nudged, [table.detach() for table in tables])
    ]
    torch.testing.assert_close(moved[0] - moved[1], tables[1].grad[2, 1], atol=1e-5, rtol=1e-4)


def test_what_is_taken_together_lies_together():
    """Two groups of users with items of their own."""
    histories = [
        History(user, tuple(1 + (user % 2) * 10 + (user * 3 + step) % 10 for step in range(4))) for user in range(60)
    ]
    found = light_gcn(histories, 20, width=8, layers=2, seed=0)
    scores = found.users @ found.items[1:].T
    own = torch.arange(20)[None] // 10 == torch.arange(60)[:, None] % 2
    assert scores[own].mean() > scores[~own].mean() + 1


def test_the_seed_alone_decides():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    histories = [History(user + 2, one.items) for user, one in enumerate(walks(20))]
    one, two, other = (light_gcn(histories, ITEMS, width=4, layers=3, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(one.items, two.items)
    assert not torch.equal(one.items, other.items)
    assert (one.users.shape, one.items.shape) == ((22, 4), (ITEMS + 1, 4))
    assert (one.items[0] == 0).all()
