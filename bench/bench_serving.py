"""One request from history to ranked list, for every case of the suite."""

from __future__ import annotations

from pytest_benchmark.fixture import BenchmarkFixture

from bench.face.replay import Measured


def bench_request(benchmark: BenchmarkFixture, measured: Measured) -> None:
    """Measure the case's group in interleaved turns, then hand its samples to pytest-benchmark."""
    measured.hand_to(benchmark)
