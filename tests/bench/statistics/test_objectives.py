"""The binomial rule, against LoadGen's published counts, and rates over seeds."""

import numpy as np
import pytest

from bench.records.load import Slo, Verdict
from bench.statistics.objectives import judge, over_seeds, requests_needed


@pytest.mark.parametrize(("percentile", "needed"), [(99, 459), (99.9, 4603)])
def test_so_many_requests_without_a_miss_keep_an_objective_and_one_fewer_do_not(percentile, needed):
    slo = Slo(percentile=percentile)
    assert judge(slo, needed, 0) is Verdict.MET
    assert judge(slo, needed - 1, 0) is Verdict.OPEN
    assert requests_needed(slo) >= needed


def test_misses_count_both_ways():
    slo = Slo()
    assert judge(slo, 2000, 5) is Verdict.MET
    assert judge(slo, 2000, 20) is Verdict.OPEN
    assert judge(slo, 2000, 40) is Verdict.MISSED
    assert judge(slo, 0, 0) is Verdict.OPEN


def test_a_service_at_its_limit_is_hardly_ever_called_either():
    rng = np.random.default_rng(0)
    verdicts = [judge(Slo(), 3000, int(misses)) for misses in rng.binomial(3000, 0.01, size=2000)]
    for wrong in (Verdict.MET, Verdict.MISSED):
        assert verdicts.count(wrong) / len(verdicts) <= 0.015


@pytest.mark.parametrize(
    ("text", "limit_s", "percentile"), [("80ms@p99", 0.08, 99), ("200ms", 0.2, 99), ("12.5ms@p99.9", 0.0125, 99.9)]
)
def test_objectives_are_read_as_people_write_them(text, limit_s, percentile):
    slo = Slo.model_validate(text)
    assert (slo.limit_s, slo.percentile) == (pytest.approx(limit_s), percentile)
    assert Slo.model_validate(str(slo)) == slo


@pytest.mark.parametrize("text", ["80", "p99", "80ms@99", "0ms", "80ms@p100", "-1ms"])
def test_what_is_no_objective_is_refused(text):
    with pytest.raises(ValueError, match=r"80ms@p99|greater than|less than"):
        Slo.model_validate(text)


def test_rates_of_several_seeds_have_an_interval_and_one_has_none():
    found = over_seeds([90.0, 100.0, 110.0])
    assert found.low < found.value < found.high
    assert found.value == pytest.approx((90 * 100 * 110) ** (1 / 3))
    assert over_seeds([50.0]).low == over_seeds([50.0]).high == pytest.approx(50.0)
