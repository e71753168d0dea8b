"""What people call a recommender."""

import pytest

from models.spoken import Spoken

SPOKEN = Spoken(
    "System", {"System, both": {"text": True, "ids": True}, "System, text": {"text": True}}, {"width": "{} wide"}
)


def test_the_first_variant_of_which_all_settings_hold_names_it():
    assert SPOKEN.label("system", {"text": True, "ids": True}) == "System, both"
    assert SPOKEN.label("system", {"text": True, "ids": False}) == "System, text"
    assert SPOKEN.label("system", {"ids": True}) == "System"
    assert SPOKEN.plain("system") == "System"


@pytest.mark.parametrize(
    ("registered", "name"),
    [("system", "system"), ("my.module:System", "System"), ("odd http://name:x y", "odd http://name:x y")],
)
def test_what_has_no_name_goes_by_that_of_the_registry_or_of_its_class(registered, name):
    assert Spoken().label(registered, {}) == name


def test_settings_are_said_in_its_own_words_in_those_of_all_or_by_name_and_value():
    said = SPOKEN.said({"width": 64, "max_length": 50, "loss": "bce", "leaf_size": 3, "tied": False, "encoder": None})
    assert said == {
        "width": "64 wide",
        "max_length": "50 items",
        "loss": "binary cross-entropy",
        "leaf_size": "leaf size 3",
        "tied": "no tied",
        "encoder": "no encoder",
    }
