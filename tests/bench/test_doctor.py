"""What is said of machines that are fit to measure on, and of those that are not."""

from unittest import mock

import pytest
import torch
from typer.testing import CliRunner

from bench import doctor
from bench.doctor import worst_of
from bench.measure import fitness
from bench.measure.energy import UNLOCK, CounterError
from bench.measure.fitness import Finding, FitnessLevel, examine

QUIET = {
    "proc/stat": "cpu 100 0 100 1000 0 0 0 0 0 0\ncpu0 1 2 3",
    "proc/meminfo": "MemAvailable: 33554432 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB",
    "proc/self/clear_refs": "",
    "sys/fs/cgroup/cpu.max": "max 100000",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "performance",
    "sys/devices/system/cpu/smt/active": "0",
}


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine's files, by what differs from a quiet one with eight cores; None takes a file away."""
    monkeypatch.setattr(fitness.os, "cpu_count", lambda: 8)
    monkeypatch.setattr(fitness.os, "sched_getaffinity", lambda _: range(8), raising=False)
    monkeypatch.setattr(fitness.os, "getloadavg", lambda: (0.1, 0.1, 0.1))
    monkeypatch.setattr(fitness, "_spread", lambda _: iter(()))

    def make(**changes):
        for name, text in (QUIET | changes).items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if text is not None:
                path.write_text(text)
        return tmp_path

    return make


def found(root, device="cpu"):
    return {finding.about: finding for finding in examine(torch.device(device), root=root) if finding.about != "energy"}


def test_a_quiet_machine_is_fit(machine):
    assert {finding.level for finding in found(machine()).values()} == {FitnessLevel.FIT}


