"""Tables as LaTeX: booktabs, numbers in siunitx's S columns, a caption, and a note on how they are read."""

from __future__ import annotations

import re
from dataclasses import dataclass

from bench.report.drawing.section import Section, Titled
from bench.report.reading.labels import NOT_AVAILABLE, Quantity

MOST_COLUMNS = 8
"""What fits across a page."""

NUMBER = re.compile(
    r"(?P<value>[+-]?[\d,]*\.?\d+)(?P<unit> (?:%|[A-Za-zµ/]+)|%)?"
    r"(?: \[(?P<low>[+-]?[\d,.]+), (?P<high>[+-]?[\d,.]+)\])?"
)
"""A number as cells write it, with its unit and its interval."""

SPECIAL = {
    "\\": r"\textbackslash ", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde ", "^": r"\textasciicircum ", "µ": r"\textmu ", "±": r"$\pm$", "·": r"$\cdot$",
    "→": r"$\rightarrow$", "←": r"$\leftarrow$", "≤": r"$\leq$", "≥": r"$\geq$",
    "<": r"\textless ", ">": r"\textgreater ",
}  # fmt: skip

PLACES = re.compile(r"\.(\d+)$")


@dataclass(frozen=True)
class Column:
    """One column: its heading, its cells, and whether these are numbers for an S column."""

    head: str
    cells: list[str]
    numeric: bool


def escaped(text: str) -> str:
    """Write a text so that LaTeX prints it as it is."""
    return "".join(SPECIAL.get(sign, sign) for sign in " ".join(text.split()))


def table(section: Section, shown: Titled) -> str:
    """Return one table of a section, for the packages booktabs, siunitx and textcomp.

    Of many columns the first ones are printed, and a note counts the others; intervals stand as half their width.
    """
    frame = shown.arranged
    names = list(frame.columns[:MOST_COLUMNS])
    columns = [_column(name, list(frame[name])) for name in names]
    lines = [" & ".join(column.cells[row] for column in columns) + r" \\" for row in range(len(frame))]
    title = f"{section.title}: {shown.title}" if shown.title else section.title
    return "\n".join(
        [
            r"\begin{table}",
            rf"\caption{{{escaped(title)}.}}",
            rf"\label{{tab:{label(section, shown)}}}",
            r"\centering\small",
            r"\begin{tabular}{" + "".join("S" if column.numeric else "l" for column in columns) + "}",
            r"\toprule",
            " & ".join(column.head for column in columns) + r" \\",
            r"\midrule",
            *lines,
            r"\bottomrule",
            r"\end{tabular}",
            rf"\par\smallskip\parbox{{\linewidth}}{{\footnotesize {escaped(_note(section, shown, columns))}}}",
            r"\end{table}",
            "",
        ]
    )


def label(section: Section, shown: Titled) -> str:
    """Return what a table's file and label are called."""
    return re.sub(r"\W+", "-", f"{section.anchor} {shown.title}".lower()).strip("-")


def _note(section: Section, shown: Titled, columns: list[Column]) -> str:
    left = len(shown.frame.columns) - len(columns)
    more = f"{left} further column{'s are' if left > 1 else ' is'} on the page. " if left > 0 else ""
    half = "±: half of a 95 % interval. " if any(r"\pm" in cell for column in columns for cell in column.cells) else ""
    return f"{more}{half}{section.note}".strip()


def _column(name: str, cells: list[object]) -> Column:
    """Return a column of numbers where all that is told are numbers of one unit, or else one of texts."""
    told = [str(cell) for cell in cells]
    matches = [NUMBER.fullmatch(str(cell)) if isinstance(cell, Quantity) else None for cell in cells]
    units = {(match["unit"] or "").strip() for match in matches if match}
    plain = all(match or text == NOT_AVAILABLE for match, text in zip(matches, told, strict=True))
    if not plain or len(units) != 1:
        return Column(escaped(name), [escaped(text) for text in told], numeric=False)
    unit = units.pop()
    head = f"{name} ({unit})" if unit and unit not in name else name
    numbers = [_number(match) if match else "{n/a}" for match in matches]
    return Column(f"{{{escaped(head)}}}", numbers, numeric=True)


def _number(match: re.Match[str]) -> str:
    """Write a number, with half of its interval where it has one, in as many places as it has itself."""
    value = match["value"].replace(",", "")
    if match["low"] is None:
        return value
    low, high = (float(match[end].replace(",", "")) for end in ("low", "high"))
    places = PLACES.search(value)
    return rf"{value} \pm {(high - low) / 2:.{len(places[1]) if places else 0}f}"
