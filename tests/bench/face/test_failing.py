"""The pytest face when something goes wrong: broken cases, kills, wrong options, a full disk, Ctrl-C."""

import errno
import json
import os
from pathlib import Path

import pytest

from bench.records.case import Outcome
from bench.records.record import Record
from tests.bench.face.tiny import BENCH, SUITE, failures, ours, saved, saved_last

pytest_plugins = ["pytester"]


def test_failed_cases_are_rows_that_say_how_and_the_run_goes_on(face):
    """Memory, time and bugs end a case; a wrong answer does, too; the next one is measured all the same."""
    options = ours("Greedy", "Slow", "Broken", "Fickle", "Ours")
    result = face(*options, "--case-timeout=2", "--untrained")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(passed=1, xfailed=2, failed=2)
    found = failures(face.home)
    assert {name: record.outcome for name, record in found.items()} == {
        "ours:Greedy": Outcome.OUT_OF_MEMORY,
        "ours:Slow": Outcome.TIMED_OUT,
        "ours:Broken": Outcome.ERROR,
        "ours:Fickle": Outcome.ERROR,
    }
    assert found["ours:Slow"].detail == "took longer than the 2 s that --case-timeout allows"
    assert found["ours:Broken"].detail == "ZeroDivisionError: no items per shelf"
    assert found["ours:Fickle"].detail == "40 of 40 timed lists differ from the evaluated ones"
    assert all(record.latency is None and record.quality is None for record in found.values())
    assert [one["extra_info"]["case"]["recommender"] for one in saved(face.home)["benchmarks"]] == ["ours:Ours"]
    assert "Traceback" not in result.stdout.str()


def test_a_run_in_which_every_case_failed_is_saved_too(face):
    face(*ours("Greedy")).assert_outcomes(xfailed=1)
    output = saved(face.home)
    assert output["benchmarks"] == []
    assert failures(face.home)["ours:Greedy"].outcome is Outcome.OUT_OF_MEMORY
    assert output["machine_info"]


def test_what_a_killed_run_had_finished_is_not_measured_again(face, monkeypatch):
    """The first of two groups is kept when the second is interrupted, and comes from there in the next run."""
    from bench.running.runner import Runner

    measure = Runner.measure

    def interrupted(self, group, **how):
        if group[0].case.batch_size == 3:
            raise KeyboardInterrupt
        return measure(self, group, **how)

    options = [*ours("Counting"), "--batch-size=2", "--batch-size=3"]
    monkeypatch.setattr(Runner, "measure", interrupted)
    assert face(*options).ret == 130
    assert Path("indexed.txt").read_text().split() == ["once"]
    (kept,) = (face.home / "results" / "unfinished").glob("*/case-*.json")
    finished = json.loads(kept.read_text())["latency"]["samples_s"]

    monkeypatch.setattr(Runner, "measure", measure)
    face(*options).assert_outcomes(passed=2)
    assert Path("indexed.txt").read_text().split() == ["once", "once"], "only the second group was measured"
    first, second = saved_last(face.home)["benchmarks"]
    assert first["stats"]["data"] == pytest.approx(finished)
    assert second["extra_info"]["case"]["batch_size"] == 3
    assert not list((face.home / "results" / "unfinished").iterdir())


def test_timings_of_a_group_survive_a_kill_before_their_costs_are_known(face, monkeypatch):
    """Two cases were timed side by side, and the second's counting is interrupted: neither is timed again."""
    from bench.running.runner import Runner

    costs = Runner._costs

    def interrupted(self, one):
        if one.case.recommender == "ours:Counting":
            raise KeyboardInterrupt
        return costs(self, one)

    options = [*ours("Ours", "Counting"), "--untrained"]
    monkeypatch.setattr(Runner, "_costs", interrupted)
    assert face(*options).ret == 130
    folder = face.home / "results" / "unfinished"
    assert len(list(folder.glob("*/case-*.json"))) == 1
    timed = {
        record.case.recommender: record.latency.samples_s
        for record in (Record.model_validate_json(path.read_text()) for path in folder.glob("*/timed-*.json"))
    }
    assert set(timed) == {"ours:Ours", "ours:Counting"}

    monkeypatch.setattr(Runner, "_costs", costs)
    face(*options).assert_outcomes(passed=2)
    for one in saved(face.home)["benchmarks"]:
        record = Record.model_validate(one["extra_info"])
        assert record.latency.samples_s == timed[record.case.recommender]
        assert record.flops is not None
        assert record.memory is not None


