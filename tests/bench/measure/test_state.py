"""What the machine is said to do at a moment, and what is said to have disturbed an interval."""

import sys
from types import SimpleNamespace
from unittest import mock

import pynvml
import pytest
import torch

from bench.measure import nvml, state
from bench.measure.state import Watch, WatchedSpan, disturbed, machine_state
from bench.records.conditions import MachineState

CPU = torch.device("cpu")
CUDA = torch.device("cuda")
ASKED = (
    "nvmlInit",
    "nvmlDeviceGetHandleByUUID",
    "nvmlDeviceGetClockInfo",
    "nvmlDeviceGetTemperature",
    "nvmlDeviceGetPowerUsage",
    "nvmlDeviceGetCurrentClocksEventReasons",
    "nvmlDeviceGetCurrentClocksThrottleReasons",
)
REFUSED = pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)


def write(root, **files):
    """Write files below a root; a double underscore in a name stands for a slash."""
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.fixture
def gpu(monkeypatch):
    """NVML as it answers on a machine with one GPU."""
    functions = {name: mock.create_autospec(getattr(pynvml, name)) for name in ASKED}
    fake = SimpleNamespace(**vars(pynvml) | functions)
    clocks = {pynvml.NVML_CLOCK_SM: 1410, pynvml.NVML_CLOCK_MEM: 1593}
    fake.nvmlDeviceGetClockInfo.side_effect = lambda _, kind: clocks[kind]
    fake.nvmlDeviceGetTemperature.return_value = 61
    fake.nvmlDeviceGetPowerUsage.return_value = 250_500
    fake.nvmlDeviceGetCurrentClocksEventReasons.return_value = pynvml.nvmlClocksEventReasonNone
    monkeypatch.setattr(nvml, "pynvml", fake)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: SimpleNamespace(uuid="1234"))
    return fake


class Process:
    """A process on a machine of two cores whose times are what the test says."""

    def __init__(self, root):
        self.root = root
        self.wall_s = self.cpu_s = 0.0
        self.switches = 0
        self.ticks = [0] * 8
        self.run()

    def run(self, seconds=0.0, *, own=0.0, others=0.0, stolen=0.0, switches=0):
        """Let time pass; work is in core seconds."""
        self.wall_s += seconds
        self.cpu_s += own
        self.switches += switches
        for field, spent_s in ((0, own), (2, others), (7, stolen), (3, 2 * seconds - own - others - stolen)):
            self.ticks[field] += round(spent_s * 100)
        write(self.root, proc__stat=f"cpu  {' '.join(map(str, self.ticks))} 0 0\ncpu0 1 2 3\n")


@pytest.fixture
def process(tmp_path, monkeypatch):
    made = Process(tmp_path)
    times = SimpleNamespace(perf_counter=lambda: made.wall_s, process_time=lambda: made.cpu_s)
    usage = SimpleNamespace(RUSAGE_SELF=0, getrusage=lambda _: SimpleNamespace(ru_nivcsw=made.switches))
    monkeypatch.setattr(state, "time", times)
    monkeypatch.setattr(state, "resource", usage)
    return made


def test_a_cpus_state_is_its_load_clock_and_governor(tmp_path, monkeypatch):
    monkeypatch.setattr(state.machine, "load_average", lambda: 0.25)
    write(tmp_path, proc__cpuinfo="cpu MHz\t\t: 2000.0\nflags : fpu\ncpu MHz\t\t: 3000.0\n")
    write(tmp_path, sys__devices__system__cpu__cpu0__cpufreq__scaling_governor="powersave\n")
    assert machine_state(CPU, tmp_path) == MachineState(load_average=0.25, cpu_mhz=2500.0, governor="powersave")


def test_what_a_machine_does_not_tell_is_none(tmp_path, monkeypatch):
    monkeypatch.setattr(state.machine, "load_average", lambda: None)
    assert machine_state(CPU, tmp_path) == MachineState()


def test_a_gpus_state_is_its_clocks_heat_and_power(gpu, tmp_path):
    found = machine_state(CUDA, tmp_path)
    gpu.nvmlDeviceGetHandleByUUID.assert_called_once_with("GPU-1234")
    assert (found.gpu_sm_mhz, found.gpu_memory_mhz, found.gpu_temperature_c) == (1410, 1593, 61)
    assert found.gpu_power_w == 250.5
    assert found.gpu_throttled == []


def test_throttling_has_names_and_neither_idleness_nor_a_clock_that_was_set_is_throttling(gpu, tmp_path):
    gpu.nvmlDeviceGetCurrentClocksEventReasons.return_value = (
        pynvml.nvmlClocksEventReasonGpuIdle
        | pynvml.nvmlClocksEventReasonApplicationsClocksSetting
        | pynvml.nvmlClocksEventReasonSwPowerCap
        | pynvml.nvmlClocksEventReasonHwThermalSlowdown
    )
    assert machine_state(CUDA, tmp_path).gpu_throttled == ["power cap", "hardware thermal slowdown"]


def test_an_older_driver_is_asked_for_throttling_by_the_older_name(gpu, tmp_path):
    gpu.nvmlDeviceGetCurrentClocksEventReasons.side_effect = pynvml.NVMLError(pynvml.NVML_ERROR_FUNCTION_NOT_FOUND)
    gpu.nvmlDeviceGetCurrentClocksThrottleReasons.return_value = pynvml.nvmlClocksThrottleReasonHwSlowdown
    assert machine_state(CUDA, tmp_path).gpu_throttled == ["hardware slowdown"]


