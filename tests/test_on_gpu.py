"""What only a GPU can show: the same lists as on a CPU, memory to the byte, energy and phases of the device."""

import pytest
import torch

from bench.measure import energy, memory, phases
from bench.measure.subject import Subject
from bench.records.cost import Memory
from bench.records.load import Slo
from bench.service.arrivals import poisson
from bench.service.service import Service
from models import registry
from models.int8 import round_weights
from models.serving import Serving
from models.trainable import TrainableRecommender
from tests.tiny import ITEMS, build, catalogue, walks

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")

NAMES = sorted(registry.available())
ATTENTION = 1e-4
"""How far sums may differ by the order in which two devices add."""


def subject(name, device, *, decoder=None, int8=False):
    recommender = build(name, serving=Serving(decoder=decoder, beam_width=8) if decoder else None)
    if int8:
        round_weights(recommender)
    recommender.to(device).index(catalogue())
    return Subject(name, recommender, [walks(6), walks(6, seed=1)], 5, torch.device(device), ITEMS)


def decoder_of(name):
    return next((decoder for decoder in registry.load(name).decoders if decoder == "exact"), None)


@pytest.mark.parametrize("int8", [False, True], ids=["float32", "int8"])
@pytest.mark.parametrize("name", NAMES)
def test_a_gpu_gives_the_lists_of_a_cpu(name, int8):
    if int8 and not issubclass(registry.load(name), TrainableRecommender):
        pytest.skip("has no weights to round")
    here, there = (subject(name, device, decoder=decoder_of(name), int8=int8).request(0) for device in ("cpu", "cuda"))
    tolerance = 0.05 if int8 else ATTENTION
    torch.testing.assert_close(there.scores, here.scores, atol=tolerance, rtol=tolerance)
    gaps = (here.scores[:, :-1] - here.scores[:, 1:]).abs() > 2 * tolerance
    clear = torch.cat([gaps, torch.zeros_like(gaps[:, :1])], 1) & torch.cat([torch.ones_like(gaps[:, :1]), gaps], 1)
    assert torch.equal(there.items[clear], here.items[clear])


@pytest.mark.parametrize("name", NAMES)
def test_memory_has_parts_and_phases_that_its_peak_holds(name):
    one = subject(name, "cuda", decoder=decoder_of(name))
    one.request(0)
    weights = memory.weight_bytes(one.recommender)
    found = memory.request_memory(one, weight_bytes=weights, alone=False)
    assert isinstance(found, Memory)
    assert 0 < found.request_bytes <= found.peak_bytes
    assert found.peak_bytes >= weights
    assert all(value >= 0 for value in found.parts.values())


def test_energy_is_read_from_the_device():
    one = subject("sasrec", "cuda")
    found = energy.request_energy(lambda: one.request(0), users=6, device=one.device)
    if not isinstance(found, energy.Energy):
        pytest.skip(found.unavailable)
    assert found.source == "NVML"
    assert 0 < found.idle_power_w < 2000
    assert found.joules_per_1000_users > 0


@pytest.mark.parametrize("captured", [False, True])
def test_a_service_gives_the_lists_of_single_requests(captured):
    asked = subject("lite-llm4rec", "cuda")
    asked.recommender.serving = Serving(captured=captured)
    asked.recommender.index(catalogue())
    with Service(asked, workers=1, largest=8) as service:
        heard = service.ask(poisson(500, count=200, seed=0), Slo(), window_s=0.002, largest=8)
    assert (heard.ok == 1).all()
    for place, (items, _) in heard.lists.items():
        alone = Subject("one", asked.recommender, [[service.users[place]]], 5, asked.device, ITEMS).request(0)
        assert items.tolist() == alone.items[0].tolist()


@pytest.mark.parametrize("name", ["lite-llm4rec", "tiger"])
def test_phases_are_seconds_of_the_device(name):
    one = subject(name, "cuda", decoder=decoder_of(name))
    one.request(0)
    found = phases.phase_seconds(lambda: one.request(0), device=one.device)
    assert found
    assert all(0 <= seconds < 1 for seconds in found.values())
    assert sum(found.values()) > 0
