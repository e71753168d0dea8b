"""Counted operations against closed formulas, and against fvcore."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from bench.measure import flops
from bench.measure.fvcore_count import fvcore_flops
from bench.measure.subject import Subject
from bench.records.model import Unavailable
from models.backbones import Role, backbone_config, new_backbone
from models.phases import phase
from models.serving import Serving
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
    assert fvcore_flops(module, (states,)) == expected


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


class _Called(nn.Module):
    """A function as a module, for tracing."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *tensors):
        return self.function(*tensors)


class _SelfAttention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.whole = nn.MultiheadAttention(width, heads, batch_first=True)

    def forward(self, states):
        return self.whole(states, states, states, need_weights=False)[0]


def both(module, *tensors):
    """What the authority and fvcore count, without gaps."""
    counted = flops.count(lambda: module(*tensors))
    assert counted.uncounted == {}
    return counted.total, fvcore_flops(module, tensors)


@pytest.mark.parametrize(("kind", "gates"), [(nn.GRU, 3), (nn.LSTM, 4), (nn.RNN, 1)])
@pytest.mark.parametrize(("layers", "ways"), [(1, 1), (2, 2)])
def test_recurrent_networks_cost_each_gates_matrices_at_every_place(kind, gates, layers, ways):
    """The CPU decomposes a GRU, and runs each layer of an LSTM as one kernel."""
    network = kind(8, 16, layers, bidirectional=ways == 2, batch_first=True).eval()
    widths = [8, *[16 * ways] * (layers - 1)]
    expected = 2 * USERS * PLACES * ways * sum(gates * 16 * (width + 16) for width in widths)
    assert both(network, torch.randn(USERS, PLACES, 8)) == (expected, expected)


def encoder_layer(places, width, inner):
    return 2 * places * (4 * width**2 + 2 * width * inner) + attention(places, places, width)


def test_a_transformer_encoder_in_eval_mode_runs_as_one_kernel_a_layer_and_is_counted():
    layer = nn.TransformerEncoderLayer(16, 2, 40, batch_first=True)
    stack = nn.TransformerEncoder(layer, 2).eval()
    expected = 2 * USERS * encoder_layer(PLACES, 16, 40)
    assert both(stack, torch.randn(USERS, PLACES, 16)) == (expected, expected)
    trained = flops.count(lambda: stack.train()(torch.randn(USERS, PLACES, 16)))
    assert trained.total == expected, "operator by operator it is the same work"


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_padding_that_the_encoder_leaves_out_is_not_counted():
    stack = nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 2, 40, batch_first=True), 1).eval()
    padding = torch.arange(PLACES) >= torch.tensor([PLACES, 5, 2])[:, None]
    counted = flops.count(lambda: stack(torch.randn(3, PLACES, 16), src_key_padding_mask=padding))
    assert counted.total == sum(encoder_layer(places, 16, 40) for places in (PLACES, 5, 2))


def test_self_attention_in_eval_mode_runs_as_one_kernel_and_is_counted():
    expected = USERS * (2 * PLACES * 4 * 16**2 + attention(PLACES, PLACES, 16))
    assert both(_SelfAttention(16, 2).eval(), torch.randn(USERS, PLACES, 16)) == (expected, expected)


MATRIX, VECTOR, SQUARE = torch.randn(4, 5), torch.randn(5), torch.eye(4)
BATCH = torch.randn(3, 4, 4)


@pytest.mark.parametrize(("function", "tensors", "expected"), [
    (torch.mv, (MATRIX, VECTOR), 2 * 4 * 5),
    (torch.matmul, (MATRIX, VECTOR), 2 * 4 * 5),
    (torch.addmv, (torch.randn(4), MATRIX, VECTOR), 2 * 4 * 5),
    (torch.dot, (VECTOR, VECTOR), 2 * 5),
    (torch.vdot, (VECTOR, VECTOR), 2 * 5),
    (torch.addbmm, (SQUARE, BATCH, BATCH), 2 * 3 * 4 * 4 * 4),
])  # fmt: skip
def test_products_with_vectors_and_summed_ones_are_counted(function, tensors, expected):
    assert both(_Called(function), *tensors) == (expected, expected)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:torch.quantize_per_tensor")
@pytest.mark.skipif(torch.backends.quantized.engine == "none", reason="no kernels for quantised weights")
def test_a_linear_layer_with_packed_int8_weights_costs_what_it_costs_in_float():
    layer = torch.ao.quantization.quantize_dynamic(nn.Sequential(nn.Linear(8, 16)), {nn.Linear})
    counted = flops.count(lambda: layer(torch.randn(USERS, PLACES, 8)))
    assert counted.total == 2 * USERS * PLACES * 8 * 16


