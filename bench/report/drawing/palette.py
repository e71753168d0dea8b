"""The colours of pages and figures, on light and on dark paper: one colour a kind of recommender, one mark a decoder.

Colours of kinds differ in lightness, too, so that the colour-blind and a grey print tell them apart (after Okabe and
Ito, "Color Universal Design", 2008).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.colors import to_hex, to_rgb

from bench.records.case import Case
from bench.report.reading.families import Family, family_of
from bench.report.reading.naming import Told

FAMILIES: dict[Family, tuple[str, str]] = {
    Family.IDS: ("#0b6e99", "#58b7e3"),
    Family.TEXT: ("#7a5195", "#c39be6"),
    Family.BEAMS: ("#c2571f", "#f09a6c"),
    Family.SEARCH: ("#2f7d4f", "#6cc793"),
    Family.COUNTED: ("#5f6673", "#a9b1bf"),
}
"""Colour of each kind, on light and on dark paper."""

ON_DARK = {
    "#ffffff": "#16181d", "#000000": "#eceef2", "#262626": "#eceef2", "#1c1c1c": "#eceef2", "#333333": "#c8cdd6",
    "#555555": "#a3abb9", "#777777": "#8d95a3", "#e4e4e4": "#2c313b", "#ececec": "#262a32", "#cccccc": "#444a56",
    "#0173b2": "#5cb3ea", "#de8f05": "#f2b84b", "#029e73": "#45cfa6", "#d55e00": "#f58a45", "#cc78bc": "#e3a3d6",
    "#ca9161": "#dcb08a", "#fbafe4": "#fbc6ec", "#949494": "#b3b3b3", "#ece133": "#efe76a", "#56b4e9": "#86cdf3",
}  # fmt: skip
"""What each colour of a figure is on dark paper; the rest is lightened."""

COLOUR = re.compile(r"(?<=[: ])#[0-9a-f]{6}\b")

SHADES = (0.0, 0.32, -0.22, 0.5, -0.38)
"""How far the colours of one kind's recommenders lie towards white, or below 0 towards black."""

MARKS = ("o", "^", "D", "s", "P")
"""Marks of one pass, and of the rungs of decoders from the second on; the papers' own search is a hollow ring."""

OTHER_MARK = "X"

SHAPES = {"o": "circle", "^": "triangle-up", "D": "diamond", "s": "square", "P": "cross", "X": "triangle-down"}
"""What these marks are called in interactive figures."""


def mark_of(case: Case) -> str:
    """Return the mark of a case's decoder; lists of its own have one of their own."""
    if case.search is None or case.is_reference:
        return MARKS[0]
    rung = case.search.rung
    return OTHER_MARK if rung is None else MARKS[min(rung, len(MARKS) - 1)]


def is_hollow(case: Case) -> bool:
    """Tell whether a mark is drawn as a ring: the papers' own search."""
    return case.is_reference


@dataclass(frozen=True)
class Look:
    """How one line, mark or bar is drawn.

    Attributes:
        colour: As matplotlib reads it.
        marker: Mark of the decoder, as matplotlib calls it.
        hollow: Whether the mark is a ring.

    """

    colour: Any
    marker: str
    hollow: bool = False

    @property
    def marks(self) -> dict[str, Any]:
        """What matplotlib is told of a line with marks."""
        face = "white" if self.hollow else self.colour
        return {"color": self.colour, "marker": self.marker, "markerfacecolor": face, "markeredgecolor": self.colour}


def look_of(told: Told) -> dict[str, Any]:
    """Return what interactive figures are told of a case's look."""
    shape = SHAPES[mark_of(told.case)]
    return {"kind": family_of(told).value, "shape": shape, "hollow": is_hollow(told.case)}


def looks(named: Sequence[tuple[str, Told]]) -> dict[str, Look]:
    """Give each name the colour of its case's kind, in a shade of its recommender, and the mark of its decoder."""
    shades: dict[Family, list[str]] = {}
    by_name: dict[str, Look] = {}
    for name, told in named:
        family = family_of(told)
        variants = shades.setdefault(family, [])
        bare = told.case.model_copy(update={"decoder": None, "search": None, "beam_width": None}).variant
        if bare not in variants:
            variants.append(bare)
        colour = shade(FAMILIES[family][0], variants.index(bare))
        by_name.setdefault(name, Look(colour, mark_of(told.case), is_hollow(told.case)))
    return by_name


def shade(colour: str, place: int) -> str:
    """Return a colour for one recommender among those of its kind, the first of which has the kind's own."""
    by = SHADES[place % len(SHADES)]
    end = 1.0 if by > 0 else 0.0
    red, green, blue = (part + abs(by) * (end - part) for part in to_rgb(colour))
    return to_hex((red, green, blue))


def on_both(svg: str) -> str:
    """Let every colour of an SVG be another one on dark paper."""
    return COLOUR.sub(lambda match: f"light-dark({match[0]},{on_dark(match[0])})", svg)


def on_dark(colour: str) -> str:
    """Return what a colour is on dark paper."""
    on_light = ON_DARK | dict(FAMILIES.values())
    if colour in on_light:
        return on_light[colour]
    red, green, blue = (part + 0.35 * (1 - part) for part in to_rgb(colour))
    return to_hex((red, green, blue))


def as_css() -> str:
    """Return the colours of kinds as CSS variables, for both papers."""
    return "".join(f"--{family.name.lower()}:light-dark({light},{dark});" for family, (light, dark) in FAMILIES.items())
