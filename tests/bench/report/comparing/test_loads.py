"""Services of two runs: matched as cases, judged by their highest rates, and shown beside each other."""

import pytest

from bench.records.load import Offered
from bench.records.store import Run
from bench.report.comparing.comparison import ChangeVerdict, compare
from bench.report.comparing.loads import UserVerdict, verdict
from bench.report.comparing.matching import case_key
from bench.report.comparing.page import write_comparison
from bench.report.history.page import write_history
from tests.bench.factories import make_case, make_record, make_served, make_trial


@pytest.mark.parametrize(
    ("peak", "expected"), [(600.0, UserVerdict.MORE), (200.0, UserVerdict.FEWER), (420.0, UserVerdict.UNCLEAR)]
)
def test_more_or_fewer_users_are_told_where_the_intervals_do_not_meet(peak, expected):
    assert verdict(make_served(peak=400.0).load, make_served(peak=peak).load) is expected


def test_a_late_client_gives_no_verdict():
    late = make_served(peak=900.0, trials=[make_trial(900.0, invalid="the client was late")])
    assert verdict(make_served().load, late.load) is UserVerdict.NOT_MEASURED


def test_services_match_where_they_were_asked_the_same_and_their_latency_at_other_rates_is_not_compared():
    limit = make_case(batch_size=1, scenario="open", load=Offered(workers=2, slo="10ms"))
    longer = make_case(batch_size=1, scenario="open", load=Offered(workers=2, seconds=30))
    assert case_key(make_served().case) != case_key(limit)
    assert case_key(make_served().case) == case_key(longer)
    (group,) = compare([make_served(peak=400.0)], [make_served(peak=600.0)]).groups
    assert group.rows[0].verdict is ChangeVerdict.NOT_MEASURED


def test_pages_of_comparisons_and_of_history_take_services(tmp_path):
    runs = [
        Run(tmp_path / f"{peak:g}.json", "2026", (make_record(), make_served(peak=peak))) for peak in (400.0, 600.0)
    ]
    write_comparison(runs, tmp_path / "compare")
    page = (tmp_path / "compare" / "index.html").read_text()
    assert "Under load" in page
    assert "MORE" in page
    write_history(runs, tmp_path / "history")
