"""Figures as files: places to a hundredth of a point, words as they are, the same bytes each time."""

import re

import pytest
from matplotlib import pyplot as plt

from bench.report.drawing.canvas import STYLE, rendered

pytestmark = pytest.mark.drawn


def drawn():
    with plt.style.context([STYLE]):
        figure, axis = plt.subplots(figsize=(3, 2))
        axis.plot([0.1234567, 1 / 3], [2 / 3, 1.9876543])
        axis.set_title('0.123456 d="0.123456"')
        made = rendered(figure, "svg")
        plt.close(figure)
    return made


def test_places_have_two_decimals_and_words_all():
    svg = drawn().decode()
    places = re.findall(r' (?:d|x|y)="([^"]*)"', svg.replace('d="0.123456"', ""))
    assert any("." in place for place in places)
    assert not [place for place in places if re.search(r"\.\d{3}", place)]
    assert "0.123456 d=" in svg


def test_the_same_figure_gives_the_same_bytes():
    assert drawn() == drawn()
