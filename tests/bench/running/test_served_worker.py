"""The gate's worker asks a service: the same arrivals for whatever is compared, and one line where it cannot."""

import pytest

from bench.records.load import Offered
from bench.running.worker import asked_openly
from bench.service.service import Service
from models.errors import UserError
from tests.bench.factories import make_case
from tests.bench.service.sleepers import Sleeper, fail, subject


def case(**offered):
    return make_case(batch_size=1, scenario="open", load=Offered(workers=1, **offered))


def test_a_trial_has_a_latency_a_request_from_the_schedule_and_needs_a_rate():
    with Service(subject(Sleeper(0.002)), workers=1) as service:
        latency = asked_openly(service, case(rate=100), 3, 40)
        assert len(latency) == 40
        assert min(latency) > 0.002
        with pytest.raises(UserError, match="--rate N"):
            asked_openly(service, case(), 3, 40)


def test_what_cannot_be_answered_is_no_measurement():
    with (
        Service(subject(Sleeper(0.05)), workers=1) as service,
        pytest.raises(UserError, match="more than 2000 requests a second cannot be answered"),
    ):
        asked_openly(service, case(rate=2000, largest_batches=[1]), 0, 2000)


def test_a_request_that_fails_is_no_measurement():
    with (
        Service(subject(Sleeper(0.0, {25: fail})), workers=1) as service,
        pytest.raises(UserError, match="1 of 40 requests failed: ValueError: no such luck"),
    ):
        asked_openly(service, case(rate=200, largest_batches=[1]), 0, 40)
