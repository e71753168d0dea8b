"""A record is stored and read back as it is."""

import json

import pytest

from bench.records.case import Case, Outcome, WeightsKind
from bench.records.record import Provenance, Record


def record(name="popularity"):
    case = Case(
        recommender=name, settings={}, dataset="toy", weights=WeightsKind.AS_BUILT, device="cpu", dtype="float32",
        batch_size=1, k=5, seen="remove", threads=1,
    )  # fmt: skip
    origin = Provenance(command="", commit=None, dirty=None, started="", machine={}, software={}, dataset={})
    return Record(suite="tiny", case=case, outcome=Outcome.ERROR, detail="broken", provenance=origin)


def test_a_record_goes_through_json_unchanged_and_unknown_fields_are_errors():
    text = record().model_dump_json()
    assert Record.model_validate_json(text) == record()
    with pytest.raises(ValueError, match="colour"):
        Record.model_validate(json.loads(text) | {"colour": "blue"})
