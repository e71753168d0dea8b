"""What of a dataset invites shortcuts, by hand; and the command and its section."""

import math

import pytest
from typer.testing import CliRunner

from bench import shortcuts as command
from bench.quality.shortcuts import newest, structure
from bench.records import store
from bench.report.__main__ import app as report
from models.catalogue import Catalogue, History, Item

ITEMS = (Item("a b", ("K", "X"), "M"), Item("a b", ("K", "X"), "M"), Item("c d", ("K", "Y"), "N"), Item("c d"))
CATALOGUE = Catalogue("tiny", ("a", "b", "c", "d"), ITEMS)


def test_branches_are_those_of_equally_likely_followers():
    """Item 1 is followed by 2 and 3 alike, item 2 always by 4: an entropy of 1 bit and of none, three times to one."""
    training = [History(0, (1, 2, 4)), History(1, (1, 3)), History(2, (1, 2)), History(3, (1, 3))]
    found = structure(CATALOGUE, training, [History(0, (1,)), History(1, (3,))], [2, 4])
    assert found.branching == pytest.approx(2 ** (4 / 5))
    assert found.follows == 0.5
    assert found.same_brand == found.same_category == 0.5
    assert 0.9 < found.smoothness < 1, "one pair is described alike, the other but for a category"
    assert found.by_chance <= found.smoothness


def test_what_there_is_not_is_not_counted():
    bare = Catalogue("bare", CATALOGUE.ids, (Item(),) * 4)
    found = structure(bare, [History(0, (1,))], [History(0, (1,))], [2])
    assert (found.branching, found.follows) == (0, 0)
    assert found.same_brand is found.same_category is found.smoothness is found.by_chance is None


def test_the_newest_items_are_kept():
    assert newest([History(3, (1, 2, 3)), History(4, (5,))], 2) == [History(3, (2, 3)), History(4, (5,))]


def test_the_command_writes_what_the_page_shows(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    words = ["popularity", "shortcut", "--last", "1", "--users", "100", "--device", "cpu", "--out", "found.json.gz"]
    done = CliRunner().invoke(command.app, words)
    assert done.exit_code == 0, done.output
    (probe,) = store.read_studies(tmp_path / "found.json.gz").studies.shortcuts
    assert [(one.recommender, one.last) for one in probe.limited] == [
        ("popularity", 1), ("popularity", None), ("shortcut", 1), ("shortcut", None)
    ]  # fmt: skip
    ranked = {(one.recommender, one.last): one.metrics["NDCG@10"].value for one in probe.limited}
    assert ranked["shortcut", 1] > 2 * ranked["popularity", None]
    assert 1 < probe.branching < math.inf
    assert CliRunner().invoke(report, ["found.json.gz", "--out", "page", "--format", "markdown"]).exit_code == 0
    page = (tmp_path / "page" / "report.md").read_text()
    assert "## Shortcuts" in page
    assert "### By the newest items alone" in page
    assert f"{probe.follows:.1%}" in page
