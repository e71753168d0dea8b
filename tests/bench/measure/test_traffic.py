"""Bytes of operators and requests against sizes on paper."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from bench.measure import flops
from bench.measure.subject import Subject
from bench.measure.traffic import Traffic, tensor_bytes, union
from models.phases import phase
from tests.tiny import ITEMS, build, catalogue, walks

ROW = 8 * 4
"""Bytes of a row of 8 in float32."""


def traffic(call):
    return flops.count(call).traffic


def test_a_product_reads_its_matrices_and_writes_another():
    left, right = torch.randn(3, 8), torch.randn(8, 5)
    assert traffic(lambda: left @ right) == Traffic(4 * (3 * 8 + 8 * 5 + 3 * 5), 4 * (3 * 8 + 8 * 5))


def test_views_and_reserved_memory_move_nothing():
    states = torch.randn(4, 6)
    moved = traffic(lambda: (states.T, states[1:], states.view(3, 8), states.split(2), states.expand(2, 4, 6)))
    assert moved == Traffic(0, 0)
    assert traffic(lambda: torch.empty(100)) == Traffic(0, 0)


def test_what_the_request_made_itself_is_moved_but_was_not_there_to_touch():
    states = torch.randn(4, 8)
    assert traffic(lambda: states.relu().relu().relu()) == Traffic(3 * 2 * 4 * ROW, 4 * ROW)


def test_what_is_read_again_moves_again_and_is_touched_once():
    weight, states = torch.randn(8, 8), torch.randn(4, 8)
    twice = traffic(lambda: (states @ weight, states @ weight))
    assert twice == Traffic(2 * (4 + 8 + 4) * ROW, (4 + 8) * ROW)
    halves = traffic(lambda: (weight[:5].relu(), weight[3:].relu(), weight[6:].T.relu()))
    assert halves == Traffic(2 * (5 + 5 + 2) * ROW, 8 * ROW)


@pytest.mark.parametrize("look_up", [
    lambda table, rows: functional.embedding(rows, table),
    lambda table, rows: table[rows],
    lambda table, rows: table.index_select(0, rows),
])  # fmt: skip
def test_a_look_up_reads_the_rows_it_returns_and_touches_each_once(look_up):
    table, rows = torch.randn(1000, 8), torch.tensor([5, 2, 5])
    assert traffic(lambda: look_up(table, rows)) == Traffic(2 * 3 * ROW + 3 * 8, 2 * ROW + 3 * 8)


def test_rows_that_are_looked_up_and_then_read_whole_are_touched_once():
    table, rows = torch.randn(10, 8), torch.tensor([5, 2, -1])
    moved = traffic(lambda: (table[rows], table.relu()))
    assert moved == Traffic(2 * 3 * ROW + 3 * 8 + 2 * 10 * ROW, 10 * ROW + 3 * 8)


def test_where_it_is_not_rows_that_are_gathered_as_much_is_touched_as_comes_back_at_most():
    table, places = torch.randn(10, 8), torch.tensor([[1], [2]])
    assert traffic(lambda: table.gather(1, places)) == Traffic(2 * 2 * 4 + 2 * 8, 2 * 4 + 2 * 8)
    many = torch.zeros(10, 100, dtype=torch.int64)
    assert traffic(lambda: table.gather(1, many)).touched_bytes == 10 * ROW + 1000 * 8
    seen = torch.ones(10, dtype=torch.bool)
    assert traffic(lambda: table[seen.nonzero()[:, 0]]).touched_bytes == 10 * ROW + 10


def test_scattering_in_place_does_not_move_the_rest():
    scores, places = torch.randn(2, 1000), torch.tensor([[1], [2]])
    assert traffic(lambda: scores.scatter_(1, places, 0.0)) == Traffic(2 * 8 + 2 * 4, 2 * 8)
    least = torch.randn(2, 1)
    assert traffic(lambda: scores.scatter_(1, places, least)) == Traffic(2 * 8 + 2 * 4 + 2 * 4, 2 * 8 + 2 * 4)


def test_what_is_overwritten_is_not_read():
    target, source = torch.randn(4, 8), torch.randn(4, 8)
    assert traffic(lambda: target.copy_(source)) == Traffic(2 * 4 * ROW, 4 * ROW)
    assert traffic(target.zero_) == Traffic(4 * ROW, 0)
    assert traffic(lambda: target.add_(source)) == Traffic(3 * 4 * ROW, 2 * 4 * ROW)


def test_expanded_values_count_once():
    assert tensor_bytes(torch.randn(1, 8).expand(100, 8)) == ROW
    assert tensor_bytes(torch.randn(0, 8)) == 0
    assert tensor_bytes(torch.randn(3, 8).half()) == 3 * 8 * 2


@pytest.mark.parametrize(("ranges", "joined"), [
    ([], []),
    ([(4, 8)], [(4, 8)]),
    ([(4, 8), (0, 2)], [(0, 2), (4, 8)]),
    ([(4, 8), (0, 4), (6, 7), (7, 12)], [(0, 12)]),
    ([(0, 10), (2, 3), (10, 11), (20, 20)], [(0, 11), (20, 20)]),
])  # fmt: skip
def test_ranges_join_where_they_meet(ranges, joined):
    assert union(np.array(ranges, dtype=np.int64).reshape(-1, 2)).tolist() == [list(pair) for pair in joined]


def test_phases_have_their_own_traffic_and_share_what_both_touch():
    layer, states = nn.Linear(8, 8, bias=False), torch.randn(4, 8)

    def request():
        with phase("encode"):
            hidden = layer(states)
        with phase("rank"):
            layer(hidden)
        hidden.relu()

    counted = flops.count(request)
    assert counted.phase_traffic == {
        "encode": Traffic((4 + 8 + 4) * ROW, (4 + 8) * ROW),
        "rank": Traffic((4 + 8 + 4) * ROW, 8 * ROW),
    }
    assert counted.traffic == Traffic((2 * (4 + 8 + 4) + 2 * 4) * ROW, (4 + 8) * ROW)


@pytest.mark.parametrize("preset", ["compact", "t5-small"])
def test_a_one_pass_request_touches_its_weights_once_and_of_the_embeddings_what_it_looks_up(preset):
    recommender = build("sasrec", preset=preset)
    recommender.index(catalogue())
    history = walks(1)
    counted = flops.count_request(Subject("tiny", recommender, [history], 5, torch.device("cpu")))
    read = len(history[0].items)
    weights = sum(weight.nbytes for name, weight in recommender.named_parameters() if "wpe" not in name)
    positions = read * recommender.backbone.config.n_embd * 4
    touched = counted.traffic.touched_bytes
    assert weights + positions <= touched <= weights + positions + 64 * ITEMS, "inputs are small"
    assert counted.traffic.bytes > touched