@pytest.mark.parametrize(("call", "operator"), [
    (torch.fft.rfft, "aten._fft_r2c.default"),
    (lambda states: torch.cumsum(states, 0), "aten.cumsum.default"),
    (lambda states: states.cumsum_(0), "aten.cumsum_.default"),
    (torch.linalg.inv, "aten.linalg_inv_ex.default"),
    (lambda states: states.softmax(-1), "aten._softmax.default"),
    (lambda states: functional.layer_norm(states, (4,)), "aten.native_layer_norm.default"),
    (lambda states: states.amax(1), "aten.amax.default"),
])  # fmt: skip
def test_operators_without_a_formula_are_listed(call, operator):
    states = torch.eye(4)
    assert flops.count(lambda: call(states)).uncounted == {operator: 1}


@pytest.mark.parametrize("call", [
    lambda states: torch.cat([states, torch.stack([states[0], states[1]])]),
    lambda states: functional.embedding(torch.tensor([2, 1]), states),
    lambda states: (states[torch.tensor([2])], states.index_select(0, torch.tensor([1]))),
    lambda states: states.gather(1, states.long()),
    lambda states: (states.clone(), states.half(), torch.empty_like(states).copy_(states), states.new_zeros(3)),
    lambda states: torch.zeros_like(states).scatter_(1, states.long(), states).fill_(2.0),
    lambda states: torch.where(states > 0, states, states.T).masked_fill_(states > 0, 1.0),
    lambda states: (functional.pad(states, (0, 1)), states.topk(2), states.sort(), states.repeat(2, 2)),
])  # fmt: skip
def test_what_only_moves_values_has_the_formula_zero(call):
    counted = flops.count(lambda: call(torch.eye(4)))
    assert (counted.uncounted, counted.total) == ({}, 0)


def test_views_elementwise_operators_and_integers_are_no_gaps():
    states, numbers = torch.randn(4, 4), torch.arange(4)
    counted = flops.count(lambda: ((states.T.relu() + 1).reshape(2, 8), numbers.cumsum(0), states @ states))
    assert counted.uncounted == {}
    assert counted.total == 2 * 4 * 4 * 4


def test_operators_are_counted_one_by_one_and_marks_of_phases_are_none():
    states = torch.randn(4, 4)

    def request():
        with phase("encode"):
            (states @ states).relu()

    assert flops.count(request).operators == 2


@pytest.mark.parametrize("name", ["popularity", "lite-llm4rec", "tiger"])
def test_a_request_is_counted_alike_whenever_it_is(name):
    """What only a first request does, such as bringing a trie to the device, is in none."""
    counted = []
    for _ in range(2):
        recommender = build(name, serving=Serving(beam_width=4 if name == "tiger" else None))
        recommender.index(catalogue())
        subject = Subject("tiny", recommender, [walks(2)], 5, torch.device("cpu"))
        counted += [flops.count_request(subject), flops.count_request(subject)]
    assert all(one == counted[0] for one in counted)
    assert counted[0].operators > 0
    assert set(counted[0].phase_traffic) == set(counted[0].phases)


def test_a_request_is_counted_per_user():
    recommender = build("sasrec")
    recommender.index(catalogue())
    subjects = [Subject("tiny", recommender, [walks(1) * users], 5, torch.device("cpu")) for users in (1, 2)]
    counts = [flops.count_request(subject) for subject in subjects]
    one, two = map(flops.opinions, subjects, counts)
    assert one.per_user == two.per_user > 0
    assert sum(counts[0].phases.values()) == one.per_user
    assert sum(counts[1].phases.values()) == 2 * two.per_user
    assert one.closed_form_per_user == one.forward_per_user == one.fvcore_per_user
    assert one.disagreement == 0


def test_without_a_closed_formula_there_are_two_opinions(monkeypatch):
    recommender = build("sasrec")
    recommender.index(catalogue())
    monkeypatch.setattr(recommender, "forward_flops", lambda inputs: None)
    subject = Subject("tiny", recommender, [walks(1)], 5, torch.device("cpu"))
    counted = flops.opinions(subject, flops.count_request(subject))
    assert isinstance(counted.closed_form_per_user, Unavailable)
    assert counted.disagreement == 0


def test_without_a_second_opinion_the_first_one_stands(monkeypatch):
    recommender = build("sasrec")
    recommender.index(catalogue())

    def untraceable(inputs):
        raise RuntimeError("no trace\nof it")

    monkeypatch.setattr(recommender, "forward_pass", untraceable)
    subject = Subject("tiny", recommender, [walks(1)], 5, torch.device("cpu"))
    counted = flops.opinions(subject, flops.count_request(subject))
    assert counted.per_user > 0
    assert counted.forward_per_user is None
    assert counted.fvcore_per_user == Unavailable(unavailable="fvcore cannot trace this forward pass: no trace of it")
