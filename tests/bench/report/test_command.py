"""``python -m bench.report`` as a user runs it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from bench.ground.outputs import MANIFEST, write_folder
from bench.records import store
from bench.report.__main__ import app
from bench.report.run.money import read_prices
from models.errors import UserError
from tests.bench.factories import make_case, make_record, make_run, write_results

ROOT = Path(__file__).parents[3]


def test_the_latest_run_is_rendered_by_default(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_HOME", str(tmp_path))
    folder = tmp_path / "results" / "Linux-CPython"
    folder.mkdir(parents=True)
    write_results(folder / "0001_run.json", make_run())
    result = CliRunner().invoke(app, ["--out", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    assert (tmp_path / "out" / "index.html").exists()
    assert "index.html" in result.output


def test_a_second_run_leaves_the_same_files(tmp_path):
    results = write_results(tmp_path / "run.json", make_run())
    write_folder(tmp_path / "out", {"figures/roofline.svg": b"of an earlier page"}, made_by="bench.report")
    own = [tmp_path / "out" / name for name in ("notes.txt", "results.json", "figures/holiday.png")]
    for path in own:
        path.write_text("a user's own")
    left = []
    for _ in range(2):
        assert CliRunner().invoke(app, [str(results), "--out", str(tmp_path / "out")]).exit_code == 0
        left.append({path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()})
    assert not (tmp_path / "out" / "figures" / "roofline.svg").exists()
    assert all(path.exists() for path in own)
    assert left[0] == left[1]


def test_a_foreign_file_in_the_way_is_one_line_before_any_work(tmp_path):
    results = write_results(tmp_path / "run.json", make_run())
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "index.html").write_text("my own page")
    result = CliRunner().invoke(app, [str(results), "--out", str(tmp_path / "out")])
    assert "index.html: exists and was not written by this command" in str(result.exception)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["index.html"]
    result = CliRunner().invoke(app, [str(results), "--out", str(tmp_path / "out"), "--format", "csv"])
    assert result.exit_code == 0, "a page is not written, so that one may stand there"
    assert (tmp_path / "out" / "index.html").read_text() == "my own page"
    result = CliRunner().invoke(app, [str(results), "--out", str(results)])
    assert "nothing can be written into" in str(result.exception)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("results.csv", []),
        ("report.md", []),
        ("results.parquet", ["--format", "parquet"]),
        ("compare.csv", ["--compare"]),
        ("history.md", ["--history"]),
    ],
)
def test_each_file_with_a_fixed_name_is_looked_for_before_any_work(tmp_path, monkeypatch, name, words):
    monkeypatch.setattr(store, "_content", lambda _: pytest.fail("a results file was read"))
    (tmp_path / name).write_text("mine")
    result = CliRunner().invoke(app, ["run.json", "--out", str(tmp_path), *words])
    assert f"{name}: exists and was not written by this command" in str(result.exception)
    assert (tmp_path / name).read_text() == "mine"


@pytest.mark.parametrize(
    ("kinds", "endings"),
    [
        (["html"], {".html"}),
        (["markdown", "png"], {".md", ".png"}),
        (["csv"], {".csv"}),
        (["parquet", "latex"], {".parquet", ".tex", ".bib"}),
    ],
    ids=lambda found: "+".join(sorted(found)),
)
def test_only_the_wanted_kinds_are_written(tmp_path, kinds, endings):
    results = write_results(tmp_path / "run.json", make_run())
    chosen = [word for kind in kinds for word in ("--format", kind)]
    assert CliRunner().invoke(app, [str(results), "--out", str(tmp_path / "out")]).exit_code == 0
    assert CliRunner().invoke(app, [str(results), "--out", str(tmp_path / "out"), *chosen]).exit_code == 0
    written = {path for path in (tmp_path / "out").rglob("*") if path.is_file() and path.name != MANIFEST}
    assert {path.suffix for path in written} == endings


def test_parquet_holds_what_csv_holds(tmp_path):
    results = write_results(tmp_path / "run.json", make_run())
    assert CliRunner().invoke(app, [str(results), "--out", str(tmp_path)]).exit_code == 0
    columns, table = pd.read_csv(tmp_path / "results.csv"), pd.read_parquet(tmp_path / "results.parquet")
    assert list(columns) == list(table)
    assert columns["latency_p50_s"].dropna().tolist() == table["latency_p50_s"].dropna().tolist()


PRICE = '[[price]]\ndevice = "cpu"\nper_hour = {}\nof = "one core"\nsource = "a bill"\n'


def test_prices_of_a_file_are_reckoned_with(tmp_path):
    results = write_results(tmp_path / "run.json", [make_record(case=make_case(batch_size=2), median_s=0.0036)])
    (tmp_path / "mine.toml").write_text(PRICE.format(7.0))
    given = [
        str(results),
        "--out",
        str(tmp_path / "out"),
        "--prices",
        str(tmp_path / "mine.toml"),
        "--format",
        "markdown",
    ]
    assert CliRunner().invoke(app, given).exit_code == 0
    text = (tmp_path / "out" / "report.md").read_text()
    assert "| 3.5 USD |" in text  # 7 USD an hour, half an hour of one core: 1.8 ms a user
    assert "a bill" in text


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "No such file"),
        ("[[price]]", "device: field required"),
        (PRICE.format(-1), "per_hour"),
        ("price = 3", "no table of prices"),
        ("x = [", "no table of prices"),
        ("", "no [[price]] rows"),
    ],
)
def test_prices_that_cannot_be_read_are_told(tmp_path, content, words):
    path = tmp_path / "mine.toml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UserError, match=re.escape(words)):
        read_prices(path)


def test_a_damaged_file_is_one_line_and_status_2(tmp_path):
    broken = tmp_path / "run.json"
    broken.write_text("{")
    done = subprocess.run(
        [sys.executable, "-m", "bench.report", str(broken)],
        cwd=ROOT,
        env=os.environ | {"BENCH_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "damaged" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_files_of_one_figure_are_written_and_the_page_links_no_others(tmp_path):
    results = write_results(tmp_path / "run.json", make_run())
    out = tmp_path / "out"
    words = [str(results), "--out", str(out), "--format", "html", "--format", "markdown", "--format", "png"]
    assert CliRunner().invoke(app, [*words, "--figure", "quality_latency"]).exit_code == 0
    assert [path.name for path in (out / "figures").iterdir()] == ["quality_latency.png"]
    page, text = (out / "index.html").read_text(), (out / "report.md").read_text()
    assert re.findall(r'href="(figures/[^"]*)"', page) == ["figures/quality_latency.png"]
    assert re.findall(r"\((figures/[^)]*)\)", text) == ["figures/quality_latency.png"]
    refused = CliRunner().invoke(app, [*words, "--figure", "nosuch"])
    assert "--figure nosuch: the page has " in str(refused.exception)
    assert CliRunner().invoke(app, [*words[:7]]).exit_code == 0
    assert "figures/" not in (out / "index.html").read_text() + (out / "report.md").read_text()
    assert not any((out / "figures").iterdir()), "what the earlier call wrote is taken away"
