"""Names that would be formulas are texts in every CSV; numbers stay numbers."""

import io

import pandas as pd
import pytest

from bench.report.drawing.spreadsheets import csv_bytes


@pytest.mark.parametrize("name", ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1"])
def test_what_begins_as_a_formula_gets_an_apostrophe(name):
    frame = pd.DataFrame({name: [name, "p5"], "p50": [-1.5, 2.0]})
    found = pd.read_csv(io.BytesIO(csv_bytes(frame)), skipinitialspace=False)
    assert found.columns[0] == found.iloc[0, 0] == "'" + name.replace("\r", " ")
    assert found["p50"].tolist() == [-1.5, 2.0]


def test_texts_that_are_numbers_and_gaps_stay():
    frame = pd.DataFrame({"change": ["+0.5", "-3", None, "a=b"], "n": [1, 2, 3, 4]})
    assert csv_bytes(frame).decode() == "change,n\n+0.5,1\n-3,2\n,3\na=b,4\n"
