"""What people call the recommenders of a suite's cases."""

import torch

from baselines.one_pass.sasrec import SASRec
from bench.suites import cases
from bench.suites.definitions import Entry, Suite
from bench.suites.naming import named_of, spoken_of
from models import registry
from models.spoken import Spoken

BCE = Entry(name="sasrec", label="SASRec of 2018", settings={"loss": "bce"})


def labels(*entries, **chosen):
    suite = Suite(description="tiny", datasets=["toy"], recommenders=list(entries))
    groups = cases.expand(suite, "toy", device=torch.device("cpu"), threads=1, chosen=chosen, untrained=True)
    return [planned.named.label for group in groups for planned in group]


def test_a_label_comes_from_the_suite_or_else_from_the_class():
    assert labels(BCE, Entry(name="sasrec"), Entry(name="p5")) == ["SASRec of 2018", "SASRec", "P5 (collaborative IDs)"]


def test_a_suites_label_holds_until_a_setting_makes_something_else_of_it():
    assert labels(BCE, max_length=20) == ["SASRec of 2018"]
    assert labels(BCE, loss="bce") == ["SASRec of 2018"]
    assert labels(BCE, loss="ce") == ["SASRec"]


def test_every_recommender_that_comes_along_says_its_name():
    for name in registry.REGISTRY:
        assert spoken_of(registry.load(name)).name, name


def test_what_is_derived_from_a_class_does_not_take_its_name():
    class Mine(SASRec):
        """Somebody's own."""

    assert spoken_of(Mine) == Spoken()
    assert named_of("sasrec", "toy", {"preset": "compact", "max_length": 20}).said["max_length"] == "20 items"
