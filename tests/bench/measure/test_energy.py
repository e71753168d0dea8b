"""Energy from counters that are slower than requests, on made-up devices whose draw is known."""

from types import SimpleNamespace
from unittest import mock

import pynvml
import pytest
import torch

from bench.measure import energy, nvml
from bench.measure.energy import UPDATES, Rapl, find_counter, request_energy
from bench.records.model import Unavailable

CPU = torch.device("cpu")
CUDA = torch.device("cuda")
REQUEST_S, BUSY_W, IDLE_W = 0.01, 300.0, 60.0


class Device:
    """Draws 60 W, and 300 W while it answers; what it shows moves every 0.1 s of a time of its own."""

    def __init__(self, *, period_s=0.1):
        self.now = self.drawn = self.shown = 0.0
        self.period_s = self.moves_at = period_s
        self.requests = 0
        self.told = lambda: None

    def pass_time(self, seconds, watts):
        end = self.now + seconds
        while self.moves_at <= end:
            self.drawn += watts * (self.moves_at - self.now)
            self.now, self.shown = self.moves_at, self.drawn
            self.moves_at += self.period_s
            self.told()
        self.drawn += watts * (end - self.now)
        self.now = end

    def sleep(self, seconds):
        assert seconds > 0, "waiting must not spin"
        self.pass_time(seconds, IDLE_W)

    def answer(self, seconds=REQUEST_S):
        self.requests += 1
        self.pass_time(seconds, BUSY_W)


@pytest.fixture
def device(monkeypatch):
    made = Device()
    monkeypatch.setattr(energy, "time", SimpleNamespace(perf_counter=lambda: made.now, sleep=made.sleep))
    return made


@pytest.fixture
def gpu(monkeypatch, device):
    """NVML as it answers on a machine with one GPU, which is `device`."""
    asked = ["nvmlInit", "nvmlDeviceGetHandleByUUID", "nvmlDeviceGetTotalEnergyConsumption", "nvmlDeviceGetMigMode"]
    functions = {name: mock.create_autospec(getattr(pynvml, name)) for name in asked}
    fake = SimpleNamespace(**vars(pynvml) | functions)
    fake.nvmlDeviceGetTotalEnergyConsumption.side_effect = lambda _: int(device.shown * 1000)
    fake.nvmlDeviceGetMigMode.side_effect = pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
    monkeypatch.setattr(nvml, "pynvml", fake)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: SimpleNamespace(uuid="1234"))
    monkeypatch.setattr(torch.cuda, "synchronize", mock.Mock())
    return fake


@pytest.fixture
def packages(tmp_path, device):
    """A machine with two packages that share the draw of `device` and wrap around at 40 J, and what is no package."""
    names = {"intel-rapl:0": "package-0", "intel-rapl:0:0": "core", "intel-rapl:1": "package-1", "intel-rapl:2": "psys"}
    for folder, name in names.items():
        path = tmp_path / "sys/class/powercap" / folder
        path.mkdir(parents=True)
        (path / "name").write_text(f"{name}\n")
        (path / "max_energy_range_uj").write_text("40000000\n")

    def show():
        for path in (tmp_path / "sys/class/powercap").iterdir():
            (path / "energy_uj").write_text(f"{int(device.shown / 2 * 1e6) % 40_000_000}\n")

    device.told = show
    show()
    return tmp_path


def test_joules_are_the_counters_difference_over_all_users_of_the_window(gpu, device):
    found = request_energy(device.answer, users=4, device=CUDA)
    gpu.nvmlDeviceGetHandleByUUID.assert_called_once_with("GPU-1234")
    assert found.source == "NVML"
    assert found.joules_per_1000_users == pytest.approx(BUSY_W * REQUEST_S / 4 * 1000, rel=0.01)
    assert found.power_w == pytest.approx(BUSY_W, rel=0.01)


def test_what_is_drawn_without_requests_stands_beside(gpu, device):
    assert request_energy(device.answer, users=4, device=CUDA).idle_power_w == pytest.approx(IDLE_W, rel=0.05)


def test_the_window_lasts_until_the_counter_has_moved_often_enough(gpu, device):
    device.period_s = 0.3
    found = request_energy(device.answer, users=1, device=CUDA)
    assert found.updates == UPDATES
    assert found.window_s == pytest.approx(UPDATES * 0.3, rel=0.05)


def test_a_fast_counter_does_not_make_the_window_short(gpu, device):
    device.period_s = 0.001
    found = request_energy(device.answer, users=1, device=CUDA, least_s=1.0)
    assert found.window_s == pytest.approx(1.0, rel=0.05)
    assert found.updates > UPDATES


def test_moves_during_a_long_request_count(gpu, device):
    found = request_energy(lambda: device.answer(3.0), users=1, device=CUDA)
    assert device.requests == 1
    assert found.updates == pytest.approx(30, abs=2)
    assert found.joules_per_1000_users == pytest.approx(BUSY_W * 3.0 * 1000, rel=0.05)


