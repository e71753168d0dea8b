"""Memory, phases and the facts about the machine."""

import statistics
import subprocess
import sys
import time
from types import SimpleNamespace
from unittest import mock

import pytest
import torch
from torch import nn

from bench.measure import machine, memory, nvml, phases
from models.phases import phase
from tests.breaking import ITEMS, Constant

CPU = torch.device("cpu")
CUDA = torch.device("cuda")
MIB = 2**20
linux = pytest.mark.skipif(sys.platform != "linux", reason="the peak resident set is read from Linux's /proc")


class Asked:
    """A subject whose request is what a test says."""

    device, recommender = CPU, Constant(ITEMS)

    def __init__(self, request):
        self._request = request

    def inputs(self, number):
        return {}

    def request(self, number):
        return self._request()


def touching(size):
    return Asked(lambda: torch.ones(size, dtype=torch.uint8))


def test_a_request_that_touches_64_mib_needs_64_mib():
    """The allocator says so to the byte, and each time."""
    found = memory.request_memory(touching(64 * MIB), weight_bytes=1000, alone=False)
    assert found.request_bytes == 64 * MIB
    assert found.peak_bytes == 1000 + 64 * MIB
    assert found.parts == {"weights": 1000, "activations": 64 * MIB}
    assert (found.process_bytes, found.resident_rises) == (None, [])
    assert memory.request_memory(touching(64 * MIB), weight_bytes=1000, alone=False) == found


def test_a_request_that_allocates_nothing_needs_nothing():
    assert memory.request_memory(Asked(lambda: None), weight_bytes=0, alone=False).request_bytes == 0


@linux
def test_where_a_case_is_served_alone_the_resident_set_is_drawn_several_times():
    found = memory.request_memory(touching(64 * MIB), weight_bytes=0, alone=True)
    assert len(found.resident_rises) == memory.DRAWS
    assert statistics.median(found.resident_rises) == pytest.approx(64 * MIB, rel=0.05)
    assert found.process_bytes > 64 * MIB


def test_where_the_peak_cannot_be_reset_the_process_is_unavailable_and_the_request_is_not(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "_CLEAR", tmp_path / "missing" / "clear_refs")
    found = memory.request_memory(touching(MIB), weight_bytes=0, alone=True)
    assert "peak resident memory needs Linux" in found.process_bytes.unavailable
    assert found.request_bytes == MIB


def test_on_cuda_memory_is_what_the_allocator_says(monkeypatch):
    cuda = mock.create_autospec(torch.cuda)
    cuda.memory_allocated.return_value, cuda.max_memory_allocated.return_value = 100, 175
    cuda.max_memory_reserved.return_value = 200
    monkeypatch.setattr(torch, "cuda", cuda)
    monkeypatch.setattr(memory.nvml, "process_bytes", lambda device, process: 900)
    asked = Asked(lambda: None)
    asked.device = CUDA
    found = memory.request_memory(asked, weight_bytes=9, alone=False)
    assert (found.peak_bytes, found.request_bytes) == (175, 75)
    assert (found.process_bytes, found.reserved_bytes) == (900, 200)
    cuda.reset_peak_memory_stats.assert_called_once_with(CUDA)


def test_what_is_allocated_is_followed_phase_by_phase_and_exactly():
    """Two mebibytes live through `rank`, in which one more comes and goes; 64 bytes are the allocator's grain."""

    def request():
        with phase("encode"):
            kept = torch.empty(2 * MIB, dtype=torch.uint8)
        with phase("rank"):
            torch.empty(MIB, dtype=torch.uint8)
        return kept[:0].clone()

    found = memory.allocated(request, device=CPU)
    assert found.peak == pytest.approx(3 * MIB, abs=256)
    assert list(found.phases) == ["encode", "rank"]
    assert found.phases["encode"] == pytest.approx(2 * MIB, abs=256)
    assert found.phases["rank"] == pytest.approx(3 * MIB, abs=256)
    assert memory.allocated(request, device=CPU) == found


