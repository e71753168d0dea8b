"""What recommenders of records are called that do not say it themselves."""

import pytest

from bench.records import naming
from bench.records.naming import named_before
from bench.records.record import Record
from bench.suites.naming import named_of, spoken_of
from models import registry
from tests.bench.factories import make_record


@pytest.mark.parametrize("name", naming._older())
def test_an_older_record_is_called_as_its_class_says_today(name):
    assert naming._older()[name] == spoken_of(registry.load(name))


def test_names_go_by_all_that_is_known_of_the_settings():
    assert named_before("p5", {}, {"numbering": "collaborative"}).label == "P5 (collaborative IDs)"
    assert named_before("p5", {"numbering": "sequential"}, {}).label == "P5 (sequential IDs)"
    assert named_before("p5", {}, {}).label == "P5"
    assert named_before("nobody-knows", {"depth": 2}, {}) == naming.Named(
        name="nobody-knows", label="nobody-knows", said={"depth": "depth 2"}
    )


def test_a_name_survives_the_store_and_records_without_one_are_read():
    named = named_of("tiger", "toy", {"preset": "compact-llama", "targets": "all"})
    record = make_record(named=named)
    assert Record.model_validate_json(record.model_dump_json()).named == named
    assert named.label == "TIGER, all targets"
    older = record.model_dump(mode="json", exclude={"named"})
    assert Record.model_validate(older).named is None