@pytest.mark.parametrize(("options", "message"), [
    (["--recommender=nosuch"], "unknown recommender 'nosuch': use one of *popularity*"),
    (["--recommender=nosuch.module:Class"], "*cannot be imported: No module named 'nosuch'*PYTHONPATH*"),
    (["--recommender=ours:time"], "*ours:time is not a subclass of models.recommender.Recommender"),
    (["--dataset=nosuch"], "*'nosuch' is not known*synthetic*"),
    (["--suite=nosuch"], "no suite 'nosuch': use one of ablation, *smoke*"),
    (["--suite=nosuch.toml"], "no suite 'nosuch.toml'*"),
    (["--suite=torn.toml"], "torn.toml: invalid TOML*"),
    (["--suite=folder.toml"], "folder.toml: is a folder, not a file*"),
    (["--suite=binary.toml"], "binary.toml: is no UTF-8 text*"),
    (["--recommender=:X"], "recommender ':X' cannot be imported: Empty module name*"),
    (["--recommender=torn:X"], "recommender 'torn:X' cannot be imported: SyntaxError: *mend torn"),
    (["--recommender=leaving:X"], "recommender 'leaving:X' cannot be imported: SystemExit: 5; mend leaving"),
    (["--suite=wrong.toml"], "wrong.toml: colour: extra inputs are not permitted"),
    (["--dtype=float8"], "--dtype float8: use one of float32, bfloat16, float16, int8"),
    (["--checkpoint=nosuch"], "nosuch is no checkpoint: there is no card.json*"),
    (["--set=dropout"], "--set dropout: write it as name=value*"),
    (["--set=dropout=much"], "sasrec: setting dropout: *its settings are*"),
    (["--device=abacus"], "--device abacus cannot be used*"),
    (["--threads=100000"], "--threads 100000: input should be less than or equal to 4096; change it"),
    (["--batch-size=0"], "--batch-size 0: input should be greater than or equal to 1; change it"),
    (["--beam-width=-1"], "--beam-width -1: *"),
    (["--top-k=0"], "--top-k 0: *"),
    (["--case-seconds=0"], "--case-seconds 0: *"),
    (["--min-rounds=0"], "--min-rounds 0: *"),
    (["--decoder=telepathy", "--recommender=p5"], "p5 has no decoder 'telepathy': use one of *reference*"),
    (["--max-history=0"], "--max-history 0: *"),
    (["--data-dir=nosuch", "--dataset=ml-1m"], "--data-dir nosuch: there is no such folder*"),
])  # fmt: skip
def test_a_wrong_option_is_one_line_and_status_4(face, pytester, options, message):
    pytester.mkdir("folder.toml")
    (pytester.path / "binary.toml").write_bytes(b"\x80\xff")
    pytester.makepyfile(torn="def", leaving="import sys; sys.exit(5)")
    pytester.makefile(".toml", torn="description = [", wrong=SUITE.replace("[[rec", "colour = 1\n[[rec", 1))
    result = face(*options)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    said = result.stderr.str() + result.stdout.str()
    assert "Traceback" not in said
    result.stderr.fnmatch_lines([f"ERROR: {message}"])


def test_help_explains_every_option(face):
    result = face("--help")
    said = result.stdout.str().partition("recommender benchmarks:")[2]
    for option in ("--suite", "--checkpoint", "--untrained", "--case-timeout", "--beam-width"):
        assert option in said


def test_a_folder_means_the_serving_benchmark_and_others_run_when_named(face, pytester, monkeypatch):
    """A file that measures no cases makes no session: nothing is loaded for it."""
    folder = pytester.mkdir("suites")
    for name in ("conftest.py", "bench_serving.py"):
        (folder / name).write_text((BENCH / name).read_text())
    other = folder / "bench_other.py"
    other.write_text("def bench_sum(benchmark):\n    benchmark(sum, [1, 2])\n")
    plain = [
        "-p",
        "no:cacheprovider",
        "-p",
        "no:hypothesispytest",
        "--benchmark-only",
        "-v",
        "-c",
        BENCH.parent / "pyproject.toml",
    ]
    cases = ["--suite=suite.toml", "--recommender=popularity"]
    pytester.runpytest_inprocess(*plain, folder, *cases).stdout.no_fnmatch_line("*bench_other*")
    named = pytester.runpytest_inprocess(*plain, f"{other}::bench_sum", "--dataset=nosuch")
    named.assert_outcomes(passed=1)
    pytester.runpytest_inprocess(*plain, other, folder, *cases).assert_outcomes(passed=2)


def test_it_runs_as_a_command_of_its_own(pytester, monkeypatch):
    """The one run in a process of its own: plain pytest, the repository on the path, nothing installed."""
    monkeypatch.setenv("BENCH_HOME", str(pytester.path / "home"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(BENCH.parent), str(pytester.path)]))
    pytester.makefile(".toml", suite=SUITE)
    arguments = ["-p", "no:cacheprovider", "--benchmark-only", "--suite=suite.toml", "--recommender=popularity"]
    result = pytester.runpytest_subprocess(str(BENCH), *arguments)
    result.assert_outcomes(passed=1)
    assert Record.model_validate(saved(pytester.path / "home")["benchmarks"][0]["extra_info"]).outcome is Outcome.OK


def test_a_full_disk_leaves_no_torn_file_and_loses_nothing(face, monkeypatch):
    """The results cannot be written, so that the same command is given again: nothing is measured anew."""
    write = Path.write_bytes

    def full(self, data):
        if b'"benchmarks"' in data:
            write(self, data[:1000])
            raise OSError(errno.ENOSPC, "No space left on device", str(self))
        return write(self, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    result = face(*ours("Counting"))
    assert result.ret == 2
    result.stdout.fnmatch_lines(
        ["error: *No space left on device: the results are not saved; what was measured is kept*"]
    )
    assert not list(face.home.glob("results/*/*.json*")) or not list(face.home.glob("results/Linux*/*"))
    monkeypatch.setattr(Path, "write_bytes", write)
    face(*ours("Counting")).assert_outcomes(passed=1)
    assert Path("indexed.txt").read_text().split() == ["once"]
    assert len(saved(face.home)["benchmarks"]) == 1


def test_ctrl_c_while_measuring_is_one_line_and_status_130(face, monkeypatch):
    from bench.running.runner import Runner

    def interrupted(self, group, **how):
        raise KeyboardInterrupt

    monkeypatch.setattr(Runner, "measure", interrupted)
    result = face(*ours("Ours"))
    assert result.ret == 130
    result.stdout.fnmatch_lines(["*interrupted: the same command goes on*"])
    assert "Traceback" not in result.stdout.str() + result.stderr.str()


def test_a_home_that_is_a_file_is_one_line(face, pytester, monkeypatch):
    monkeypatch.setenv("BENCH_HOME", str(pytester.makefile(".txt", home="no folder")))
    result = face(*ours("Ours"))
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: *home.txt* cannot be made*set BENCH_HOME to a folder you may write"])
