"""Options of a service under load: what each takes, and what a wrong one is told."""

import pytest

from bench.cli.offering import OPTIONS, offered_of, words_of
from bench.records.load import Offered
from models.errors import UserError


def test_what_is_named_becomes_fields_and_comes_back_as_words():
    named = {"slo": "50ms", "rate": "12.5", "window_ms": ["0", "5"], "largest_batch": [8], "loadgen": True}
    found = offered_of(named)
    assert (str(found["slo"]), found["rate"], found["windows_ms"], found["largest_batches"]) == (
        "50ms@p99", 12.5, [0.0, 5.0], [8],
    )  # fmt: skip
    words = words_of(found)
    assert words == [
        "--slo", "50ms@p99", "--rate", "12.5", "--window-ms", "0.0", "--window-ms", "5.0", "--largest-batch", "8",
        "--loadgen",
    ]  # fmt: skip
    assert offered_of({}) == {}


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ({"slo": "fast"}, "--slo fast: write a limit and a percentile"), ({"rate": "0"}, "--rate 0: input should be"),
        ({"rate": "nan"}, "--rate nan"), ({"workers": "0"}, "--workers 0"), ({"window_ms": ["-1"]}, "--window-ms -1"),
        ({"largest_batch": ["x"]}, "--largest-batch x"), ({"load_seconds": "inf"}, "--load-seconds inf"),
    ],
)  # fmt: skip
def test_what_is_out_of_bounds_is_one_line_with_its_option(named, said):
    with pytest.raises(UserError, match=said):
        offered_of(named)


def test_every_option_is_a_field_with_a_default():
    assert {one.field for one in OPTIONS} | {"loadgen", "refresh"} == set(Offered.model_fields)
