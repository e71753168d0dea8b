"""Counted operations against closed formulas, and against fvcore."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from bench.measure import flops
from bench.measure.subject import Subject
from bench.results.record import Unavailable
from models.backbones import Role, backbone_config, new_backbone
from models.recommender import phase
from tests.tiny import build, catalogue, walks

USERS, PLACES = 3, 7


def attention(queries, keys, width):
    """Both products of attention, query by key and weights by value, over all heads."""
    return 2 * 2 * queries * keys * width


def test_a_stack_of_linear_layers_costs_two_operations_a_weight_and_row():
    stack = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4, bias=False))
    counted = flops.count(lambda: stack(torch.randn(USERS, PLACES, 8)))
    assert counted.total == 2 * USERS * PLACES * (8 * 16 + 16 * 4)
    assert counted.phases == {}


@pytest.mark.parametrize("attention_kernel", ["eager", "sdpa"])
def test_a_t5_encoder_costs_its_projections_attention_and_feed_forward(attention_kernel):
    """The same count from both attention kernels, of which torch's own counter misses one on CPUs."""
    config = backbone_config("compact", vocab_size=20)
    encoder = new_backbone(config, Role.ENCODER).eval()
    encoder.set_attn_implementation(attention_kernel)
    width, inner = config.d_model, config.num_heads * config.d_kv
    layer = 2 * PLACES * (4 * width * inner + 2 * width * config.d_ff) + attention(PLACES, PLACES, inner)
    states = torch.randn(USERS, PLACES, width)
    counted = flops.count(lambda: encoder(inputs_embeds=states))
    assert counted.total == USERS * config.num_layers * layer


@pytest.mark.parametrize("attention_kernel", ["eager", "sdpa"])
def test_a_llama_with_a_head_costs_its_projections_attention_gated_mlp_and_head(attention_kernel):
    """Causal attention is counted whole, not halved."""
    config = backbone_config("compact-causal", vocab_size=50)
    model = new_backbone(config, Role.DECODER_ONLY).eval()
    model.set_attn_implementation(attention_kernel)
    width = config.hidden_size
    layer = 2 * PLACES * (4 * width**2 + 3 * width * config.intermediate_size) + attention(PLACES, PLACES, width)
    head = 2 * PLACES * width * config.vocab_size
    counted = flops.count(lambda: model(torch.ones(USERS, PLACES, dtype=torch.int64), use_cache=False))
    assert counted.total == USERS * (config.num_hidden_layers * layer + head)


class _Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.LayerNorm(32)
        self.into = nn.Linear(32, 96)
        self.out = nn.Linear(32, 32)

    def forward(self, states):
        heads = self.into(self.norm(states)).unflatten(-1, (3, 4, 8)).permute(2, 0, 3, 1, 4)  # [3, B, H, S, D]
        mixed = functional.scaled_dot_product_attention(*heads, is_causal=True)
        return self.out(mixed.transpose(1, 2).flatten(2))


def test_twice_fvcores_count_with_the_attention_handle_is_ours():
    module, states = _Attention().eval(), torch.randn(USERS, PLACES, 32)
    expected = USERS * (2 * PLACES * (32 * 96 + 32 * 32) + attention(PLACES, PLACES, 32))
    assert flops.count(lambda: module(states)).total == expected
    assert flops.fvcore_flops(module, (states,)) == expected


def test_phases_add_up_and_come_in_the_order_in_which_they_begin():
    first, second = nn.Linear(4, 8), nn.Linear(8, 2)

    def request():
        states = torch.randn(1, 4)
        for _ in range(2):
            with phase("encode"):
                hidden = first(states)
            with phase("rank"):
                second(hidden)

    counted = flops.count(request)
    assert list(counted.phases.items()) == [("encode", 2 * 2 * 4 * 8), ("rank", 2 * 2 * 8 * 2)]
    assert sum(counted.phases.values()) == counted.total


def test_a_gru_is_counted_since_the_cpu_decomposes_it():
    gru = nn.GRU(8, 16, batch_first=True).eval()
    counted = flops.count(lambda: gru(torch.randn(USERS, PLACES, 8)))
    assert counted.total == 2 * USERS * PLACES * 3 * 16 * (8 + 16)


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="without oneDNN an LSTM is decomposed and counted")
def test_an_lstm_runs_as_one_kernel_without_a_formula_which_is_said():
    lstm = nn.LSTM(8, 16, batch_first=True).eval()
    counted = flops.count(lambda: lstm(torch.randn(USERS, PLACES, 8)))
    assert counted.uncounted["aten.mkldnn_rnn_layer.default"] == 1


@pytest.mark.parametrize(("call", "operator"), [
    (torch.fft.rfft, "aten._fft_r2c.default"),
    (lambda states: torch.cumsum(states, 0), "aten.cumsum.default"),
    (torch.linalg.inv, "aten.linalg_inv_ex.default"),
])  # fmt: skip
def test_operators_without_a_formula_are_listed(call, operator):
    states = torch.eye(4)
    assert flops.count(lambda: call(states)).uncounted == {operator: 1}


def test_views_elementwise_operators_and_integers_are_no_gaps():
    states, numbers = torch.randn(4, 4), torch.arange(4)
    counted = flops.count(lambda: ((states.T.relu() + 1).reshape(2, 8), numbers.cumsum(0), states @ states))
    assert counted.uncounted == {}
    assert counted.total == 2 * 4 * 4 * 4


def test_a_request_is_counted_per_user():
    recommender = build("sasrec")
    recommender.index(catalogue())
    one, two = (
        flops.request_flops(Subject("tiny", recommender, [walks(1) * users], 5, torch.device("cpu")))
        for users in (1, 2)
    )
    assert one[0].per_user == two[0].per_user > 0
    assert one[1] == two[1]
    assert sum(one[1].values()) == one[0].per_user


def test_without_a_second_opinion_the_first_one_stands(monkeypatch):
    recommender = build("sasrec")
    recommender.index(catalogue())

    def untraceable(inputs):
        raise RuntimeError("no trace\nof it")

    monkeypatch.setattr(recommender, "forward_pass", untraceable)
    counted, _ = flops.request_flops(Subject("tiny", recommender, [walks(1)], 5, torch.device("cpu")))
    assert counted.per_user > 0
    assert counted.forward_per_user is None
    assert counted.fvcore_per_user == Unavailable(unavailable="fvcore cannot trace this forward pass: no trace of it")
