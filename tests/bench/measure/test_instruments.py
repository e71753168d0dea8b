"""Instruments: what each fills in the record, and one without a field of its own."""

from unittest import mock

import torch

from bench.measure import instruments
from bench.measure.clock import Clock
from bench.measure.instrument import Instrument, Request
from bench.measure.subject import Subject
from bench.records.cost import FurtherMeasure
from bench.records.record import Record
from bench.report.reading.distrust import distrust
from bench.report.reading.values import all_values
from bench.report.run import tables
from tests.bench.factories import make_record
from tests.tiny import build, catalogue, walks

CPU = torch.device("cpu")


class ListSpread(Instrument):
    """Counts the different items of one answer."""

    name = "list_spread"

    def measure(self, request):
        """Ask once."""
        answer = request.subject.request(0)
        return FurtherMeasure(
            value=len(answer.items.unique()), unit="items", title="different items", caution="of one request alone"
        )


def request():
    recommender = build("popularity")
    recommender.index(catalogue())
    return Request(Subject("toy", recommender, [walks(4)], 5, CPU), Clock(CPU), "float32", 1, 0)


def test_every_instrument_but_a_further_one_fills_a_field_of_the_record():
    with mock.patch.object(instruments, "INSTRUMENTS", (*instruments.INSTRUMENTS, ListSpread())):
        found = instruments.measure_all(request())
    assert set(found) == {*Record.model_fields} & {
        "phases", "flops", "roofline", "energy", "energy_j_per_1000_users", "overhead", "memory", "further",
    }  # fmt: skip
    assert found["further"]["list_spread"].value >= 5
    assert make_record("popularity").model_copy(update=found).flops == found["flops"]


def test_what_is_needed_twice_is_worked_out_once():
    work = mock.Mock(return_value=7)
    asked = request()
    assert (asked.once(work), asked.once(work)) == (7, 7)
    work.assert_called_once_with(asked)


def test_a_further_measure_is_in_the_tables_the_values_and_the_cautions():
    spread = FurtherMeasure(value=12.0, unit="items", title="different items", caution="of one request alone")
    records = [make_record("popularity", further={"list_spread": spread}), make_record("sasrec")]
    assert tables.costs(records, [])["different items"].tolist() == ["12.0 items", "n/a"]
    assert all_values(records)["list_spread (items)"].tolist()[0] == 12
    assert "different items: of one request alone." in distrust(records)