def test_who_allocates_nothing_holds_nothing():
    assert memory.allocated(lambda: None, device=CPU) == memory.Allocated(0, {})


def test_what_a_process_holds_on_a_gpu_is_looked_up_by_its_number(monkeypatch):
    running = mock.create_autospec(nvml.pynvml.nvmlDeviceGetComputeRunningProcesses)
    running.return_value = [SimpleNamespace(pid=7, usedGpuMemory=5), SimpleNamespace(pid=8, usedGpuMemory=None)]
    monkeypatch.setattr(nvml.pynvml, "nvmlDeviceGetComputeRunningProcesses", running)
    monkeypatch.setattr(nvml, "handle", lambda device: "the GPU")
    assert nvml.process_bytes(CUDA, 7) == 5
    running.assert_called_with("the GPU")
    assert "a container hides its number" in nvml.process_bytes(CUDA, 8).unavailable
    assert "a container hides its number" in nvml.process_bytes(CUDA, 9).unavailable
    running.side_effect = nvml.pynvml.NVMLError(nvml.pynvml.NVML_ERROR_NOT_SUPPORTED)
    assert "does not tell" in nvml.process_bytes(CUDA, 7).unavailable


def test_shared_weights_count_once():
    first, second = nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False)
    second.weight = first.weight
    assert memory.weight_bytes(nn.ModuleList([first, second])) == 4 * 4 * 4
    module = nn.BatchNorm1d(3)
    assert memory.weight_bytes(module.half()) == 2 * 4 * 3 + 8, "buffers count, the step counter too"


def test_phases_are_timed_in_the_order_in_which_they_begin_and_repeats_add_up():
    def request():
        with phase("encode"):
            time.sleep(0.01)
        for step in (1, 2, 1):
            with phase(f"decode step {step}"):
                time.sleep(0.01)

    found = phases.phase_seconds(request, device=CPU, repeats=2)
    assert list(found) == ["encode", "decode step 1", "decode step 2"]
    assert 0.01 <= found["encode"] < 0.1
    assert 0.02 <= found["decode step 1"] < 0.2


def test_a_replayed_graph_has_no_phases():
    assert phases.phase_seconds(lambda: None, device=torch.device("cuda"), compiled=True) == {}


def test_a_request_without_phases_has_none():
    assert phases.phase_seconds(lambda: torch.ones(2) + 1, device=CPU, repeats=1) == {}


def test_the_machine_tells_its_cores_and_system():
    facts = machine.machine(CPU)
    assert facts["cores"] >= 1
    assert facts["system"]
    assert "GPU" not in facts
    assert machine.load_average() is None or machine.load_average() >= 0


def test_software_names_versions_and_what_is_missing(monkeypatch):
    monkeypatch.setattr(machine, "PACKAGES", ("torch", "no-such-package"))
    found = machine.software.__wrapped__()
    assert found["torch"] == torch.__version__
    assert found["no-such-package"] is None


def test_outside_git_there_is_no_commit(monkeypatch):
    failing = mock.Mock(side_effect=subprocess.CalledProcessError(128, "git"))
    monkeypatch.setattr(subprocess, "run", failing)
    assert machine.commit.__wrapped__() == (None, None)


def test_the_codes_identity_changes_with_uncommitted_changes(monkeypatch):
    monkeypatch.setattr(machine, "commit", lambda: ("abc", False))
    assert machine.code_identity.__wrapped__() == "abc"
    monkeypatch.setattr(machine, "commit", lambda: (None, None))
    assert machine.code_identity.__wrapped__() == "unversioned"
    monkeypatch.setattr(machine, "commit", lambda: ("abc", True))
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: SimpleNamespace(stdout=b"a change"))
    changed = machine.code_identity.__wrapped__()
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: SimpleNamespace(stdout=b"another"))
    assert changed.startswith("abc+")
    assert machine.code_identity.__wrapped__() != changed
