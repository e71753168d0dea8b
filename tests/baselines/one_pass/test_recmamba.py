"""A user's state moves by one step an event, and gives the list of the whole pass."""

import pytest
import torch

from bench.measure import flops
from bench.measure.subject import Subject
from models.catalogue import History
from models.errors import UserError
from models.serving import Serving
from tests.tiny import ITEMS, build, catalogue, walks

CPU = torch.device("cpu")
K = 12


def users():
    """Histories of every length from none to beyond the convolution's reach, one of them asked for by two users."""
    long = History(90, tuple(1 + 7 * number % ITEMS for number in range(35)))
    return [History(80, ()), History(81, (3,)), History(82, (4, 9)), long, History(91, long.items), *walks(6)]


def before(histories):
    return [History(one.user, one.items[:-1]) for one in histories if one.items]


def recmamba(**settings):
    """With weights that none of its parts begins with, so that padding and biases tell."""
    model = build("recmamba", **settings).double()
    make = torch.Generator().manual_seed(1)
    for weight in model.parameters():
        weight.data += 0.03 * torch.randn(weight.shape, generator=make, dtype=weight.dtype)
    model.index(catalogue())
    return model


@torch.inference_mode()
def answer(model, histories, k=K):
    return model.recommend(model.prepare(histories), k)


def assert_equal(found, expected):
    assert torch.equal(found.items, expected.items)
    assert (found.scores.nan_to_num(neginf=0) - expected.scores.nan_to_num(neginf=0)).abs().max() < 1e-9


@torch.inference_mode()
def query_of(model, histories):
    """What items are scored against, which recommendations round to float32."""
    inputs = model.prepare(histories)
    if "before" in inputs:
        return model._stepped(inputs, model.kept)
    return model.mamba.read(model._read(inputs["input_ids"]), inputs["last"])[0]


@pytest.mark.parametrize("preset", ["compact", "t5-small"])
def test_one_step_gives_what_the_whole_pass_gives(preset):
    model = recmamba(preset=preset)
    whole, listed = query_of(model, users()), answer(model, users())
    model.remember(before(users()))
    assert (query_of(model, users()) - whole).abs().max() < 1e-9
    assert_equal(answer(model, users()), listed)


def test_a_chain_of_steps_gives_what_the_whole_pass_gives():
    """The state is kept after each request: a stream of events costs a step each, and strays nowhere."""
    history = users()[3]
    model, other = recmamba(), recmamba()
    model.remember([History(history.user, history.items[:5])])
    costs = set()
    for events in range(6, len(history.items) + 1):
        sofar = [History(history.user, history.items[:events])]
        costs.add(flops_of(model, sofar))
        assert (query_of(model, sofar) - query_of(other, sofar)).abs().max() < 1e-9
    assert len(costs) == 1, "a step costs the same at every length"


def flops_of(model, histories):
    """Operations of one request, without ranking, which reads the same items ever after."""
    return flops.count(lambda: model.recommend(model.prepare(histories), K)).phases["encode"]


def test_who_is_not_remembered_is_read_whole_beside_those_who_are():
    model = recmamba()
    whole = answer(model, users())
    model.remember(before(users()[3:5]))
    assert_equal(answer(model, users()), whole)
    assert_equal(answer(model, users()), whole)


def test_what_was_forgotten_is_read_again(monkeypatch):
    monkeypatch.setattr("baselines.one_pass.recmamba.KEPT", 3)
    model = recmamba()
    whole = answer(model, users())
    model.remember(before(users()))
    assert_equal(answer(model, users()), whole)


def test_a_step_costs_what_its_formula_says_and_less_than_the_whole():
    model = recmamba()
    subject = Subject("tiny", model, [users()[3:5]], K, CPU)
    whole = flops.opinions(subject, flops.count_request(subject))
    model.remember(before(users()[3:5]))
    step = flops.opinions(subject, flops.count_request(subject))
    assert step.closed_form_per_user == step.forward_per_user == step.fvcore_per_user == step.per_user
    assert step.per_user < whole.per_user / 2
    strangers = model.prepare([*users()[5:7], users()[3]])
    cold = model.forward_flops(strangers)
    assert cold == flops.count(lambda: model.recommend(strangers, 1)).total
    assert cold > model.forward_flops(strangers), "from now on they are known"


def test_indexing_forgets_all_users_and_states_are_told_as_memory():
    model = recmamba()
    assert model.index_parts == {}
    model.remember(before(users()))
    assert model.index_bytes > 0
    model.index(catalogue())
    assert model.index_parts == {}
    assert "before" not in model.prepare(users())


def test_as_released_padding_is_read_and_costs_what_events_cost():
    model = build("recmamba", as_released=True, max_length=20)
    model.index(catalogue())
    short, long = ([History(1, tuple(range(1, length + 1)))] for length in (2, 20))
    assert flops_of(model, short) == flops_of(model, long)
    assert model.prepare(short)["input_ids"].tolist() == [[0] * 18 + [1, 2]]
    with pytest.raises(UserError, match="keeps no states"):
        model.remember(short)


def test_as_released_a_window_stands_where_a_history_stands_when_it_is_ranked():
    model = build("recmamba", as_released=True, max_length=6)
    batch = model.collate([model.examples(walks(5))[0]])
    assert batch["input_ids"].shape == batch["labels"].shape == (1, 6)
    assert batch["labels"][0, -1] != 0


def test_padding_is_not_read_otherwise():
    """A user's list is the same beside one of many events."""
    model = recmamba()
    assert_equal(answer(model, users()[2:3]), first_of(answer(model, users()[2:4])))


def test_wider_padding_as_of_a_captured_request_changes_nothing():
    model = recmamba()
    inputs = model.prepare(users())
    wide = model.prepare(users())
    wide["input_ids"] = torch.nn.functional.pad(wide["input_ids"], (0, 64))
    with torch.inference_mode():
        assert_equal(model.recommend(wide, K), model.recommend(inputs, K))


def first_of(found):
    return type(found)(found.items[:1], found.scores[:1])


def test_how_the_state_space_is_computed_stands_beside_the_results():
    assert "without a fused kernel" in build("recmamba").labels[0]


def test_the_bytes_of_a_ranker_are_told_beside_those_of_states():
    model = build("recmamba")
    model.serving = Serving(ranker="int8-rescored")
    model.index(catalogue())
    ranked = model.index_parts
    assert ranked["int8-rescored"] > 0
    model.remember(before(users()))
    assert model.index_parts == ranked | {"users' states": model.kept.bytes}
