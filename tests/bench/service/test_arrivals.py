"""Arrivals: drawn from a seed, or read from a file."""

import numpy as np
import pytest

from bench.service.arrivals import at_once, poisson, replayed
from models.errors import UserError


def test_poisson_arrivals_follow_from_their_seed_and_keep_their_rate():
    drawn = poisson(50, count=5000, seed=7)
    assert np.array_equal(drawn, poisson(50, count=5000, seed=7))
    assert not np.array_equal(drawn, poisson(50, count=5000, seed=8))
    gaps = np.diff(drawn, prepend=0.0)
    assert (gaps >= 0).all()
    assert gaps.mean() == pytest.approx(1 / 50, rel=0.05)
    assert gaps.std() == pytest.approx(1 / 50, rel=0.05)


@pytest.mark.parametrize("load", [0.3, 0.6, 0.8])
def test_a_server_that_takes_always_as_long_lets_them_wait_as_the_textbook_says(load):
    """M/D/1, by Lindley's recursion: the mean wait is load / (2 (1 - load)) services (Pollaczek and Khinchine)."""
    gaps = np.diff(poisson(load, count=400_000, seed=5))  # one second a service
    waits = np.zeros(len(gaps) + 1)
    for number, gap in enumerate(gaps.tolist()):
        waits[number + 1] = max(0.0, waits[number] + 1 - gap)
    assert waits.mean() == pytest.approx(load / (2 * (1 - load)), rel=0.03)


def test_all_at_once_is_the_start():
    assert at_once(3).tolist() == [0.0, 0.0, 0.0]


def test_a_file_is_replayed_from_its_first_arrival(tmp_path):
    (tmp_path / "trace.txt").write_text("# seconds\n10.5\n\n11\n11\n12.25\n")
    assert replayed(tmp_path / "trace.txt").tolist() == [0.0, 0.5, 0.5, 1.75]


@pytest.mark.parametrize(
    ("text", "said"),
    [("1\nsoon\n", "line 2: 'soon' is no number"), ("2\n1\n", "line 2: 1 is not finite, or before"),
     ("nan\n", "line 1: nan is not finite"), ("# none\n", "holds no arrival times")],
)  # fmt: skip
def test_a_file_that_is_no_trace_is_refused_with_its_line(tmp_path, text, said):
    (tmp_path / "trace.txt").write_text(text)
    with pytest.raises(UserError, match=said):
        replayed(tmp_path / "trace.txt")
