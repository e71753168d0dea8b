"""The same search in one decoder after the other, timed in turns on random weights."""

from __future__ import annotations

from pytest_benchmark.fixture import BenchmarkFixture

from bench.face.replay import Measured


def bench_decoder(benchmark: BenchmarkFixture, measured: Measured) -> None:
    """Measure the case's group in interleaved turns, then hand its samples to pytest-benchmark."""
    measured.hand_to(benchmark)
