"""Lines and marks that answer to choices: they compile, and each layer draws the rows that are its own."""

import json

import pytest

from bench.report.drawing.lines import Along, lines
from bench.report.drawing.live import compiled

PLAIN, LOG, CROSSED = Along("plain"), Along("log", log=True), Along("crossed", log=True, at=1)


@pytest.mark.parametrize(("x", "y", "rules"), [(LOG, PLAIN, 0), (LOG, LOG, 0), (CROSSED, Along("change", at=0), 2)])
def test_a_figure_compiles_on_any_axes(x, y, rules):
    made = compiled(lines([], x, y))
    assert [axis["title"] for axis in made["axes"] if "title" in axis] == [x.title, y.title]
    assert [scale["type"] for scale in made["scales"][:2]] == ["log" if along.log else "linear" for along in (x, y)]
    drawn = [mark["type"] for mark in made["marks"]]
    assert drawn == ["rule"] * rules + ["group", "rule", "rule", "symbol", "text"]


@pytest.mark.parametrize("field", ["line", "marked", "low", "left"])
def test_rows_are_drawn_by_the_layers_that_they_name(field):
    assert f"datum.{field}" in json.dumps(compiled(lines([], LOG, PLAIN))["data"])