def test_what_a_gpu_refuses_is_none_and_the_rest_is_told(gpu, tmp_path):
    gpu.nvmlDeviceGetTemperature.side_effect = REFUSED
    gpu.nvmlDeviceGetPowerUsage.side_effect = REFUSED
    gpu.nvmlDeviceGetCurrentClocksEventReasons.side_effect = REFUSED
    gpu.nvmlDeviceGetCurrentClocksThrottleReasons.side_effect = REFUSED
    found = machine_state(CUDA, tmp_path)
    assert (found.gpu_sm_mhz, found.gpu_temperature_c, found.gpu_power_w, found.gpu_throttled) == (1410, None, None, [])


def test_a_gpu_that_nvml_does_not_know_tells_nothing(gpu, tmp_path):
    gpu.nvmlInit.side_effect = pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)
    assert machine_state(CUDA, tmp_path).gpu_sm_mhz is None
    assert Watch(CUDA, tmp_path)._gpu is None


def test_an_interval_is_what_happened_between_start_and_stop(process):
    watch = Watch(CPU, process.root)
    process.run(5.0, own=1.0, others=9.0, switches=100)
    watch.start()
    process.run(2.0, own=1.5, others=0.5, stolen=0.5, switches=3)
    found = watch.stop()
    assert found == WatchedSpan(2.0, involuntary_switches=3, other_cores=pytest.approx(0.25), stolen=pytest.approx(0.2))
    assert watch.last == found


def test_intervals_add_up_and_what_lies_between_them_does_not_count(process):
    watch = Watch(CPU, process.root)
    for others in (0.0, 1.0):
        with watch:
            process.run(1.0, own=1.0, others=others, switches=1)
        process.run(10.0, others=10.0, switches=50)
    assert watch.last.other_cores == pytest.approx(1.0)
    assert watch.total == WatchedSpan(2.0, involuntary_switches=2, other_cores=pytest.approx(0.5), stolen=0.0)


def test_an_interval_that_ends_in_an_error_counts(process):
    watch = Watch(CPU, process.root)

    def fail():
        with watch:
            process.run(1.0, others=0.5)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert watch.total.other_cores == pytest.approx(0.5)


def test_before_the_first_interval_there_is_nothing(process):
    watch = Watch(CPU, process.root)
    assert watch.last is None
    assert watch.total == WatchedSpan(0.0, None, None, None)
    with pytest.raises(RuntimeError, match="stop without start"):
        watch.stop()


def test_ticks_that_lag_behind_the_process_are_no_negative_work(process):
    with Watch(CPU, process.root) as watch:
        process.run(0.0151, own=0.0151)
    assert watch.last.other_cores == pytest.approx(0.0049 / 0.0151)
    with watch:
        process.run(0.0149, own=0.0149)
    assert watch.last.other_cores == 0.0


def test_throttling_at_either_end_of_an_interval_is_seen(gpu, process):
    gpu.nvmlDeviceGetCurrentClocksEventReasons.side_effect = [
        pynvml.nvmlClocksEventReasonSwPowerCap,
        pynvml.nvmlClocksEventReasonHwSlowdown | pynvml.nvmlClocksEventReasonSwPowerCap,
    ]
    with Watch(CUDA, process.root) as watch:
        process.run(1.0)
    assert watch.last.throttled == watch.total.throttled == ("power cap", "hardware slowdown")


def test_without_linux_nothing_is_told_and_nothing_is_disturbed(tmp_path):
    with Watch(CPU, tmp_path) as watch:
        pass
    assert watch.last == WatchedSpan(watch.last.wall_s, None, None, None)
    assert not disturbed(watch.last, spare_cores=0.0)


@pytest.mark.skipif(sys.platform != "linux", reason="/proc/stat is Linux's")
def test_this_machine_tells_an_interval():
    with Watch(CPU) as watch:
        sum(range(100_000))
    assert watch.last.wall_s > 0
    assert watch.last.involuntary_switches >= 0
    assert watch.last.other_cores >= 0
    assert 0 <= watch.last.stolen <= 1


@pytest.mark.parametrize(
    ("interval", "spare_cores", "said"),
    [
        (WatchedSpan(1.0, 500, 0.0, 0.0), 0.0, ""),
        (WatchedSpan(1.0, 0, 1.0, 0.0), 1.0, ""),
        (WatchedSpan(1.0, 0, 1.5, 0.0), 1.0, "other processes used 1.5 cores where 1 were spare"),
        (WatchedSpan(10.0, 0, 0.05, 0.0), 0.0, ""),
        (WatchedSpan(0.05, 0, 0.4, 0.0), 0.0, ""),
        (WatchedSpan(0.5, 0, 0.4, 0.0), 0.0, "other processes used 0.4 cores where 0 were spare"),
        (WatchedSpan(1.0, 0, 0.0, 0.02), 0.0, ""),
        (WatchedSpan(1.0, 0, 0.0, 0.05), 0.0, "the host gave 5% of the time to other virtual machines"),
        (WatchedSpan(0.1, 0, 0.0, 0.1), 0.0, ""),
        (WatchedSpan(1.0, 0, 0.0, 0.0, ("power cap",)), 0.0, "the GPU was throttled (power cap)"),
    ],
)
def test_what_disturbs_is_said_and_what_the_ticks_cannot_tell_does_not(interval, spare_cores, said):
    assert disturbed(interval, spare_cores=spare_cores) == said


def test_all_that_disturbs_is_said():
    interval = WatchedSpan(1.0, 0, 2.0, 0.5, ("power cap", "sync boost"))
    assert disturbed(interval, spare_cores=0.5).split("; ") == [
        "the host gave 50% of the time to other virtual machines",
        "other processes used 2.0 cores where 0.5 were spare",
        "the GPU was throttled (power cap, sync boost)",
    ]
