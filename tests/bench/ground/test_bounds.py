"""Numbers of options: finite and within bounds, or one line."""

import pytest
import typer

from bench.ground import bounds
from bench.ground.bounds import checked, parser
from models.errors import UserError

KINDS = {name: kind for name, kind in vars(bounds).items() if name[0].isupper() and hasattr(kind, "__metadata__")}


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("word", ["nan", "inf", "-inf", "-1", "1e400", str(10**30), "x", "", " ", "0x10"])
def test_no_kind_takes_what_is_not_finite_negative_or_huge(name, word):
    with pytest.raises(typer.BadParameter, match="is no such number") as caught:
        parser(KINDS[name])(word)
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match=r"--option .*; change it"):
        checked("--option", KINDS[name], word)


@pytest.mark.parametrize(
    ("name", "word", "number"),
    [("BatchSize", "32", 32), ("Minutes", "0.5", 0.5), ("Count", "0", 0), ("Percentile", "95", 95), ("Seed", "0", 0)],
)
def test_words_become_numbers_and_defaults_stay(name, word, number):
    assert parser(KINDS[name])(word) == checked("--option", KINDS[name], word) == number
    assert parser(KINDS[name])(None) is None


@pytest.mark.parametrize("number", [float("nan"), float("inf"), 1.5, "12a", None, [1]])
def test_a_batch_is_a_whole_number(number):
    with pytest.raises(UserError, match="--batch-size"):
        checked("--batch-size", bounds.BatchSize, number)
