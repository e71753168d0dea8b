"""``python -m bench.report`` as a user runs it."""

import os
import subprocess
import sys
from pathlib import Path

from typer.testing import CliRunner

from bench.report.__main__ import app
from tests.bench.factories import make_run, write_results

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
    (tmp_path / "out" / "figures").mkdir(parents=True)
    (tmp_path / "out" / "figures" / "old.svg").write_text("stale")
    for _ in range(2):
        assert CliRunner().invoke(app, [str(results), "--out", str(tmp_path / "out")]).exit_code == 0
    assert not (tmp_path / "out" / "figures" / "old.svg").exists()
    assert len([path for path in (tmp_path / "out").rglob("*") if path.is_file()]) == 12


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
