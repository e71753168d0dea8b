"""How numbers are written: no more digits than their intervals support, and sortable."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.records.quality import Metric
from bench.report.reading.labels import (
    Quantity,
    groups,
    mebibytes,
    metric_of,
    milliseconds,
    operations,
    places_for,
    short_names,
    with_interval,
)
from tests.bench.factories import make_case, make_record


@pytest.mark.parametrize(
    ("value", "low", "high", "text"),
    [
        (4.8612, 4.552, 5.191, "4.86 [4.55, 5.19]"),
        (28.66, 28.13, 29.44, "28.7 [28.1, 29.4]"),
        (1640.2, 1571, 1833, "1,640 [1,570, 1,830]"),
        (12.345, 2.1, 31.0, "12 [2, 31]"),
        (0.0, -1.0, 1.0, "0 [-1.00, 1.00]"),
        (40.0, 40.0, 40.0, "40.0 [40.0, 40.0]"),
        (-0.00001, -0.02, 0.02, "0.000 [-0.020, 0.020]"),
    ],
)
def test_digits_beyond_what_an_interval_supports_are_not_shown(value, low, high, text):
    assert with_interval(value, low, high) == text


def test_what_is_no_number_is_not_available():
    assert with_interval(float("nan"), 0, 1) == "n/a"
    assert metric_of({"HR@10": Metric.model_construct(value=float("nan"), low=0, high=1)}, "HR@10") == "n/a"
    assert metric_of({}, "HR@10") == "n/a"
    assert places_for(1, float("inf")) is None
    assert places_for(2, 2) is None


@given(st.floats(1e-6, 1e6), st.floats(1e-6, 1))
def test_rounding_moves_a_number_by_less_than_its_interval_tells(value, share):
    half = value * share
    shown = with_interval(value, value - half, value + half)
    written = float(shown.split(" ")[0].replace(",", ""))
    assert abs(written - value) <= max(0.06 * half, 0.005 * value * (1 + 1e-9))
    assert shown.value == value


@given(st.floats(0, 1), st.floats(0, 0.2))
def test_metrics_have_one_to_four_places(value, half):
    shown = metric_of({"m": Metric(value=value, low=max(value - half, 0), high=min(value + half, 1))}, "m")
    numbers = shown.replace("[", "").replace("]", "").replace(",", "").split()
    places = {len(number.partition(".")[2]) for number in numbers}
    assert len(places) == 1
    assert 1 <= places.pop() <= 4


def test_quantities_sort_by_what_they_are_and_not_by_how_they_look():
    for write, small, large in ((milliseconds, 0.0098, 0.12), (mebibytes, 2e6, 1e9), (operations, 9e6, 1e9)):
        assert isinstance(write(small), Quantity)
        assert write(small).value < write(large).value
        assert math.isclose(write(small).value, small)


def test_short_names_leave_out_what_all_groups_have_in_common():
    def told(*cases):
        return list(short_names(groups([make_record(case=case) for case in cases])).values())

    one, many = make_case(batch_size=1), make_case(batch_size=32)
    assert told(one) == ["synthetic data"]
    assert told(one, many) == ["synthetic data, batch 1", "synthetic data, batch 32"]
    assert told(one, make_case(batch_size=1, seen="keep")) == ["synthetic data", "synthetic data, seen items: keep"]
    assert told() == []