def test_the_gpu_is_synchronised_before_the_first_and_the_last_reading(gpu, device):
    order = mock.Mock()
    order.attach_mock(torch.cuda.synchronize, "synchronize")
    order.attach_mock(gpu.nvmlDeviceGetTotalEnergyConsumption, "read")
    request_energy(device.answer, users=1, device=CUDA)
    names = [call[0] for call in order.mock_calls]
    assert names[-2:] == ["synchronize", "read"]
    assert names.count("synchronize") == 1 + device.requests


def test_a_counter_that_stands_still_is_no_zero_and_costs_no_request(gpu, device):
    gpu.nvmlDeviceGetTotalEnergyConsumption.side_effect = None
    gpu.nvmlDeviceGetTotalEnergyConsumption.return_value = 5
    found = request_energy(device.answer, users=1, device=CUDA)
    assert found.unavailable == "the energy counter moved 0 times in 10 s without requests; 20 are needed for a number"
    assert device.requests == 0


def test_a_counter_that_stands_still_while_requests_run_is_no_zero(gpu, device):
    gpu.nvmlDeviceGetTotalEnergyConsumption.side_effect = lambda _: 5 if device.requests else int(device.shown * 1000)
    found = request_energy(device.answer, users=1, device=CUDA)
    assert found.unavailable == "the energy counter moved 0 times in 30 s of requests; 20 are needed for a number"


def test_a_window_too_short_for_the_counter_gives_no_number(gpu, device):
    found = request_energy(device.answer, users=1, device=CUDA, least_s=0.1, most_s=1.0)
    assert "moved 10 times in 1 s" in found.unavailable


def test_a_gpu_without_a_counter_says_so(gpu, device):
    gpu.nvmlDeviceGetTotalEnergyConsumption.side_effect = pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
    found = request_energy(device.answer, users=1, device=CUDA)
    assert found.unavailable.startswith("NVML cannot read this GPU's energy: Not Supported")


def test_a_gpu_that_is_lost_while_it_is_read_says_so(gpu, device):
    gpu.nvmlDeviceGetTotalEnergyConsumption.side_effect = [1, 2, pynvml.NVMLError(pynvml.NVML_ERROR_GPU_IS_LOST)]
    assert "GPU is lost" in request_energy(device.answer, users=1, device=CUDA).unavailable


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ("nvmlInit", pynvml.NVML_ERROR_LIBRARY_NOT_FOUND),
        ("nvmlDeviceGetHandleByUUID", pynvml.NVML_ERROR_NOT_FOUND),
    ],
)
def test_a_gpu_that_nvml_does_not_know_has_no_energy(gpu, device, asked, code):
    getattr(gpu, asked).side_effect = pynvml.NVMLError(code)
    assert "NVML does not find this GPU" in request_energy(device.answer, users=1, device=CUDA).unavailable


def test_a_gpu_in_parts_has_no_energy_because_all_parts_share_its_counter(gpu, device):
    gpu.nvmlDeviceGetMigMode.side_effect = None
    gpu.nvmlDeviceGetMigMode.return_value = [pynvml.NVML_DEVICE_MIG_ENABLE, pynvml.NVML_DEVICE_MIG_ENABLE]
    assert "MIG" in request_energy(device.answer, users=1, device=CUDA).unavailable


def test_on_a_cpu_all_packages_count_once_across_wrap_arounds(packages, device):
    found = request_energy(device.answer, users=4, device=CPU, root=packages)
    assert found.source == "RAPL"
    assert device.drawn > 10 * 40, "each package wraps around several times"
    assert found.joules_per_1000_users == pytest.approx(BUSY_W * REQUEST_S / 4 * 1000, rel=0.01)
    assert found.idle_power_w == pytest.approx(IDLE_W, rel=0.05)


def test_a_wrap_around_is_not_lost(tmp_path):
    (tmp_path / "max_energy_range_uj").write_text("1000000")
    (tmp_path / "energy_uj").write_text("900000")
    counter = Rapl([tmp_path])
    (tmp_path / "energy_uj").write_text("100000")
    assert counter.joules() == pytest.approx(0.2)
    (tmp_path / "energy_uj").write_text("150000")
    assert counter.joules() == pytest.approx(0.25)


def test_a_cpu_without_counters_says_so_and_is_not_asked_anything(tmp_path):
    call = mock.Mock()
    found = request_energy(call, users=1, device=CPU, root=tmp_path)
    assert found == Unavailable(unavailable="this machine shows no counter of the processor's energy (RAPL)")
    call.assert_not_called()


def test_counters_that_only_root_may_read_come_with_the_remedy(packages, monkeypatch):
    monkeypatch.setattr(energy.Path, "read_text", mock.Mock(side_effect=PermissionError(13, "Permission denied")))
    monkeypatch.setattr(energy.proc, "read", lambda _: "package-0")
    found = find_counter(CPU, packages)
    assert found.unavailable.endswith("sudo chmod a+r /sys/class/powercap/intel-rapl:*/energy_uj")


def test_a_counter_that_shows_nonsense_is_no_number(packages):
    (packages / "sys/class/powercap/intel-rapl:1/energy_uj").write_text("")
    assert "cannot be read" in find_counter(CPU, packages).unavailable


def test_what_a_request_raises_is_not_taken_for_the_counters_fault(packages, device):
    with pytest.raises(PermissionError):
        request_energy(mock.Mock(side_effect=PermissionError), users=1, device=CPU, root=packages)
