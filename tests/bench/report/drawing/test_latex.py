"""Tables as LaTeX: numbers that align, no more columns than a page has room for, texts that stay text."""

import shutil
import subprocess

import pandas as pd
import pytest

from bench.report.drawing.latex import MOST_COLUMNS, table
from bench.report.drawing.section import Section, Titled
from bench.report.reading.labels import Quantity, milliseconds, with_interval


def made(frame, title="", first=()):
    return table(Section("latency", "Latency & more", (), "Medians."), Titled(title, frame, first))


def test_numbers_of_one_unit_stand_in_s_columns_with_half_their_intervals():
    frame = pd.DataFrame(
        [
            {"case": "a_1", "p50": with_interval(1.5, 1.4, 1.6, " ms"), "flops": Quantity("1,230 GFLOP", 1230e9)},
            {"case": "b", "p50": "n/a", "flops": Quantity("2.00 GFLOP", 2e9)},
        ],
        dtype=object,
    )
    text = made(frame, "Part 1")
    assert r"\begin{tabular}{lSS}" in text
    assert r"case & {p50 (ms)} & {flops (GFLOP)} \\" in text
    assert r"a\_1 & 1.50 \pm 0.10 & 1230 \\" in text
    assert r"b & {n/a} & 2.00 \\" in text
    assert r"\caption{Latency \& more: Part 1.}" in text
    assert r"\label{tab:latency-part-1}" in text
    assert "half of a 95" in text
    assert "Medians." in text


def test_units_that_differ_and_words_beside_numbers_stay_text():
    mixed = [milliseconds(0.001), Quantity("3.0 MiB", 3.0)]
    worded = [Quantity("1.00 ms (batch 1)", 0.001), Quantity("2.00 ms (batch 1)", 0.002)]
    text = made(pd.DataFrame({"case": ["a", "b"], "x": mixed, "y": worded}, dtype=object))
    assert r"\begin{tabular}{lll}" in text
    assert r"a & 1.00 ms & 1.00 ms (batch 1) \\" in text


def test_what_has_no_room_is_counted():
    frame = pd.DataFrame([{f"c{number}": "x" for number in range(MOST_COLUMNS + 3)}])
    text = made(frame, first=("c9",))
    assert r"c0 & c9 & c1" in text
    assert "3 further columns are on the page." in text
    assert text.count("&") == 2 * (MOST_COLUMNS - 1) + 1  # and one in the caption


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex on PATH")
def test_a_table_compiles(tmp_path):
    frame = pd.DataFrame({"case": ["a_$%&#~^\\{}µ±"], "p50": [with_interval(1.5, 1.4, 1.6, " ms")]}, dtype=object)
    packages = "".join(rf"\usepackage{{{name}}}" for name in ("booktabs", "siunitx", "textcomp"))
    text = rf"\documentclass{{article}}{packages}\begin{{document}}{made(frame)}\end{{document}}"
    (tmp_path / "x.tex").write_text(text)
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "x.tex"], cwd=tmp_path, check=False, capture_output=True
    )
    assert done.returncode == 0, done.stdout[-2000:]
