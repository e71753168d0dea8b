"""The machine's own peaks, measured with small matrices, and what follows from them."""

import json
import math
from types import SimpleNamespace
from unittest import mock

import pytest
import torch

from bench.ground.home import home
from bench.measure import peaks as module
from bench.measure.peaks import Peaks, bound_s, peaks, roofline

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _small(monkeypatch, tmp_path):
    """Measure in milliseconds, and keep what is measured in a folder of the test's own."""
    monkeypatch.setattr(module, "SIZES", {"cpu": (16, 32)})
    monkeypatch.setattr(module, "COPY_BYTES", {"cpu": 2**16})
    monkeypatch.setattr(module, "BUDGET_S", 0.001)
    monkeypatch.setenv("BENCH_HOME", str(tmp_path))


@pytest.fixture
def measured(monkeypatch):
    """The dtypes whose products were measured, in order."""
    dtypes, measure = [], module._product_flops_per_s
    monkeypatch.setattr(
        module, "_product_flops_per_s", lambda dtype, *rest: dtypes.append(dtype) or measure(dtype, *rest)
    )
    return dtypes


def kept():
    return list(home("machine").iterdir())


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16", "int8"])
def test_peaks_are_positive_in_every_dtype(dtype):
    found = peaks(CPU, dtype, threads=1)
    assert 0 < found.flops_per_s < math.inf
    assert 0 < found.bytes_per_s < math.inf


def test_peaks_are_measured_once_and_then_kept(measured):
    first = peaks(CPU, "float32", threads=1)
    assert peaks(CPU, "float32", threads=1) == first
    assert measured == ["float32"]


def test_other_threads_or_another_torch_are_measured_anew(measured, monkeypatch):
    peaks(CPU, "float32", threads=1)
    peaks(CPU, "float32", threads=2)
    monkeypatch.setattr(torch, "__version__", "another")
    peaks(CPU, "float32", threads=1)
    assert measured == ["float32"] * 3


def test_a_kept_measurement_says_what_it_holds_for():
    peaks(CPU, "float32", threads=1)
    (path,) = kept()
    said = json.loads(path.read_text())
    assert (said["device"], said["dtype"], said["threads"], said["torch"]) == ("cpu", "float32", 1, torch.__version__)
    assert said["processor"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"flops_per_s": 1.0}', '{"flops_per_s": 0.0, "bytes_per_s": 1.0}'])
def test_a_damaged_measurement_is_taken_again(measured, text):
    peaks(CPU, "float32", threads=1)
    (path,) = kept()
    path.write_text(text)
    assert peaks(CPU, "float32", threads=1).flops_per_s > 0
    assert measured == ["float32"] * 2
    assert json.loads(path.read_text())["bytes_per_s"] > 0


def test_a_short_dtype_is_at_least_as_fast_as_float32_and_copies_as_fast(monkeypatch):
    speeds = {"float32": 50.0, "bfloat16": 90.0, "float16": 10.0}
    monkeypatch.setattr(module, "_product_flops_per_s", lambda dtype, *_: speeds[dtype])
    found = {dtype: peaks(CPU, dtype, threads=1) for dtype in speeds}
    assert [one.flops_per_s for one in found.values()] == [50.0, 90.0, 50.0]
    assert len({one.bytes_per_s for one in found.values()}) == 1


def test_where_int8_cannot_be_multiplied_its_peak_is_that_of_float32(monkeypatch):
    monkeypatch.setattr(torch, "_int_mm", mock.Mock(side_effect=RuntimeError("not implemented")))
    assert peaks(CPU, "int8", threads=1) == peaks(CPU, "float32", threads=1)


def test_a_slow_machine_is_spared_the_larger_sizes(monkeypatch):
    monkeypatch.setattr(module, "SIZES", {"cpu": (8, 16, 32)})
    sizes = []
    monkeypatch.setattr(module, "_product", lambda size, *_: sizes.append(size))
    monkeypatch.setattr(module, "_fastest_s", lambda *_: 0.0001 if sizes[-1] == 8 else 0.0002)
    assert module._product_flops_per_s("float32", CPU, mock.Mock()) == pytest.approx(2 * 16**3 / 0.0002)
    assert sizes == [8, 16]


def test_the_device_time_counts_where_there_is_one():
    clock = mock.Mock()
    clock.time.side_effect = lambda _: (None, SimpleNamespace(wall_s=1.0, device_s=0.25))
    assert module._fastest_s(lambda: None, clock) == 0.25


def test_the_callers_threads_and_random_numbers_are_left_alone(monkeypatch):
    seen, multiply = set(), torch.mm
    monkeypatch.setattr(
        torch, "mm", lambda *both, **named: seen.add(torch.get_num_threads()) or multiply(*both, **named)
    )
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    peaks(CPU, "float32", threads=threads + 1)
    assert seen == {threads + 1}
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), state)


def test_the_bound_is_the_longer_of_arithmetic_and_memory():
    ceilings = Peaks(flops_per_s=100.0, bytes_per_s=10.0)
    assert bound_s(ceilings, flops=200.0, touched_bytes=10.0) == 2.0
    assert bound_s(ceilings, flops=200.0, touched_bytes=30.0) == 3.0


def test_what_the_cache_may_hold_need_not_come_from_memory():
    ceilings = Peaks(flops_per_s=100.0, bytes_per_s=10.0, cache_bytes=25)
    assert bound_s(ceilings, flops=1.0, touched_bytes=30.0) == 0.5
    assert bound_s(ceilings, flops=1.0, touched_bytes=20.0) == 0.01


def test_the_last_level_is_the_largest_cache(tmp_path):
    """Four cores, each pair of which shares a slice."""
    for core in range(4):
        for level, size in enumerate(("32K", "1024K", "32768K"), 1):
            folder = tmp_path / f"sys/devices/system/cpu/cpu{core}/cache/index{level}"
            folder.mkdir(parents=True)
            shared = str(core) if level < 3 else "0-1" if core < 2 else "2-3"
            for name, text in (("size", size), ("level", str(level)), ("shared_cpu_list", shared)):
                (folder / name).write_text(f"{text}\n")
    assert module._cache_bytes(CPU, tmp_path) == 64 * 2**20
    assert module._cache_bytes(CPU, tmp_path / "nowhere") == 0


def test_a_roofline_holds_a_request_against_the_peaks():
    found = roofline(Peaks(100.0, 10.0), flops=200.0, moved_bytes=90.0, touched_bytes=30.0)
    assert (found.flops_per_s, found.bytes_per_s) == (100.0, 10.0)
    assert (found.flops, found.bytes, found.touched_bytes, found.bound_s) == (200.0, 90.0, 30.0, 3.0)
