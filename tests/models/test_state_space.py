"""The scan of a Mamba layer against that of transformers, and one step against the whole pass."""

import pytest
import torch

from models.state_space import StateSpace, _Scan

USERS, PLACES, WIDTH, STATE = 3, 9, 8, 4
CPU = torch.device("cpu")


@pytest.fixture
def layer():
    torch.manual_seed(0)
    return StateSpace(WIDTH, state=STATE)


def read(seed=1, dtype=torch.float64):
    return torch.randn(USERS, PLACES, WIDTH, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def test_gradients_of_the_scan_are_right():
    torch.manual_seed(0)
    inner = 5
    steps, added = torch.rand(2, 4, inner, dtype=torch.float64), torch.randn(2, 4, inner, dtype=torch.float64)
    decay = -torch.rand(STATE, inner, dtype=torch.float64)
    into, out_of = torch.randn(2, 2, 4, STATE, dtype=torch.float64)
    assert torch.autograd.gradcheck(_Scan.apply, [one.requires_grad_() for one in (steps, added, decay, into, out_of)])


@pytest.mark.parametrize("block", [1, 2 * STATE * 2 * WIDTH, 1 << 17], ids=["one user", "two users", "all at once"])
def test_outputs_and_gradients_are_those_of_transformers(layer, block, monkeypatch):
    monkeypatch.setattr("models.state_space.BLOCK", block)
    states = read(dtype=torch.float32).requires_grad_()
    ours, theirs = layer(states), layer.mixer(states)
    torch.testing.assert_close(ours, theirs, atol=1e-7, rtol=1e-5)
    weights = list(layer.parameters())
    found, expected = (torch.autograd.grad((one**2).sum(), [states, *weights]) for one in (ours, theirs))
    torch.testing.assert_close(found, expected, atol=1e-8, rtol=1e-4)
    with torch.no_grad():
        newest, _ = layer.read(states, torch.full((USERS,), PLACES - 1))
    torch.testing.assert_close(newest, ours[:, -1], atol=1e-7, rtol=1e-5)


@torch.no_grad()
def test_the_newest_output_is_that_of_all_whatever_stands_behind_it(layer):
    layer, states, last = layer.double(), read(), torch.tensor([8, 2, 0])
    found, _ = layer.read(states, last)
    assert (found - layer(states)[torch.arange(USERS), last]).abs().max() < 1e-12
    states[1, 3:] = 100
    states[2, 1:] = torch.nan
    again, _ = layer.read(states.nan_to_num(7), last)
    assert torch.equal(found, again)


@torch.no_grad()
@pytest.mark.parametrize("cut", [1, 2, 5])
def test_going_on_from_a_state_gives_what_the_whole_gives(layer, cut):
    """Rows of different lengths, each cut at a place of its own; a state of fewer places than the convolution reads."""
    layer, states = layer.double(), read()
    whole = layer(states)
    _, state = layer.read(states, torch.full((USERS,), cut - 1))
    for place in range(cut, PLACES):
        found, state = layer.read(states[:, place : place + 1], torch.zeros(USERS, dtype=torch.int64), state)
        assert (found - whole[:, place]).abs().max() < 1e-12


@torch.no_grad()
def test_a_state_in_bfloat16_is_kept_in_float32(layer):
    layer = layer.bfloat16()
    states = read(dtype=torch.bfloat16)
    found, state = layer.read(states, torch.full((USERS,), PLACES - 1))
    assert (found.dtype, state.window.dtype, state.space.dtype) == (torch.bfloat16, torch.bfloat16, torch.float32)
    assert layer.nothing(2, states).space.dtype == torch.float32


def test_time_steps_begin_where_mambas_do(layer):
    """Transformers draws its own biases as zeros; here steps begin between a thousandth and a tenth."""
    layer.mixer.dt_proj.bias.data.zero_()
    layer.initialise()
    steps = torch.nn.functional.softplus(layer.mixer.dt_proj.bias)
    assert ((steps > 0.9e-3) & (steps < 0.11)).all()
