"""What SIGMA reads of a history, and what its settings change."""

import pytest
import torch

from baselines.one_pass.sigma import IN_PLACE
from bench.measure import flops
from models.catalogue import History
from tests.tiny import ITEMS, build, catalogue, walks

LONGEST = 20
K = 12


def sigma(**settings):
    model = build("sigma", max_length=LONGEST, **settings).double()
    model.index(catalogue())
    return model


def users():
    """Histories of every length from none to beyond the longest that is read."""
    return [
        History(length, tuple(1 + 7 * number % ITEMS for number in range(length))) for length in (0, 1, 4, 9, 12, 26)
    ]


@torch.inference_mode()
def query_of(model, histories):
    inputs = model.prepare(histories)
    return model._state(inputs["input_ids"], inputs["flipped"], inputs["last"])


def literal(model, history):
    """The released forward pass over all places, in its own order, for one user."""
    layer, items = model.layer, list(history.items[-LONGEST:])
    numbers = torch.tensor([items + [0] * (LONGEST - len(items))])
    turned = numbers.clone()
    cut = LONGEST - IN_PLACE
    turned[:, :cut] = numbers[:, :cut].flip(1)
    x, other = model.norm(model.items(numbers)), model.norm(model.items(turned))
    silu, sigmoid = torch.nn.functional.silu, torch.sigmoid
    one, two = x + layer.before_gate(x), other + layer.before_flipped_gate(other)
    first = layer.gate_silu(silu(one)) + layer.gate_sigmoid(sigmoid(one))
    second = layer.gate_silu(silu(two)) + layer.gate_sigmoid(sigmoid(first if model.settings.as_released else two))
    scanned, flipped = layer.mamba(x), layer.mamba(other)
    recurrent, _ = layer.gru(layer.conv(x.transpose(1, 2)).transpose(1, 2))
    shares = layer.shares if model.settings.as_released else layer.shares.softmax(0)
    mixed = shares[0] * (scanned * first + scanned) + shares[1] * (flipped * second + flipped) + shares[2] * recurrent
    hidden = layer.norm(layer.projection(mixed))
    hidden = layer.wide_norm(hidden + layer.narrow(torch.nn.functional.gelu(layer.wide(hidden))))
    return hidden[0, max(len(items) - 1, 0)]


@torch.no_grad()
@pytest.mark.parametrize("as_released", [True, False])
def test_places_behind_the_newest_event_are_left_out_and_change_nothing(as_released):
    model = sigma(as_released=as_released)
    torch.nn.init.normal_(model.norm.bias)  # so that padding is something to read
    found = query_of(model, users())
    for row, history in enumerate(users()):
        assert (found[row] - literal(model, history)).abs().max() < 1e-9


def test_training_computes_what_serving_does():
    model = sigma(dropout=0.0)
    queries = query_of(model, users())
    inputs = model.prepare(users())
    trained = model.train()._state(inputs["input_ids"], inputs["flipped"], inputs["last"])
    torch.testing.assert_close(trained.detach(), queries, atol=1e-9, rtol=0)


def test_the_newest_places_stay_and_padding_is_flipped_with_the_events_unless_asked():
    history = tuple(range(1, 8))
    fixed, by_length = sigma(), sigma(flip="by-length")
    assert fixed._flipped(history) == (0,) * 7, "a short history reads nothing but padding"
    assert fixed._flipped(tuple(range(1, 13))) == (0, 0, 0, *range(12, 3, -1)), "a longer one lacks its first events"
    assert by_length._flipped(history) == (2, 1, 3, 4, 5, 6, 7)
    whole = tuple(range(1, LONGEST + 1))
    assert fixed._flipped(whole) == by_length._flipped(whole) == (*range(15, 0, -1), *range(16, 21))


def test_a_short_histories_flipped_copy_matters_only_by_length():
    """In the released flip, what stands in a short history's copy is the same for all histories of its length."""
    one, other = History(0, (3, 4, 5, 6, 7, 8)), History(1, (9, 2, 5, 6, 7, 8))
    for flip, same in (("fixed", True), ("by-length", False)):
        model = sigma(flip=flip)
        first, second = (model.prepare([history])["flipped"] for history in (one, other))
        assert torch.equal(first, second) is same


def test_as_released_costs_all_places_whatever_the_history():
    short, long = [users()[1]], [users()[5]]
    for as_released in (True, False):
        model = sigma(as_released=as_released)
        costs = [flops.count(lambda one=one: model.recommend(model.prepare(one), K)).total for one in (short, long)]  # noqa: B023
        assert (costs[0] == costs[1]) is as_released


def test_an_example_is_a_prefix_and_the_item_behind_it():
    model = sigma()
    examples = model.examples(walks(3))
    batch = model.collate([examples[0], examples[1]])
    first = walks(1)[0].items
    assert batch["input_ids"][0, 0] == first[0]
    assert batch["targets"].tolist() == [first[1], first[2]]
    assert batch["last"].tolist() == [0, 1]
    assert batch["input_ids"].shape == batch["flipped"].shape == (2, 3), "the convolution looks one place ahead"