@pytest.mark.parametrize(
    ("files", "about", "level", "words"),
    [
        (
            {"sys/fs/cgroup/cpu.max": "150000 100000"},
            "quota",
            FitnessLevel.FAULT,
            "after 1.5 cores' worth of each 100 ms",
        ),
        (
            {
                "sys/fs/cgroup/cpu.max": None,
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "50000",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
            },
            "quota",
            FitnessLevel.FAULT,
            "after 0.5 cores' worth of each 100 ms",
        ),
        ({"proc/meminfo": "MemAvailable: 1048576 kB"}, "memory", FitnessLevel.FAULT, "1.0 GiB"),
        (
            {"proc/meminfo": "MemAvailable: 9048576 kB\nSwapTotal: 4194304 kB\nSwapFree: 0 kB"},
            "memory",
            FitnessLevel.CAUTION,
            "4.0 GiB are swapped out",
        ),
        ({"proc/self/clear_refs": None}, "peak memory", FitnessLevel.CAUTION, "cannot be written"),
        (
            {"sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "powersave"},
            "clock",
            FitnessLevel.CAUTION,
            "governor is powersave",
        ),
        (
            {"sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": None},
            "clock",
            FitnessLevel.CAUTION,
            "a virtual machine",
        ),
        ({"sys/devices/system/cpu/cpufreq/boost": "1"}, "boost", FitnessLevel.CAUTION, "rises above its base"),
        ({"sys/devices/system/cpu/smt/active": "1"}, "threads", FitnessLevel.CAUTION, "share a core"),
    ],
)
def test_what_is_not_as_it_should_be_is_named_with_its_remedy(machine, files, about, level, words):
    finding = found(machine(**files))[about]
    assert finding.level is level
    assert words in finding.said
    assert finding.remedy


@pytest.mark.parametrize(
    "files",
    [
        {"sys/fs/cgroup/cpu.max": None},
        {
            "sys/fs/cgroup/cpu.max": None,
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
        },
    ],
)
def test_no_quota_is_no_finding(machine, files):
    assert "quota" not in found(machine(**files))


def energy_finding(root):
    (finding,) = (finding for finding in examine(torch.device("cpu"), root=root) if finding.about == "energy")
    return finding


PACKAGE = {
    "sys/class/powercap/intel-rapl:0/name": "package-0",
    "sys/class/powercap/intel-rapl:0/max_energy_range_uj": "262143328850",
}


def test_energy_can_be_measured_where_the_processors_counter_can_be_read(machine):
    finding = energy_finding(machine(**PACKAGE, **{"sys/class/powercap/intel-rapl:0/energy_uj": "123"}))
    assert (finding.level, finding.said) == (FitnessLevel.FIT, "can be measured, by RAPL")


def test_energy_that_only_root_may_read_has_a_remedy_of_its_own(machine, monkeypatch):
    root = machine(**PACKAGE)
    monkeypatch.setattr(fitness.energy, "_microjoules", mock.Mock(side_effect=CounterError(f"locked: {UNLOCK}")))
    finding = energy_finding(root)
    assert (finding.level, finding.remedy) == (FitnessLevel.CAUTION, UNLOCK)


def test_a_machine_without_counters_says_so(machine):
    finding = energy_finding(machine())
    assert finding.level is FitnessLevel.CAUTION
    assert "energy will be n/a: this machine shows no counter" in finding.said


@pytest.mark.parametrize(
    ("load", "level"), [(1.0, FitnessLevel.FIT), (5.0, FitnessLevel.CAUTION), (9.0, FitnessLevel.FAULT)]
)
def test_other_work_is_told_by_the_load_average(machine, monkeypatch, load, level):
    monkeypatch.setattr(fitness.os, "getloadavg", lambda: (load, 0.0, 0.0))
    assert found(machine())["load"].level is level


@pytest.mark.parametrize(
    ("cores", "level"), [(1, FitnessLevel.FAULT), (2, FitnessLevel.CAUTION), (8, FitnessLevel.FIT)]
)
def test_few_cores_are_a_fault_of_their_own(machine, monkeypatch, cores, level):
    monkeypatch.setattr(fitness.os, "sched_getaffinity", lambda _: range(cores), raising=False)
    findings = [one for one in examine(torch.device("cpu"), root=machine()) if one.about == "cores"]
    assert findings[-1].level is level
    assert (len(findings) == 2) is (cores < 8), "that not all of the machine's may be used is said beside it"


def test_time_that_the_host_takes_is_seen_between_two_readings(machine, monkeypatch):
    root = machine()

    def later(_):
        (root / "proc/stat").write_text("cpu 150 0 100 1000 0 0 0 50 0 0")
        return iter(())

    monkeypatch.setattr(fitness, "_spread", later)
    assert "gave 50.0% of the time to other" in found(root)["steal"].said


def test_equal_work_is_timed_on_one_thread_and_threads_are_given_back(monkeypatch):
    before = torch.get_num_threads()
    seen, multiply = set(), torch.mm
    monkeypatch.setattr(fitness.torch, "mm", lambda *both: seen.add(torch.get_num_threads()) or multiply(*both))
    (finding,) = fitness._spread(0.0)
    assert finding.about == "spread"
    assert "longer in the slowest twentieth" in finding.said
    assert seen == {1}
    assert torch.get_num_threads() == before


def test_the_gravest_level_is_the_verdict():
    levels = [FitnessLevel.CAUTION, FitnessLevel.FAULT, FitnessLevel.FIT]
    assert worst_of([Finding("this", level, "that") for level in levels]) is FitnessLevel.FAULT
    assert worst_of([Finding("this", FitnessLevel.FIT, "that")]) is FitnessLevel.FIT


@pytest.mark.parametrize("level", FitnessLevel)
def test_the_command_prints_a_verdict_and_only_a_fault_fails(monkeypatch, level):
    monkeypatch.setattr(doctor, "examine", lambda *_, **__: [Finding("this", level, "what is", "what to do")])
    result = CliRunner().invoke(doctor.app, ["--device", "cpu"])
    assert result.exit_code == (level is FitnessLevel.FAULT)
    assert doctor.VERDICTS[level] in result.stdout
    assert "what to do" in result.stdout


def test_this_machine_is_examined_without_a_traceback():
    result = CliRunner().invoke(doctor.app, ["--device", "cpu", "--seconds", "0.1"])
    assert result.exit_code in (0, 1)
    assert "cores" in result.stdout
    assert "This machine" in result.stdout
