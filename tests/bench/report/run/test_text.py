"""What a terminal shows of results: the answer, and the rows that matter."""

import io

import pytest
from rich.console import Console
from typer.testing import CliRunner

from bench.records.case import Outcome
from bench.report.__main__ import app
from bench.report.run.money import read_prices
from bench.report.run.text import MOST, print_rows
from tests.bench.factories import make_case, make_failure, make_record, make_run, write_results


def printed(records, width=100):
    target = io.StringIO()
    print_rows(records, (), read_prices(), Console(file=target, width=width))
    return target.getvalue()


def test_the_answer_and_the_rows_of_the_first_setting_are_printed():
    text = printed(make_run())
    assert text.startswith("Is beam search needed?\nServe SASRec: of what was timed, the best NDCG@10 on synthetic")
    assert "synthetic, batch 1, a processor (2 cores), 1 thread, float32" in text
    row = next(line for line in text.splitlines() if line.startswith("SASRec"))
    assert row.split() == ["SASRec", "0.2100", "±", "0.0210", "1.01", "ms", "0.012", "to", "the", "end"]


def test_of_many_the_rest_is_counted():
    records = [make_record(case=make_case(f"r{number}"), ndcg=0.1 + number / 100) for number in range(MOST + 3)]
    text = printed(records)
    assert "r7" in text
    assert "r0" not in text
    assert "3 more of this setting are on the page." in text


@pytest.mark.parametrize("width", [40, 80])
def test_names_with_markup_are_printed_as_they_are(width):
    assert "[bold]x" in printed([make_record(case=make_case("[bold]x"))], width)


def test_only_failures_print_no_table():
    text = printed([make_failure("sasrec", Outcome.ERROR, "broken")])
    assert "No case could be measured" in text
    assert text.startswith("What failed?")
    assert "NDCG" not in text


def test_the_command_prints_and_writes_nothing(tmp_path, monkeypatch):
    results = write_results(tmp_path / "run.json", make_run())
    monkeypatch.chdir(tmp_path)
    found = CliRunner().invoke(app, [str(results), "--text"])
    assert found.exit_code == 0, found.output
    assert "Serve SASRec" in found.output
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]
