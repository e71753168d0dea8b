"""Real datasets have the sizes that the field reports. Skipped where ``BENCH_DATA`` is not set."""

import sys
import time

import pytest

from bench import data
from bench.data import Split


@pytest.mark.parametrize(
    ("name", "users", "items", "interactions"),
    [
        ("ml-1m", 6_040, 3_706, 1_000_209),
        ("beauty", 22_363, 12_101, 198_502),
        ("sports", 35_598, 18_357, 296_337),
        ("toys", 19_412, 11_924, 167_597),
    ],
)
def test_sizes(real_data, capsys, name, users, items, interactions):
    started = time.perf_counter()
    loaded = data.load(name, data_dir=real_data)
    cold_s = time.perf_counter() - started
    again = data.load(name, data_dir=real_data)
    warm_s = time.perf_counter() - started - cold_s
    with capsys.disabled():
        sys.stdout.write(f"\n{name}: cold {cold_s:.2f} s, warm {warm_s:.2f} s\n")
    assert (loaded.users, len(loaded.catalogue), len(loaded.flat)) == (users, items, interactions)
    assert again.catalogue == loaded.catalogue
    assert len(loaded.queries(Split.TEST)[1]) == users


def test_five_core_of_ml_1m(real_data):
    loaded = data.load("ml-1m", data_dir=real_data, min_count=5)
    assert (loaded.users, len(loaded.catalogue), len(loaded.flat)) == (6_040, 3_416, 999_611)
