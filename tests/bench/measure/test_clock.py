"""The clock of a GPU, without one."""

from types import SimpleNamespace
from unittest import mock

import pytest
import torch

from bench.measure.clock import Clock

CUDA = torch.device("cuda")


@pytest.fixture
def gpu(monkeypatch):
    """CUDA as it answers on a machine with a GPU of 100 bytes of L2 cache, whose events lie 3 ms apart."""
    cuda = mock.create_autospec(torch.cuda)
    cuda.Event.return_value.elapsed_time.return_value = 3.0
    cuda.get_device_properties.return_value = SimpleNamespace(L2_cache_size=100)
    monkeypatch.setattr(torch, "cuda", cuda)
    return cuda


def test_device_time_is_that_between_events_and_the_device_is_waited_for(gpu):
    result, timed = Clock(CUDA).time(lambda: "done")
    assert result == "done"
    assert timed.device_s == pytest.approx(0.003)
    assert gpu.synchronize.call_count == 2
    assert gpu.Event.call_args == mock.call(enable_timing=True)


def test_the_cache_is_overwritten_before_a_call_where_that_is_asked_for(gpu, monkeypatch):
    filling = mock.Mock()
    empty = mock.Mock(return_value=filling)
    monkeypatch.setattr(torch, "empty", empty)
    order = mock.Mock()
    order.attach_mock(filling, "filling")
    Clock(CUDA, flush=True).time(order.call)
    assert empty.call_args == mock.call(200, dtype=torch.uint8, device=CUDA)
    assert [name for name, _, _ in order.mock_calls] == ["filling.zero_", "call"]


def test_on_a_cpu_there_is_nothing_to_overwrite():
    assert Clock(torch.device("cpu"), flush=True).time(lambda: 5)[0] == 5
