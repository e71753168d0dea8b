"""New catalogues beside requests: what is new, how long it takes, and recommenders that cannot."""

from dataclasses import replace

import pytest

from bench.measure.outcome import unwatched
from bench.records.load import Offered
from bench.service.peak import Batching
from bench.service.refreshing import BY_NUMBER, SHARES, refreshes, renewed
from bench.service.service import Service
from bench.service.session import Session
from models.errors import UserError
from models.serving import Recommendations
from tests.bench.service.sleepers import Sleeper, subject
from tests.tiny import catalogue


class Noticing(Sleeper):
    """A sleeper whose scores hang on the texts of the items."""

    letters = 0

    def index(self, catalogue):
        self.letters = sum(len(item.title) for item in catalogue.items)

    def recommend(self, inputs, k):
        found = super().recommend(inputs, k)
        return Recommendations(found.items, found.scores + self.letters)


class Refusing(Sleeper):
    """A sleeper that knows no items but those it was built for."""

    def index(self, catalogue):
        if any(one.startswith("new") for one in catalogue.ids):
            raise UserError("knows no new items")


@pytest.mark.parametrize(("share", "new"), [(0.01, 1), (0.1, 4), (1.0, 40)])
def test_so_many_items_are_new_and_the_others_as_they_were(share, new):
    before, after = catalogue(), renewed(catalogue(), share)
    changed = [number for number in range(40) if before.ids[number] != after.ids[number]]
    assert len(changed) == new
    assert all(before.items[number] == after.items[number] for number in set(range(40)) - set(changed))
    assert all(before.items[number].text != after.items[number].text for number in changed)
    assert before.fingerprint != after.fingerprint


@pytest.mark.parametrize(("kind", "why"), [(Noticing, ""), (Refusing, "knows no new items"), (Sleeper, BY_NUMBER)])
def test_catalogues_are_taken_in_while_requests_go_on(kind, why):
    asked = replace(subject(kind(0.001)), catalogue=catalogue())
    with Service(asked, workers=1) as service:
        offered = Offered(seconds=0.5, slo="80ms@p50")
        session = Session(service, offered, unwatched, lambda _: None, lambda _, __: None, lambda _: None, 0.001)
        found = refreshes(session, Batching(0.0, 8), 100.0)
    assert [one.new for one in found] == list(SHARES)
    assert [one.why for one in found] == [why] * 3
    assert all((one.seconds is None) == bool(why) for one in found)
    assert all(one.bytes == (None if why else 0) for one in found)
